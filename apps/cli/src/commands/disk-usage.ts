import type { SystemDataUsageResponse } from '@berth/api-types'
import { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { humanSize } from '../output/human.ts'
import { type Column, type ListFlags, printList } from '../output/table.ts'

interface Usage {
  type: string
  count: number
  active: number
  size: number
  /** Bytes that a prune of everything unused would free. */
  reclaimable: number
}

const sum = (sizes: readonly number[]): number => sizes.filter((size) => size > 0).reduce((total, size) => total + size, 0)

/** What each kind takes. Of images the layers that several share count once, and those that any used image stands on are not reclaimable. */
function usageOf({ LayersSize = 0, Images, Containers, Volumes, BuildCache }: SystemDataUsageResponse): Usage[] {
  const [images, containers, volumes, cache] = [Images ?? [], Containers ?? [], Volumes ?? [], BuildCache ?? []]
  const usedImages = images.filter((image) => image.Containers > 0)
  const live = containers.filter(({ State }) => State === 'running' || State === 'paused' || State === 'restarting')
  const usedVolumes = volumes.filter(({ UsageData }) => (UsageData?.RefCount ?? 0) > 0)
  const volumeSize = (list: typeof volumes): number => sum(list.map(({ UsageData }) => UsageData?.Size ?? 0))
  const written = (list: typeof containers): number => sum(list.map(({ SizeRw }) => SizeRw ?? 0))
  const inUse = sum(usedImages.map(({ Size, SharedSize }) => Size - Math.max(SharedSize, 0)))
  return [
    { type: 'Images', count: images.length, active: usedImages.length, size: LayersSize, reclaimable: LayersSize - inUse },
    { type: 'Containers', count: containers.length, active: live.length, size: written(containers), reclaimable: written(containers) - written(live) },
    { type: 'Local Volumes', count: volumes.length, active: usedVolumes.length, size: volumeSize(volumes), reclaimable: volumeSize(volumes) - volumeSize(usedVolumes) },
    {
      type: 'Build Cache',
      count: cache.length,
      active: cache.filter(({ InUse }) => InUse).length,
      size: sum(cache.map(({ Size }) => Size ?? 0)),
      reclaimable: sum(cache.filter(({ InUse, Shared }) => !InUse && !Shared).map(({ Size }) => Size ?? 0)),
    },
  ]
}

const reclaimed = ({ size, reclaimable }: Usage): string => `${humanSize(Math.max(reclaimable, 0))}${size > 0 ? ` (${Math.trunc((Math.max(reclaimable, 0) / size) * 100)}%)` : ''}`

export function diskUsageCommand(cli: Cli): Command {
  return new Command('df')
    .description('show what the engine keeps on disk, and how much of it nothing uses')
    .option('--format <format>', 'json, or a template: {{.Type}} {{.Size}}')
    .action(async (flags: ListFlags) => {
      const usage = await (await cli.engine()).system.diskUsage()
      const columns: Column<Usage>[] = [
        { heading: 'TYPE', field: 'Type', cell: ({ type }) => type },
        { heading: 'TOTAL', field: 'TotalCount', cell: ({ count }) => String(count) },
        { heading: 'ACTIVE', field: 'Active', cell: ({ active }) => String(active) },
        { heading: 'SIZE', field: 'Size', cell: ({ size }) => humanSize(size) },
        { heading: 'RECLAIMABLE', field: 'Reclaimable', cell: reclaimed },
      ]
      printList(cli, usageOf(usage), columns, { ...flags, id: ({ type }) => type })
    })
}
