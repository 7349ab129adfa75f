import { formatNano, nowNano } from '@berth/core'
import { familiarReference, type ImageConfig, type ImageRunConfig, hostPlatform } from '@berth/oci'
import { abandonLease, leaseLayers } from './collect.ts'
import { applyChanges } from './config-changes.ts'
import { makeImage } from './make-image.ts'
import { findImage, readConfig, storedName } from './resolve.ts'
import { emitImage, type Store } from './store.ts'
import { emptyDiffId, storeLayer } from './store-layer.ts'
import { targetReference } from './tag.ts'

export interface CommitOptions {
  /** ID of the image that the container stands on; none for one that stands on nothing. */
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
    const base = parent === undefined ? undefined : findImage(store, parent).image
    const baseLayers = base ? store.records.layers.of(base.id) : []
    // What the image will stand on stays, also if the parent is removed meanwhile.
    store.records.leases.add(lease, 'blob', baseLayers.map(({ blob }) => blob)) // prettier-ignore
    await leaseLayers(store, lease, baseLayers.map(({ chainId }) => chainId)) // prettier-ignore
    const baseConfig = base && (await readConfig(store, base.id))
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
    const id = await makeImage(store, { config, base: baseLayers, added, parent: base?.id, name, step: 'commit', signal }, lease)
    if (reference) emitImage(store, 'tag', id, familiarReference(reference), runConfig.Labels)
    return { id }
  } catch (error) {
    await abandonLease(store, lease, { keepBlobs: false })
    throw error
  }
}
