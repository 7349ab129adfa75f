import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { readWorkspace, root } from '../../workspace/src/workspace.ts'

// Takes the first TypeScript block of every library's README as a user would: against what is published, not against the sources.

const run = promisify(execFile)
const dir = join(root, '.cache/readme')
rmSync(dir, { recursive: true, force: true })
mkdirSync(dir, { recursive: true })

const problems: string[] = []
const examples: string[] = []
for (const { dir: folder, manifest } of readWorkspace()) {
  if (!folder.startsWith('packages/')) continue
  const readme = join(root, folder, 'README.md')
  const example = existsSync(readme) ? /```ts\n([\s\S]*?)```/.exec(readFileSync(readme, 'utf8'))?.[1] : undefined
  if (example === undefined) {
    problems.push(`${manifest.name}: its README.md has no TypeScript example`)
    continue
  }
  const name = `${manifest.name.replace('@berth/', '')}.ts`
  writeFileSync(join(dir, name), example)
  examples.push(name)
}
writeFileSync(
  join(dir, 'tsconfig.json'),
  JSON.stringify({
    extends: '../../tsconfig.base.json',
    compilerOptions: { composite: false, declaration: false, declarationMap: false, emitDeclarationOnly: false, noEmit: true, customConditions: [], rootDir: '../..' },
    include: ['*.ts'],
  }),
)

interface Failure {
  stdout?: string
  stderr?: string
}

async function attempt(name: string, program: string, args: string[]): Promise<void> {
  try {
    await run(program, args, { cwd: dir, timeout: 60_000 })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as Failure
    problems.push(`${name}: ${stdout}${stderr || String(error)}`)
  }
}

/** Network and mounts of their own: what an example makes there is gone with it. */
const ownMachine = ['--net', '--mount', '--propagation', 'private', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh']

await attempt('README examples', 'tsc', ['-p', dir])
const queue = [...examples]
await Promise.all(
  [0, 1].map(async () => {
    for (let name = queue.shift(); name; name = queue.shift()) await attempt(name, 'unshare', [...ownMachine, process.execPath, join(dir, name)])
  }),
)
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1
