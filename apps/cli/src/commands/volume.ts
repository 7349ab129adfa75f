import type { Volume } from '@berth/api-types'
import { Command } from 'commander'
import { type Cli, collect, forEach } from '../cli.ts'
import { parsePairs } from '../flags/environment.ts'
import { parseFilters } from '../flags/filters.ts'
import { type Column, type ListFlags, printList } from '../output/table.ts'
import { inspectCommand } from './inspect.ts'
import { pruneVolumesCommand } from './prune.ts'

const columns: Column<Volume>[] = [
  { heading: 'DRIVER', field: 'Driver', cell: ({ Driver }) => Driver },
  { heading: 'VOLUME NAME', field: 'Name', cell: ({ Name }) => Name },
]

const more: Column<Volume>[] = [
  { heading: 'MOUNTPOINT', field: 'Mountpoint', cell: ({ Mountpoint }) => Mountpoint },
  { heading: 'SCOPE', field: 'Scope', cell: ({ Scope }) => Scope },
  { heading: 'LABELS', field: 'Labels', cell: ({ Labels }) => Object.entries(Labels ?? {}).map((pair) => pair.join('=')).join(',') },
]

function listCommand(cli: Cli): Command {
  return new Command('ls')
    .alias('list')
    .description('list volumes')
    .option('-q, --quiet', 'names only')
    .option('-f, --filter <key=value>', 'only those: name, driver, label, dangling', collect)
    .option('--format <format>', 'json, or a template: {{.Name}}')
    .action(async (flags: ListFlags & { filter?: string[] }) => {
      const { Volumes = [] } = await (await cli.engine()).volumes.list({ filters: parseFilters(flags.filter) })
      printList(cli, Volumes.toSorted((a, b) => a.Name.localeCompare(b.Name)), columns, { ...flags, more, id: ({ Name }) => Name })
    })
}

function createVolumeCommand(cli: Cli): Command {
  return new Command('create')
    .description('create a volume')
    .argument('[name]')
    .option('-d, --driver <driver>', 'driver (local)')
    .option('-o, --opt <key=value>', 'option of the driver', collect)
    .option('--label <key=value>', 'label', collect)
    .action(async (name: string | undefined, { driver, opt = [], label = [] }: { driver?: string; opt?: string[]; label?: string[] }) => {
      const { Name } = await (await cli.engine()).volumes.create({ Name: name, Driver: driver, DriverOpts: parsePairs(opt), Labels: parsePairs(label) })
      cli.print(Name)
    })
}

function removeVolumesCommand(cli: Cli): Command {
  return new Command('rm')
    .alias('remove')
    .description('remove volumes')
    .argument('<volumes...>')
    .option('-f, --force', 'no complaint about what is not there')
    .action((refs: string[], { force }: { force?: boolean }) => forEach(cli, refs, (ref, { volumes }) => volumes.remove(ref, { force })))
}

export function volumeCommand(cli: Cli): Command {
  const volume = new Command('volume').description('volumes')
  for (const make of [listCommand, createVolumeCommand, inspectCommand, removeVolumesCommand, pruneVolumesCommand]) volume.addCommand(make(cli))
  return volume
}
