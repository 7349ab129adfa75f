import { isKind } from '@berth/core'
import { Command, Option } from 'commander'
import { type Cli, forEach, usageError } from '../cli.ts'
import { integer } from '../flags/limit-flags.ts'
import { attachTo } from './attach.ts'

/** That it was so already is no failure. */
async function unlessDone(action: Promise<void>): Promise<void> {
  await action.catch((error: unknown) => {
    if (!isKind(error, 'not-modified')) throw error
  })
}

interface StartFlags {
  attach?: boolean
  interactive?: boolean
  detachKeys?: string
  checkpoint?: string
  checkpointDir?: string
}

export function startCommand(cli: Cli): Command {
  return new Command('start')
    .description('start containers')
    .argument('<containers...>')
    .option('-a, --attach', 'show its output and hand signals on')
    .option('-i, --interactive', 'pass standard input on')
    .option('--detach-keys <keys>', 'keys that leave it running (ctrl-p,ctrl-q)')
    .option('--checkpoint <name>', 'go on from a checkpoint')
    .option('--checkpoint-dir <dir>', 'where the checkpoint is')
    .action(async (refs: string[], { attach, interactive, detachKeys, checkpoint, checkpointDir }: StartFlags) => {
      const [ref = '', ...others] = refs
      if (checkpoint !== undefined && others.length > 0) throw usageError('you cannot restore multiple containers at once')
      if (!attach && !interactive) return forEach(cli, refs, (each, { containers }) => unlessDone(containers.start(each, { checkpoint, checkpointDir })))
      if (others.length > 0) throw usageError('you cannot start and attach multiple containers at once')
      const { containers } = await cli.engine()
      await attachTo(cli, ref, { stdin: interactive ?? false, detachKeys, start: () => containers.start(ref, { checkpoint, checkpointDir }) })
    })
}

interface StopFlags {
  timeout?: number
  /** The older name. */
  time?: number
  signal?: string
}

const stopFlags = (command: Command): Command =>
  command
    .option('-t, --timeout <seconds>', 'seconds until it is killed; -1 for never', integer)
    .addOption(new Option('--time <seconds>').argParser(integer).hideHelp())
    .option('-s, --signal <signal>', 'signal that stops it')

export function stopCommand(cli: Cli): Command {
  return stopFlags(new Command('stop').description('stop containers').argument('<containers...>')).action((refs: string[], { time, timeout = time, signal }: StopFlags) =>
    forEach(cli, refs, (ref, { containers }) => unlessDone(containers.stop(ref, { timeout, stopSignal: signal }))),
  )
}

export function restartCommand(cli: Cli): Command {
  return stopFlags(new Command('restart').description('restart containers').argument('<containers...>')).action((refs: string[], { time, timeout = time, signal }: StopFlags) =>
    forEach(cli, refs, (ref, { containers }) => containers.restart(ref, { timeout, stopSignal: signal })),
  )
}

export function killCommand(cli: Cli): Command {
  return new Command('kill')
    .description('send containers a signal')
    .argument('<containers...>')
    .option('-s, --signal <signal>', 'signal (SIGKILL)')
    .action((refs: string[], { signal }: StopFlags) => forEach(cli, refs, (ref, { containers }) => containers.kill(ref, { killSignal: signal })))
}

export function removeCommand(cli: Cli): Command {
  return new Command('rm')
    .alias('remove')
    .description('remove containers')
    .argument('<containers...>')
    .option('-f, --force', 'also what runs, by SIGKILL')
    .option('-v, --volumes', 'their unnamed volumes too')
    .option('-l, --link', 'only the link of that name')
    .action((refs: string[], { force, volumes, link }: { force?: boolean; volumes?: boolean; link?: boolean }) =>
      forEach(cli, refs, async (ref, { containers }) => {
        await containers.remove(ref, { force, volumes, link }).catch((error: unknown) => {
          if (!force || !isKind(error, 'not-found')) throw error
          cli.io.stderr.write(`${(error as Error).message}\n`)
        })
      }),
    )
}

export function waitCommand(cli: Cli): Command {
  return new Command('wait')
    .description('wait until containers end and print their exit codes')
    .argument('<containers...>')
    .action((refs: string[]) => forEach(cli, refs, async (ref, { containers }) => String((await (await containers.wait(ref)).result).StatusCode)))
}

export function renameCommand(cli: Cli): Command {
  return new Command('rename')
    .description('rename a container')
    .argument('<container>')
    .argument('<name>')
    .action(async (container: string, name: string) => (await cli.engine()).containers.rename(container, name))
}

export function pauseCommand(cli: Cli): Command {
  return new Command('pause')
    .description('freeze all processes of containers')
    .argument('<containers...>')
    .action((refs: string[]) => forEach(cli, refs, (ref, { containers }) => containers.pause(ref)))
}

export function unpauseCommand(cli: Cli): Command {
  return new Command('unpause')
    .description('let all processes of containers go on')
    .argument('<containers...>')
    .action((refs: string[]) => forEach(cli, refs, (ref, { containers }) => containers.unpause(ref)))
}
