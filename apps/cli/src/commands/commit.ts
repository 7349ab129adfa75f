import { Command } from 'commander'
import { type Cli, collect } from '../cli.ts'
import { targetReference } from '../flags/references.ts'
import { printable } from '../output/table.ts'

interface CommitFlags {
  author?: string
  message?: string
  change?: string[]
  pause: boolean
}

export function commitCommand(cli: Cli): Command {
  return new Command('commit')
    .description('make an image of a container')
    .argument('<container>')
    .argument('[name[:tag]]')
    .option('-a, --author <text>', 'who made it')
    .option('-m, --message <text>', 'what was done')
    .option('-c, --change <instruction>', 'Dockerfile instruction for the config', collect)
    .option('-p, --pause', 'freeze its processes meanwhile', true)
    .option('--no-pause', 'let its processes go on meanwhile')
    .addHelpText('after', `\nExamples:\n  berth commit web site:2\n  berth commit -m 'with tools' -c 'CMD ["serve"]' --no-pause web site:3`)
    .action(async (container: string, reference: string | undefined, { author, message, change, pause }: CommitFlags) => {
      const { name, tag } = reference === undefined ? {} : targetReference(reference)
      const { containers } = await cli.engine()
      cli.print((await containers.commit(container, { repo: name, tag, author, comment: message, changes: change, pause })).Id)
    })
}

const letters = ['C', 'A', 'D'] as const

export function diffCommand(cli: Cli): Command {
  return new Command('diff')
    .description('list what a container changed in its file system: A added, C changed, D deleted')
    .argument('<container>')
    .action(async (container: string) => {
      const { containers } = await cli.engine()
      for (const { Kind, Path } of await containers.changes(container)) cli.print(`${letters[Kind] ?? '?'} ${printable(Path)}`)
    })
}
