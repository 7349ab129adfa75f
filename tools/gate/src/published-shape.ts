import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { checkPackage, Package } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { readWorkspace, root, type WorkspacePackage } from '../../workspace/src/workspace.ts'

// Looks at every package as npm would publish it: do its exports exist, and do its types say what its code is?

function filesUnder(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? filesUnder(join(dir, entry.name)) : [join(dir, entry.name)]))
}

async function problemsOf({ dir, manifest }: WorkspacePackage): Promise<string[]> {
  const path = join(root, dir)
  const { messages, pkg } = await publint({ pkgDir: path, level: 'warning', strict: true })
  const lint = messages.map((message) => formatMessage(message, pkg) ?? message.code)
  const published = [join(path, 'package.json'), ...filesUnder(join(path, 'dist')), ...filesUnder(join(path, 'src'))].filter((file) => statSync(file).size < 4_000_000)
  const files = Object.fromEntries(published.map((file) => [`/node_modules/${manifest.name}/${relative(path, file)}`, new Uint8Array(readFileSync(file))]))
  const { types, ...analysis } = { problems: [], ...(await checkPackage(new Package(files, manifest.name, manifest.version ?? '0.0.0'))) }
  // The packages are ESM only, on purpose: what CommonJS and old resolvers see does not count.
  const wrong = types
    ? analysis.problems.filter((problem) => !('resolutionKind' in problem) || ['node16-esm', 'bundler'].includes(problem.resolutionKind)).map((problem) => JSON.stringify(problem))
    : ['no types are published']
  return [...lint, ...wrong].map((problem) => `${manifest.name}: ${problem}`)
}

const published = readWorkspace().filter(({ manifest }) => manifest['exports'])
const problems = (await Promise.all(published.map(problemsOf))).flat()
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1
