import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkPackage, Package } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { readWorkspace, root, type WorkspacePackage } from '../../workspace/src/workspace.ts'

// Looks at every package as npm would publish it: do its exports exist, and do its types say what its code is?

interface Packed {
  name: string
  files: { path: string }[]
}

/** The files that npm would publish, by the name of the package. */
function packedFiles(packages: WorkspacePackage[]): Map<string, string[]> {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts', ...packages.map(({ dir }) => `--workspace=${dir}`)], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 << 20,
  })
  const packed = Object.values(JSON.parse(output) as Record<string, Packed>)
  return new Map(packed.map(({ name, files }) => [name, files.map(({ path }) => path)]))
}

async function problemsOf({ dir, manifest }: WorkspacePackage, paths: string[]): Promise<string[]> {
  const path = join(root, dir)
  const files = paths.map((name) => ({ name, data: new Uint8Array(readFileSync(join(path, name))) }))
  const { messages, pkg } = await publint({ pack: { files: files.map(({ name, data }) => ({ name: join(path, name), data })) }, pkgDir: path, level: 'warning', strict: true })
  const lint = messages.map((message) => formatMessage(message, pkg) ?? message.code)
  const installed = Object.fromEntries(files.map(({ name, data }) => [`/node_modules/${manifest.name}/${name}`, data]))
  const { types, ...analysis } = { problems: [], ...(await checkPackage(new Package(installed, manifest.name, manifest.version ?? '0.0.0'))) }
  // The packages are ESM only, on purpose: what CommonJS and old resolvers see does not count.
  const wrong = types
    ? analysis.problems.filter((problem) => !('resolutionKind' in problem) || ['node16-esm', 'bundler'].includes(problem.resolutionKind)).map((problem) => JSON.stringify(problem))
    : ['no types are published']
  return [...lint, ...wrong].map((problem) => `${manifest.name}: ${problem}`)
}

const published = readWorkspace().filter(({ manifest }) => !manifest.private && manifest['exports'])
const packed = packedFiles(published)
const problems = (await Promise.all(published.map((pkg) => problemsOf(pkg, packed.get(pkg.manifest.name) ?? [])))).flat()
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1
