import { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { formatTable } from '../output/table.ts'

interface PlaceFlags {
  checkpointDir?: string
}

const place = (command: Command): Command => command.option('--checkpoint-dir <dir>', "where on the engine's machine checkpoints are")

function createCommand(cli: Cli): Command {
  return place(new Command('create').description('keep the state of a running container').argument('<container>').argument('<checkpoint>'))
    .option('--leave-running', 'let the container go on')
    .action(async (container: string, checkpoint: string, { checkpointDir, leaveRunning = false }: PlaceFlags & { leaveRunning?: boolean }) => {
      const { checkpoints } = await cli.engine()
      await checkpoints.create(container, { id: checkpoint, dir: checkpointDir, exit: !leaveRunning })
      cli.print(checkpoint)
    })
}

function listCommand(cli: Cli): Command {
  return place(new Command('ls').alias('list').description('list the checkpoints of a container').argument('<container>')).action(async (container: string, { checkpointDir }: PlaceFlags) => {
    const { checkpoints } = await cli.engine()
    const list = await checkpoints.list(container, { dir: checkpointDir })
    for (const line of formatTable(['CHECKPOINT NAME'], list.map(({ Name }) => [Name]))) cli.print(line)
  })
}

function removeCommand(cli: Cli): Command {
  return place(new Command('rm').alias('remove').description('remove a checkpoint').argument('<container>').argument('<checkpoint>')).action(
    async (container: string, checkpoint: string, { checkpointDir }: PlaceFlags) => (await cli.engine()).checkpoints.remove(container, checkpoint, { dir: checkpointDir }),
  )
}

/** `berth start --checkpoint` goes on from one. */
export function checkpointCommand(cli: Cli): Command {
  const group = new Command('checkpoint').description('states of running containers that are kept')
  for (const make of [createCommand, listCommand, removeCommand]) group.addCommand(make(cli))
  return group
}
