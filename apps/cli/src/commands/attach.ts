import { BerthError } from '@berth/core'
import { Command } from 'commander'
import type { Cli } from '../cli.ts'

interface AttachFlags {
  stdin?: boolean
  sigProxy?: boolean
  detachKeys?: string
}

export function attachCommand(cli: Cli): Command {
  return new Command('attach')
    .description('join the standard streams of a running container')
    .argument('<container>')
    .option('--no-stdin', 'do not pass standard input on')
    .option('--no-sig-proxy', 'do not hand signals on')
    .option('--detach-keys <keys>', 'keys that leave it running (ctrl-p,ctrl-q)')
    .action((container: string, flags: AttachFlags) => attachTo(cli, container, flags))
}

/** Joins a running container's streams until it ends; the exit code becomes its own. `start` starts it once everything is in place. */
export async function attachTo(cli: Cli, container: string, { stdin = true, sigProxy = true, detachKeys, start }: AttachFlags & { start?: () => Promise<void> }): Promise<void> {
  const { containers } = await cli.engine()
  const { runSession } = await import('../terminal/session.ts')
  const { proxySignals } = await import('../terminal/signal-proxy.ts')
  const { Id: id = container, State, Config } = await containers.inspect(container)
  if (!start && !State?.Running) throw new BerthError('conflict', 'CONTAINER_NOT_RUNNING', 'You cannot attach to a stopped container, start it first')
  if (!start && State?.Paused) throw new BerthError('conflict', 'CONTAINER_PAUSED', 'You cannot attach to a paused container, unpause it first')
  const tty = Config?.Tty ?? false
  const interactive = stdin && (Config?.OpenStdin ?? false)
  const connection = await containers.attach(id, { stdin: interactive, tty })
  const { result } = await containers.wait(id, { condition: start ? 'next-exit' : 'not-running' })
  using _signals = !tty && sigProxy ? proxySignals((killSignal) => containers.kill(id, { killSignal })) : undefined
  await start?.()
  if ((await runSession(cli, connection, { tty, interactive, detachKeys, resize: (size) => containers.resize(id, size) })) === 'ended') cli.exitCode = (await result).StatusCode
}
