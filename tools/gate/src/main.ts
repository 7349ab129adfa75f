import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { readWorkspace, root } from '../../workspace/src/workspace.ts'
import { add, type Counts, countReport, none } from './counts.ts'

interface Step {
  name: string
  command: string[]
  /** Vitest reports that the step writes; without any, the step itself counts as one. */
  reports?: string[]
}

const cache = join(root, '.cache')
const testReport = (name: string): string => join(cache, 'tests', `${name}.json`)

/** Runs a program and keeps what it says until it ends, so that steps side by side do not mix their words. */
function run(command: string[]): Promise<{ ok: boolean; output: string }> {
  return new Promise((resolve) => {
    const [program = '', ...args] = command
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.on('error', (error) => chunks.push(Buffer.from(String(error))))
    child.on('close', (code) => resolve({ ok: code === 0, output: Buffer.concat(chunks).toString() }))
  })
}

async function runStep({ name, command, reports }: Step): Promise<Counts> {
  const started = performance.now()
  const { ok, output } = await run(command)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const own: Counts = ok ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 }
  const counts = reports ? reports.map(countReport).reduce(add, none) : own
  // A runner may fail without any test failing (a crash, an unhandled error); that may not get lost.
  if (!ok && counts.failed === 0) counts.failed = 1
  console.log(`${counts.failed === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s): ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
  if (counts.failed > 0) console.log(output.trimEnd())
  return counts
}

async function inOrder(steps: Step[]): Promise<Counts> {
  let counts = none
  for (const step of steps) counts = add(counts, await runStep(step))
  return counts
}

mkdirSync(join(cache, 'tests'), { recursive: true })
const libraries = readWorkspace().filter(({ manifest }) => manifest.scripts?.['test'])
const unit: Step = {
  name: 'unit, contract and integration tests',
  command: ['nx', 'run-many', '-t', 'test', '--parallel=2', '--nxBail=false', '--outputStyle=static'],
  reports: libraries.map(({ manifest }) => testReport(manifest.name)),
}
const checks: Step[] = [
  { name: 'lint', command: ['oxlint', '--type-aware'] },
  { name: 'manifests and module boundaries', command: ['node', 'tools/workspace/src/cli.ts', 'check'] },
  { name: 'unused files, exports and dependencies', command: ['knip', '--no-config-hints'] },
  { name: 'types', command: ['npm', 'run', '--silent', 'typecheck'] },
  { name: 'exports of packages', command: ['node', 'tools/gate/src/published-shape.ts'] },
  { name: 'README examples', command: ['node', 'tools/docs/src/readme-examples.ts'] },
]
const e2e: Step = {
  name: 'end-to-end tests',
  command: ['vitest', 'run', '--config', 'e2e/vitest.config.ts', '--reporter=default', '--reporter=json', `--outputFile.json=${testReport('e2e')}`],
  reports: [testReport('e2e')],
}

const early = await Promise.all([inOrder(checks), inOrder([unit])])
const total = add(early.reduce(add, none), await runStep(e2e))
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed === 0 ? 0 : 1
