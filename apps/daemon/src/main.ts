import { readFileSync } from 'node:fs'
import { messageOf } from '@berth/core'
import { parseOptions, usage } from './options.ts'

/** Exit code for a command line that cannot be understood, as with other programs. */
const usageExit = 2

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

function fail(error: unknown, code: number): never {
  process.stderr.write(`berthd: ${messageOf(error)}\n`)
  process.exit(code)
}

function optionsOf(args: string[]): ReturnType<typeof parseOptions> {
  try {
    return parseOptions(args, process.env)
  } catch (error) {
    fail(error, usageExit)
  }
}

const options = optionsOf(process.argv.slice(2))
if (options === 'help') process.stdout.write(usage())
else if (options === 'version') process.stdout.write(`berthd ${version}\n`)
else {
  // Loaded only now, so that questions about the command line are answered at once.
  const { runDaemon } = await import('./run-daemon.ts')
  await runDaemon(options, version).catch((error: unknown) => fail(error, 1))
}
