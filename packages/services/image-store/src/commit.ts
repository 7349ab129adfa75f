import { formatNano, nowNano } from '@berth/core'
import { chainIds, familiarReference, type ImageConfig, type ImageRunConfig, hostPlatform } from '@berth/oci'
import { abandonLease, leaseLayers } from './collect.ts'
import { applyChanges } from './config-changes.ts'
import { makeImage } from './make-image.ts'
import type { LayerRecord } from './records/layer-records.ts'
import { findImage, noSuchImage, readConfig, storedName } from './resolve.ts'
import { emitImage, type Store } from './store.ts'
import { emptyDiffId, storeLayer } from './store-layer.ts'
import { targetReference } from './tag.ts'

export interface CommitOptions {
  /** ID of the image that the container stands on, which may be gone meanwhile; none for one that stands on nothing. */
  parent?: string | undefined
  /** The container's changes, as an uncompressed layer tar. */
  layer: AsyncIterable<Uint8Array>
  /** The container's config, which the image gets with `changes` applied. */
  config: ImageRunConfig
  /** Dockerfile instructions: see `applyChanges`. */
  changes: readonly string[]
  author: string
  comment: string
  /** What made the layer, for the history. */
  createdBy: string
  repo?: string | undefined
  tag?: string | undefined
  /** ID of the container. */
  container?: string | undefined
  signal: AbortSignal
}

/**
 * Makes an image of another and a layer on top. A layer without members adds none, as in Docker.
 * @throws `not-found` when the parent is not here; `invalid-argument` for a name or a change that is none.
 */
export async function commitImage(store: Store, options: CommitOptions): Promise<{ id: string }> {
  const { parent, layer, author, comment, createdBy, container, signal } = options
  const reference = options.repo ? targetReference(options.repo, options.tag) : undefined
  const runConfig = applyChanges(options.config, options.changes)
  const lease = store.records.leases.open('commit')
  try {
    const base = parent === undefined ? undefined : await leaseBase(store, parent, lease)
    const baseConfig = base?.config
    const stored = await storeLayer(store, layer, lease, signal)
    const added = stored.diffId === emptyDiffId ? undefined : stored
    const created = formatNano(nowNano())
    const platform = baseConfig ?? hostPlatform()
    const config: ImageConfig = {
      architecture: platform.architecture,
      os: platform.os,
      ...(platform.variant && { variant: platform.variant }),
      ...(baseConfig?.['os.version'] && { 'os.version': baseConfig['os.version'] }),
      ...(baseConfig?.['os.features'] && { 'os.features': baseConfig['os.features'] }),
      created,
      ...(author && { author }),
      ...(container && { container }),
      container_config: options.config,
      config: runConfig,
      rootfs: { type: 'layers', diff_ids: [...(baseConfig?.rootfs.diff_ids ?? []), ...(added ? [added.diffId] : [])] },
      history: [
        ...(baseConfig?.history ?? []),
        { created, ...(author && { author }), created_by: createdBy, ...(comment && { comment }), ...(!added && { empty_layer: true }) },
      ],
    }
    const name = reference && storedName(reference)
    const id = await makeImage(store, { config, base: base?.layers ?? [], added, parent: base?.id, name, step: 'commit', signal }, lease)
    if (reference) emitImage(store, 'tag', id, familiarReference(reference), runConfig.Labels)
    return { id }
  } catch (error) {
    await abandonLease(store, lease, { keepBlobs: false })
    throw error
  }
}

interface BaseImage {
  id: string
  config: ImageConfig
  layers: LayerRecord[]
}

/** What the new image will stand on, which stays also if the parent is removed meanwhile. One that was removed before is known as long as containers stand on it. */
async function leaseBase(store: Store, parent: string, lease: string): Promise<BaseImage> {
  const { images, layers, leases } = store.records
  const id = images.gone().includes(parent) ? parent : findImage(store, parent).image.id
  leases.add(lease, 'blob', [id])
  const config = await readConfig(store, id)
  const chains = chainIds(config.rootfs.diff_ids)
  await leaseLayers(store, lease, chains)
  const found = chains.flatMap((chain) => layers.get(chain) ?? [])
  if (found.length < chains.length) throw noSuchImage(id)
  leases.add(lease, 'blob', found.map(({ blob }) => blob)) // prettier-ignore
  return { id, config, layers: found }
}
