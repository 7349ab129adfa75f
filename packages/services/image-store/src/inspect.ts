import type { HistoryResponseItem, ImageInspect } from '@berth/api-types'
import { familiarReference, parseReference } from '@berth/oci'
import type { Mount } from '@berth/snapshotter'
import { manifestSummaries } from './manifest-summaries.ts'
import { findImage, readConfig } from './resolve.ts'
import type { Store } from './store.ts'

/** Go's zero time, as Docker shows a time that was never set. */
const neverTime = '0001-01-01T00:00:00Z'

/** @throws as `findImage`. */
export async function inspectImage(
  store: Store,
  ref: string,
  { platform, manifests = false }: { platform?: string | undefined; manifests?: boolean | undefined } = {},
): Promise<ImageInspect> {
  const { image, target } = findImage(store, ref, platform)
  const config = await readConfig(store, image.id)
  const { tags, digests } = familiarNames(store.records.names.of(image.id))
  const top = store.records.layers.of(image.id).at(-1)
  const parent = image.parent !== undefined && store.records.images.get(image.parent) ? image.parent : ''
  return {
    Id: image.id,
    RepoTags: tags,
    RepoDigests: digests,
    Parent: parent,
    Comment: config.history?.at(-1)?.comment ?? '',
    Created: config.created ?? neverTime,
    DockerVersion: config.docker_version ?? '',
    Author: config.author ?? '',
    Config: config.config ?? {},
    Architecture: config.architecture,
    ...(config.variant && { Variant: config.variant }),
    Os: config.os,
    ...(config['os.version'] && { OsVersion: config['os.version'] }),
    Size: store.records.layers.size(image.id),
    GraphDriver: { Name: store.snapshotter.name, Data: top ? driverData(await store.snapshotter.mounts(top.chainId)) : {} },
    RootFS: { Type: 'layers', Layers: config.rootfs.diff_ids },
    Metadata: { LastTagTime: image.lastTagMs === undefined ? neverTime : new Date(image.lastTagMs).toISOString() },
    ...(manifests && { Manifests: await manifestSummaries(store, image, target) }),
  }
}

/** Newest step first. Sizes are those of the unpacked layers. */
export async function imageHistory(store: Store, ref: string, { platform }: { platform?: string | undefined } = {}): Promise<HistoryResponseItem[]> {
  const { image } = findImage(store, ref, platform)
  const config = await readConfig(store, image.id)
  const layers = store.records.layers.of(image.id)
  const steps = config.history ?? layers.map(() => ({ created: config.created, created_by: '', comment: '', empty_layer: false }))
  let position = 0
  const items = steps.map((step) => ({
    Id: '<missing>',
    Created: secondsOf(step.created),
    CreatedBy: step.created_by ?? '',
    Tags: null as string[] | null,
    Size: step.empty_layer ? 0 : (layers[position++]?.size ?? 0),
    Comment: step.comment ?? '',
  }))
  const newest = items.at(-1)
  if (newest) {
    newest.Id = image.id
    newest.Tags = familiarNames(store.records.names.of(image.id)).tags
  }
  return items.toReversed() as HistoryResponseItem[]
}

/** Recorded names as Docker shows them, tags apart from digests. */
export function familiarNames(names: readonly string[]): { tags: string[]; digests: string[] } {
  const references = names.map(parseReference)
  return {
    tags: references.filter(({ digest }) => digest === undefined).map(familiarReference),
    digests: references.filter(({ digest }) => digest !== undefined).map(familiarReference),
  }
}

/** Seconds since the epoch; Go's zero time for what is none. */
function secondsOf(time: string | undefined): number {
  const milliseconds = Date.parse(time ?? neverTime)
  return Math.floor((Number.isNaN(milliseconds) ? Date.parse(neverTime) : milliseconds) / 1000)
}

/** Docker's names for what an overlay is made of; of other file systems, nothing. */
function driverData(mounts: readonly Mount[]): Record<string, string> {
  const [mount] = mounts
  if (!mount) return {}
  const lower = mount.options.find((option) => option.startsWith('lowerdir='))?.slice('lowerdir='.length)
  if (lower === undefined) return mount.type === 'bind' ? { UpperDir: mount.source } : {}
  const [upper, ...rest] = lower.split(':')
  return { UpperDir: upper!, ...(rest.length > 0 && { LowerDir: rest.join(':') }) }
}
