import type { ContainerSummary, Port } from '@berth/api-types'
import { Command } from 'commander'
import { type Cli, collect } from '../cli.ts'
import { integer } from '../flags/limit-flags.ts'
import { parseFilters } from '../flags/filters.ts'
import { humanAge, humanSize, shortId } from '../output/human.ts'
import { type Column, type ListFlags, printList } from '../output/table.ts'

interface PsFlags extends ListFlags {
  all?: boolean
  last?: number
  latest?: boolean
  size?: boolean
  trunc?: boolean
  filter?: string[]
}

/** `0.0.0.0:8080->80/tcp`. */
function formatPort({ IP = '', PublicPort, PrivatePort, Type }: Port): string {
  return PublicPort ? `${IP.includes(':') ? `[${IP}]` : IP}:${PublicPort}->${PrivatePort}/${Type}` : `${PrivatePort}/${Type}`
}

const shorten = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length - 1)}…` : text)

function columnsOf({ trunc = true, size }: PsFlags): Column<ContainerSummary>[] {
  return [
    { heading: 'CONTAINER ID', field: 'ID', cell: ({ Id = '' }) => (trunc ? shortId(Id) : Id) },
    { heading: 'IMAGE', field: 'Image', cell: ({ Image = '' }) => (trunc && Image.startsWith('sha256:') ? shortId(Image) : Image) },
    { heading: 'COMMAND', field: 'Command', cell: ({ Command: command = '' }) => `"${trunc ? shorten(command, 20) : command}"` },
    { heading: 'CREATED', field: 'RunningFor', cell: ({ Created = 0 }) => humanAge(Created * 1000, Date.now()) },
    { heading: 'STATUS', field: 'Status', cell: ({ Status = '' }) => Status },
    { heading: 'PORTS', field: 'Ports', cell: ({ Ports = [] }) => Ports.map(formatPort).join(', ') },
    { heading: 'NAMES', field: 'Names', cell: ({ Names = [] }) => Names.map((name) => name.replace(/^\//, '')).join(',') },
    ...(size ? [{ heading: 'SIZE', field: 'Size', cell: ({ SizeRw, SizeRootFs }: ContainerSummary) => `${humanSize(SizeRw ?? 0)} (virtual ${humanSize(SizeRootFs ?? 0)})` }] : []),
  ]
}

const more: Column<ContainerSummary>[] = [
  { heading: 'STATE', field: 'State', cell: ({ State = '' }) => State },
  { heading: 'LABELS', field: 'Labels', cell: ({ Labels = {} }) => Object.entries(Labels).map((pair) => pair.join('=')).join(',') },
  { heading: 'MOUNTS', field: 'Mounts', cell: ({ Mounts = [] }) => Mounts.map(({ Name, Source }) => Name || Source).join(',') },
  { heading: 'NETWORKS', field: 'Networks', cell: ({ NetworkSettings }) => Object.keys(NetworkSettings?.Networks ?? {}).join(',') },
  { heading: 'CREATED AT', field: 'CreatedAt', cell: ({ Created = 0 }) => new Date(Created * 1000).toISOString() },
]

export function psCommand(cli: Cli): Command {
  return new Command('ps')
    .description('list containers')
    .option('-a, --all', 'also those that do not run')
    .option('-n, --last <number>', 'the last created, in any state', integer)
    .option('-l, --latest', 'the last created one')
    .option('-q, --quiet', 'IDs only')
    .option('-s, --size', 'sizes too')
    .option('--no-trunc', 'everything in full')
    .option('-f, --filter <key=value>', 'only those: name, status, label, ancestor, …', collect)
    .option('--format <format>', 'json, or a template: {{.Names}}')
    .action(async (flags: PsFlags) => {
      const { containers } = await cli.engine()
      const limit = flags.latest ? 1 : flags.last
      const list = await containers.list({ all: flags.all || limit !== undefined, limit, size: flags.size, filters: parseFilters(flags.filter) })
      const columns = columnsOf(flags)
      printList(cli, list, columns, { ...flags, more, id: ({ Id = '' }) => (flags.trunc === false ? Id : shortId(Id)) })
    })
}
