import type { EngineClient } from '@berth/api-client'
import { isKind, messageOf } from '@berth/core'
import { Command } from 'commander'
import { type Cli, usageError } from '../cli.ts'
import { addCreateFlags, type CreateFlags } from '../flags/create-flags.ts'
import { createRequest } from '../flags/create-request.ts'
import { type AttachedStreams, attachedStreams } from '../flags/streams.ts'
import { createContainer } from './create.ts'

interface RunFlags extends CreateFlags {
  detach?: boolean
  detachKeys?: string
  sigProxy?: boolean
}

/** Docker's exit codes for what could not be started. */
function startExitCode(error: unknown): number {
  const message = messageOf(error)
  if (/executable file not found|no such file or directory/i.test(message)) return 127
  if (/permission denied|is a directory|exec format error/i.test(message)) return 126
  return 125
}

export function runCommand(cli: Cli): Command {
  return addCreateFlags(new Command('run').description('create a container and run it'))
    .argument('<image>')
    .argument('[command...]')
    .option('-d, --detach', 'run it in the background and print its ID')
    .option('--detach-keys <keys>', 'keys that leave it running (ctrl-p,ctrl-q)')
    .option('--no-sig-proxy', 'do not hand signals on')
    .passThroughOptions()
    .action(async (image: string, command: string[], flags: RunFlags) => run(cli, image, command, flags))
}

async function run(cli: Cli, image: string, command: string[], flags: RunFlags): Promise<void> {
  const { tty = false, interactive = false, detach = false } = flags
  if (tty && interactive && !detach && !cli.io.stdin.isTTY) throw usageError('the input device is not a TTY')
  const engine = await cli.engine()
  const streams = attachedStreams(flags)
  const request = createRequest(image, command, flags, { io: cli.io, streams })
  const id = await createContainer(cli, engine, request, flags)
  try {
    if (detach) {
      await engine.containers.start(id)
      cli.print(id)
    } else await runAttached(cli, engine, id, flags, streams)
  } catch (error) {
    // Of a container that never ran, --rm leaves nothing either.
    if (flags.rm) await engine.containers.remove(id, { force: true, volumes: true }).catch(() => {})
    throw error
  }
}

async function runAttached(cli: Cli, engine: EngineClient, id: string, { tty = false, rm, detachKeys, sigProxy = true, ...flags }: RunFlags, { stdin, stdout, stderr }: AttachedStreams): Promise<void> {
  const interactive = stdin && (flags.interactive ?? false)
  const { runSession } = await import('../terminal/session.ts')
  const { proxySignals } = await import('../terminal/signal-proxy.ts')
  const connection = await engine.containers.attach(id, { stdin: interactive, stdout, stderr, tty })
  const { result } = await engine.containers.wait(id, { condition: rm ? 'removed' : 'next-exit' })
  using _signals = !tty && sigProxy ? proxySignals((killSignal) => engine.containers.kill(id, { killSignal })) : undefined
  try {
    await engine.containers.start(id)
  } catch (error) {
    await connection[Symbol.asyncDispose]()
    const code = startExitCode(error)
    if (code === 125) throw error
    cli.complain(error, code)
    if (rm) await engine.containers.remove(id, { force: true, volumes: true }).catch(() => {})
    return
  }
  const end = await runSession(cli, connection, { tty, interactive, detachKeys, resize: (size) => engine.containers.resize(id, size) })
  if (end === 'detached') return
  const { StatusCode, Error: failure } = await result.catch((error: unknown) => {
    if (isKind(error, 'not-found')) return { StatusCode: 0, Error: undefined }
    throw error
  })
  if (failure?.Message) cli.complain(failure.Message)
  cli.exitCode = StatusCode
}
