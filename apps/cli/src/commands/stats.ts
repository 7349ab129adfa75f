import type { ContainerStatsResponse } from '@berth/api-types'
import { messageOf } from '@berth/core'
import { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { humanMemory, humanSize, shortId } from '../output/human.ts'
import { type Column, formatTable, type ListFlags, printList } from '../output/table.ts'

/** Milliseconds between two pictures of the live table. */
const period = 500

const percent = (value: number): string => `${value.toFixed(2)}%`

/** The share of one CPU since the sample before, in percent. */
function cpuPercent({ cpu_stats: now, precpu_stats: before }: ContainerStatsResponse): number {
  const used = (now?.cpu_usage?.total_usage ?? 0) - (before?.cpu_usage?.total_usage ?? 0)
  const passed = (now?.system_cpu_usage ?? 0) - (before?.system_cpu_usage ?? 0)
  return used > 0 && passed > 0 ? (used / passed) * (now?.online_cpus || 1) * 100 : 0
}

/** Memory in use without the page cache that can be taken back, as Docker counts it. */
function memoryUse({ memory_stats }: ContainerStatsResponse): number {
  const { usage, stats } = memory_stats ?? {}
  return Math.max(0, (usage ?? 0) - (stats?.['total_inactive_file'] ?? stats?.['inactive_file'] ?? 0))
}

function total(sample: ContainerStatsResponse, key: 'rx_bytes' | 'tx_bytes'): number {
  return Object.values(sample.networks ?? {}).reduce((sum, network) => sum + (network?.[key] ?? 0), 0)
}

function blocks({ blkio_stats }: ContainerStatsResponse, op: string): number {
  return (blkio_stats?.io_service_bytes_recursive ?? []).reduce((sum, entry) => sum + (entry?.op?.toLowerCase() === op ? (entry.value ?? 0) : 0), 0)
}

const columnsOf = ({ trunc = true }: StatsFlags): Column<ContainerStatsResponse>[] => [
  { heading: 'CONTAINER ID', field: 'ID', cell: ({ id }) => (trunc ? shortId(id ?? '') : (id ?? '')) },
  { heading: 'NAME', field: 'Name', cell: ({ name }) => (name ?? '').replace(/^\//, '') },
  { heading: 'CPU %', field: 'CPUPerc', cell: (sample) => percent(cpuPercent(sample)) },
  { heading: 'MEM USAGE / LIMIT', field: 'MemUsage', cell: (sample) => `${humanMemory(memoryUse(sample))} / ${humanMemory(sample.memory_stats?.limit ?? 0)}` },
  { heading: 'MEM %', field: 'MemPerc', cell: (sample) => percent(sample.memory_stats?.limit ? (memoryUse(sample) / sample.memory_stats.limit) * 100 : 0) },
  { heading: 'NET I/O', field: 'NetIO', cell: (sample) => `${humanSize(total(sample, 'rx_bytes'))} / ${humanSize(total(sample, 'tx_bytes'))}` },
  { heading: 'BLOCK I/O', field: 'BlockIO', cell: (sample) => `${humanSize(blocks(sample, 'read'))} / ${humanSize(blocks(sample, 'write'))}` },
  { heading: 'PIDS', field: 'PIDs', cell: ({ pids_stats }) => String(pids_stats?.current ?? 0) },
]

interface StatsFlags extends ListFlags {
  all?: boolean
  stream?: boolean
  trunc?: boolean
}

export function statsCommand(cli: Cli): Command {
  return new Command('stats')
    .description('show what containers use')
    .argument('[containers...]')
    .option('-a, --all', 'also those that do not run')
    .option('--no-stream', 'once')
    .option('--no-trunc', 'IDs in full')
    .option('--format <format>', 'json, or a template: {{.Name}} {{.CPUPerc}}')
    .action(async (refs: string[], flags: StatsFlags) => {
      const { containers } = await cli.engine()
      const chosen = refs.length > 0 ? refs : (await containers.list({ all: flags.all })).map(({ Id = '' }) => Id)
      const once = async (ref: string): Promise<ContainerStatsResponse[]> => {
        try {
          for await (const sample of containers.stats(ref, { stream: false })) return [sample]
        } catch (error) {
          cli.complain(error)
        }
        return []
      }
      if (flags.stream === false) return printList(cli, (await Promise.all(chosen.map(once))).flat(), columnsOf(flags), { ...flags, id: ({ id }) => id ?? '' })
      await showLive(cli, chosen, flags)
    })
}

/** Follows the containers and draws the table anew as samples come, until none runs. */
async function showLive(cli: Cli, refs: readonly string[], flags: StatsFlags): Promise<void> {
  const { containers } = await cli.engine()
  const columns = columnsOf(flags)
  const samples = new Map<string, ContainerStatsResponse>()
  let running = refs.length
  const draw = (): void => {
    const list = refs.flatMap((ref) => samples.get(ref) ?? [])
    if (!cli.io.stdout.isTTY || flags.format !== undefined) return printList(cli, list, columns, { ...flags, id: ({ id }) => id ?? '' })
    const lines = formatTable(columns.map(({ heading }) => heading), list.map((sample) => columns.map(({ cell }) => cell(sample))))
    // Home, each line cleared to its end, and the rest of the screen cleared: no flicker.
    cli.io.stdout.write(`\x1b[H${lines.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`)
  }
  if (cli.io.stdout.isTTY) cli.io.stdout.write('\x1b[2J')
  const timer = setInterval(draw, period)
  await Promise.all(
    refs.map(async (ref) => {
      try {
        for await (const sample of containers.stats(ref)) samples.set(ref, sample)
      } catch (error) {
        cli.io.stderr.write(`berth: ${messageOf(error)}\n`)
        cli.exitCode = 1
      }
      samples.delete(ref)
      running--
    }),
  )
  clearInterval(timer)
  if (running === 0 && samples.size > 0) draw()
}
