/**
 * Starts and stops containers many times on a berthd of its own, and looks whether anything grows. Prints a table, and ends with 1 when something does.
 *
 * usage, as root, after a build: node tools/bench/soak.ts [CYCLES]       2000 when absent
 */
import { growth, soak, TestHost } from '../../e2e/src/index.ts'

const cycles = Number(process.argv[2] ?? 2000)
const columns = ['cycles', 'descriptors', 'threads', 'pss', 'rss', 'mounts', 'links', 'namespaces', 'rules', 'cgroups', 'processes', 'files'] as const
const host = await TestHost.start()
try {
  const daemon = await host.startDaemon()
  process.stdout.write(`| ${columns.join(' | ')} |\n|${'---|'.repeat(columns.length)}\n`)
  const samples = await soak(host, daemon, { cycles, onSample: (sample) => process.stdout.write(`| ${columns.map((column) => sample[column]).join(' | ')} |\n`) })
  const grown = growth(samples)
  process.stdout.write(grown.length === 0 ? 'nothing grows\n' : `these grow:\n${grown.join('\n')}\n`)
  process.exitCode = grown.length === 0 ? 0 : 1
} finally {
  await host[Symbol.asyncDispose]()
}
