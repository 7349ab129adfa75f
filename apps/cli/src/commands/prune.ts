import { createInterface } from 'node:readline/promises'
import type { Readable, Writable } from 'node:stream'
import { Command } from 'commander'
import { type Cli, collect } from '../cli.ts'
import { parseFilters } from '../flags/filters.ts'
import { humanSize } from '../output/human.ts'

interface PruneFlags {
  force?: boolean
  all?: boolean
  volumes?: boolean
  filter?: string[]
}

/** Asks before something is removed; anything but y is no. */
async function confirm({ io }: Cli, question: string): Promise<boolean> {
  const lines = createInterface({ input: io.stdin as unknown as Readable, output: io.stderr as unknown as Writable })
  try {
    return /^y(es)?$/i.test((await lines.question(`WARNING! ${question}\nAre you sure you want to continue? [y/N] `)).trim())
  } finally {
    lines.close()
  }
}

function prune(cli: Cli, description: string, question: (flags: PruneFlags) => string, perform: (flags: PruneFlags, filters: Record<string, string[]>) => Promise<void>): Command {
  return new Command('prune')
    .description(description)
    .option('-f, --force', 'do not ask')
    .option('--filter <key=value>', 'only those: label, until', collect)
    .action(async (flags: PruneFlags) => {
      if (flags.force || (await confirm(cli, question(flags)))) await perform(flags, parseFilters(flags.filter))
    })
}

function report(cli: Cli, title: string, names: readonly string[] | null | undefined): void {
  if (names && names.length > 0) cli.print([title, ...names, ''].join('\n'))
}

function reclaimed(cli: Cli, bytes: number): void {
  cli.print(`Total reclaimed space: ${humanSize(bytes)}`)
}

async function pruneContainers(cli: Cli, filters: Record<string, string[]>): Promise<number> {
  const { ContainersDeleted, SpaceReclaimed = 0 } = await (await cli.engine()).containers.prune({ filters })
  report(cli, 'Deleted Containers:', ContainersDeleted)
  return SpaceReclaimed
}

async function pruneImages(cli: Cli, all: boolean | undefined, filters: Record<string, string[]>): Promise<number> {
  const { ImagesDeleted, SpaceReclaimed = 0 } = await (await cli.engine()).images.prune({ filters: { ...filters, dangling: [all ? 'false' : 'true'] } })
  report(cli, 'Deleted Images:', ImagesDeleted?.map(({ Untagged, Deleted }) => (Untagged === undefined ? `deleted: ${Deleted}` : `untagged: ${Untagged}`)))
  return SpaceReclaimed
}

async function pruneNetworks(cli: Cli, filters: Record<string, string[]>): Promise<void> {
  report(cli, 'Deleted Networks:', (await (await cli.engine()).networks.prune({ filters })).NetworksDeleted)
}

async function pruneVolumes(cli: Cli, all: boolean | undefined, filters: Record<string, string[]>): Promise<number> {
  const { VolumesDeleted, SpaceReclaimed = 0 } = await (await cli.engine()).volumes.prune({ filters: { ...filters, ...(all ? { all: ['true'] } : {}) } })
  report(cli, 'Deleted Volumes:', VolumesDeleted)
  return SpaceReclaimed
}

export function pruneContainersCommand(cli: Cli): Command {
  return prune(cli, 'remove all stopped containers', () => 'This will remove all stopped containers.', async (_, filters) => reclaimed(cli, await pruneContainers(cli, filters)))
}

const whichImages = (all: boolean | undefined): string => (all ? 'all images without at least one container associated to them' : 'all dangling images')

export function pruneImagesCommand(cli: Cli): Command {
  return prune(cli, 'remove unused images', ({ all }) => `This will remove ${whichImages(all)}.`, async ({ all }, filters) => reclaimed(cli, await pruneImages(cli, all, filters))).option('-a, --all', 'all that no container uses, not only untagged ones')
}

export function pruneNetworksCommand(cli: Cli): Command {
  return prune(cli, 'remove unused networks', () => 'This will remove all custom networks not used by at least one container.', (_, filters) => pruneNetworks(cli, filters))
}

export function pruneVolumesCommand(cli: Cli): Command {
  return prune(
    cli,
    'remove unused volumes',
    ({ all }) => `This will remove ${all ? 'all' : 'anonymous local'} volumes not used by at least one container.`,
    async ({ all }, filters) => reclaimed(cli, await pruneVolumes(cli, all, filters)),
  ).option('-a, --all', 'named ones too')
}

export function pruneSystemCommand(cli: Cli): Command {
  const question = ({ all, volumes }: PruneFlags): string =>
    `This will remove all stopped containers, all networks not used by at least one container, ${volumes ? 'all anonymous volumes not used by at least one container, ' : ''}and ${whichImages(all)}.`
  return prune(cli, 'remove everything unused', question, async ({ all, volumes }, filters) => {
    let total = await pruneContainers(cli, filters)
    await pruneNetworks(cli, filters)
    if (volumes) total += await pruneVolumes(cli, false, filters)
    total += await pruneImages(cli, all, filters)
    reclaimed(cli, total)
  })
    .option('-a, --all', 'all images that no container uses, not only untagged ones')
    .option('--volumes', 'unnamed volumes too')
}
