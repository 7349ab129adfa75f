import { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { formatTable } from '../output/table.ts'

export function topCommand(cli: Cli): Command {
  return new Command('top')
    .description('list the processes of a container')
    .argument('<container>')
    .argument('[ps options...]')
    .passThroughOptions()
    .allowUnknownOption()
    .action(async (container: string, options: string[]) => {
      const { containers } = await cli.engine()
      const { Titles = [], Processes = [] } = await containers.top(container, options.length > 0 ? { psArgs: options.join(' ') } : {})
      for (const line of formatTable(Titles, Processes)) cli.print(line)
    })
}
