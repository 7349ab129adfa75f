import { Command } from 'commander'
import type { Cli } from './cli.ts'
import { exportCommand, loadCommand, saveCommand } from './commands/archives.ts'
import { attachCommand } from './commands/attach.ts'
import { checkpointCommand } from './commands/checkpoint.ts'
import { commitCommand, diffCommand } from './commands/commit.ts'
import { copyCommand } from './commands/copy.ts'
import { createCommand } from './commands/create.ts'
import { diskUsageCommand } from './commands/disk-usage.ts'
import { eventsCommand } from './commands/events.ts'
import { execCommand } from './commands/exec.ts'
import { fsckCommand } from './commands/fsck.ts'
import { historyCommand, imagesCommand, removeImagesCommand, tagCommand } from './commands/images.ts'
import { inspectCommand } from './commands/inspect.ts'
import { killCommand, pauseCommand, removeCommand, renameCommand, restartCommand, startCommand, stopCommand, unpauseCommand, waitCommand } from './commands/lifecycle.ts'
import { loginCommand, logoutCommand } from './commands/login.ts'
import { logsCommand } from './commands/logs.ts'
import { manifestCommand } from './commands/manifest.ts'
import { networkCommand } from './commands/network.ts'
import { portCommand } from './commands/port.ts'
import { pruneContainersCommand, pruneImagesCommand, pruneSystemCommand } from './commands/prune.ts'
import { psCommand } from './commands/ps.ts'
import { registryCommand } from './commands/registry.ts'
import { runCommand } from './commands/run.ts'
import { searchCommand } from './commands/search.ts'
import { statsCommand } from './commands/stats.ts'
import { dialStdioCommand, infoCommand, versionCommand } from './commands/system.ts'
import { topCommand } from './commands/top.ts'
import { importCommand, pullCommand, pushCommand } from './commands/transfer.ts'
import { updateCommand } from './commands/update.ts'
import { volumeCommand } from './commands/volume.ts'

type MakeCommand = (cli: Cli) => Command

/** Commands about containers, which stand at the top too. */
const containerCommands: MakeCommand[] = [
  runCommand,
  createCommand,
  startCommand,
  stopCommand,
  restartCommand,
  killCommand,
  removeCommand,
  psCommand,
  logsCommand,
  execCommand,
  attachCommand,
  statsCommand,
  topCommand,
  portCommand,
  waitCommand,
  renameCommand,
  pauseCommand,
  unpauseCommand,
  updateCommand,
  copyCommand,
  commitCommand,
  diffCommand,
  exportCommand,
]

const imageCommands: MakeCommand[] = [pullCommand, pushCommand, tagCommand, importCommand, historyCommand, saveCommand, loadCommand]

function group(cli: Cli, name: string, description: string, commands: readonly MakeCommand[]): Command {
  const parent = new Command(name).description(description).enablePositionalOptions()
  for (const make of commands) parent.addCommand(make(cli))
  return parent
}

/** The same command under the name it has in its group. */
const renamed =
  (make: MakeCommand, name: string, ...aliases: string[]): MakeCommand =>
  (cli) => {
    const command = make(cli).name(name)
    return aliases.length > 0 ? command.aliases(aliases) : command
  }

/** The whole command line. */
export function createProgram(cli: Cli): Command {
  const program = new Command('berth')
    .enablePositionalOptions()
    .description('Containers, from the command line. Commands and flags are those of docker.')
    .option('-H, --host <host>', 'engine to talk to: unix:///path, tcp://host:port or ssh://user@host (BERTH_HOST, DOCKER_HOST)')
    .hook('preAction', (root) => void (cli.host = root.opts<{ host?: string }>().host))
  const all: MakeCommand[] = [
    ...containerCommands,
    inspectCommand,
    imagesCommand,
    ...imageCommands,
    removeImagesCommand,
    searchCommand,
    loginCommand,
    logoutCommand,
    manifestCommand,
    registryCommand,
    versionCommand,
    infoCommand,
    eventsCommand,
    (own) => group(own, 'container', 'containers', [...containerCommands.filter((make) => make !== psCommand), renamed(psCommand, 'ls', 'list', 'ps'), inspectCommand, pruneContainersCommand]),
    (own) => group(own, 'image', 'images', [...imageCommands, renamed(imagesCommand, 'ls', 'list'), renamed(removeImagesCommand, 'rm', 'remove'), inspectCommand, pruneImagesCommand, fsckCommand]),
    networkCommand,
    volumeCommand,
    checkpointCommand,
    (own) => group(own, 'system', 'the engine', [infoCommand, eventsCommand, diskUsageCommand, pruneSystemCommand, dialStdioCommand]),
  ]
  for (const make of all) program.addCommand(make(cli))
  configure(program, cli)
  return program
}

/** Settings that commander does not hand down to commands made on their own. */
function configure(command: Command, cli: Cli): void {
  command
    .helpOption('--help', 'show this')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void cli.io.stdout.write(text),
      writeErr: (text) => void cli.io.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'berth: ')),
    })
  for (const sub of command.commands) configure(sub, cli)
}
