import type { EngineClient } from '@berth/api-client'
import { messageOf } from '@berth/core'
import { CommanderError } from 'commander'
import { type Cli, type CliIo, hostOf } from './cli.ts'
import { createProgram } from './program.ts'

/** Docker's code for a failure of the command line itself, so that it is told from the container's. */
const ownFailure = 125

/** Runs one command line. Gives the exit code; never throws. */
export async function runCli(args: readonly string[], io: CliIo): Promise<number> {
  let connected: Promise<EngineClient> | undefined
  const cli: Cli = {
    io,
    exitCode: 0,
    host: undefined,
    engine: () => (connected ??= import('@berth/api-client').then(({ connectEngine }) => connectEngine({ host: hostOf(cli) }))),
    print: (line) => void io.stdout.write(`${line}\n`),
    complain(error, exitCode = 1) {
      io.stderr.write(`berth: ${messageOf(error).trim()}\n`)
      cli.exitCode = exitCode
    },
  }
  const isRun = args.some((arg, index) => arg === 'run' && !args.slice(0, index).some((before) => !before.startsWith('-') && before !== 'container' && args[args.indexOf(before) - 1] !== '-H'))
  try {
    await createProgram(cli).parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : isRun ? ownFailure : 1
    cli.complain(error, isRun ? ownFailure : 1)
  } finally {
    await connected?.then((engine) => engine[Symbol.asyncDispose]()).catch(() => {})
  }
  return cli.exitCode
}
