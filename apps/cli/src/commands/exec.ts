import { Command } from 'commander'
import { type Cli, collect, usageError } from '../cli.ts'
import { parseEnvironment, readEnvironmentFile } from '../flags/environment.ts'

interface ExecFlags {
  detach?: boolean
  interactive?: boolean
  tty?: boolean
  env?: string[]
  envFile?: string[]
  workdir?: string
  user?: string
  privileged?: boolean
  detachKeys?: string
}

export function execCommand(cli: Cli): Command {
  return new Command('exec')
    .description('run a command in a running container')
    .argument('<container>')
    .argument('<command...>')
    .option('-d, --detach', 'run it in the background')
    .option('-i, --interactive', 'keep standard input open')
    .option('-t, --tty', 'give it a terminal')
    .option('-e, --env <name=value>', 'environment variable', collect)
    .option('--env-file <file>', 'file of environment variables', collect)
    .option('-w, --workdir <dir>', 'working directory in the container')
    .option('-u, --user <user>', 'name or ID: user[:group]')
    .option('--privileged', 'give it every right')
    .option('--detach-keys <keys>', 'keys that leave it running (ctrl-p,ctrl-q)')
    .passThroughOptions()
    .action(async (container: string, command: string[], flags: ExecFlags) => exec(cli, container, command, flags))
}

async function exec(cli: Cli, container: string, command: string[], flags: ExecFlags): Promise<void> {
  const { tty = false, interactive = false, detach = false, env = [], envFile = [] } = flags
  if (tty && interactive && !detach && !cli.io.stdin.isTTY) throw usageError('the input device is not a TTY')
  const { execs } = await cli.engine()
  const { Id } = await execs.create(container, {
    Cmd: command,
    AttachStdin: interactive && !detach,
    AttachStdout: !detach,
    AttachStderr: !detach,
    Tty: tty,
    Env: parseEnvironment([...envFile.flatMap(readEnvironmentFile), ...env], cli.io.env),
    WorkingDir: flags.workdir,
    User: flags.user,
    Privileged: flags.privileged,
    DetachKeys: flags.detachKeys,
  })
  if (detach) return execs.startDetached(Id, { tty })
  const { runSession } = await import('../terminal/session.ts')
  const { columns: width, rows: height } = cli.io.stdout
  const connection = await execs.start(Id, { tty, ...(width && height ? { size: { width, height } } : {}) })
  const end = await runSession(cli, connection, { tty, interactive, detachKeys: flags.detachKeys, resize: (size) => execs.resize(Id, size) })
  if (end === 'ended') cli.exitCode = (await execs.inspect(Id)).ExitCode ?? 0
}
