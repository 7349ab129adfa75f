import type { ImageConfig } from '@berth/oci'
import type { LayerRecord } from './records/layer-records.ts'
import type { Store } from './store.ts'

export interface ImageToRecord {
  id: string
  /** The manifest by which it came or will go, which is stored. */
  manifest: string
  parent?: string | undefined
  config: ImageConfig
  layers: readonly LayerRecord[]
  lastTagMs?: number | undefined
}

/**
 * Records images with their layers, gives their target its names, and ends the lease that held them, all at once. They may be acknowledged when the records are synced.
 * @param target Digest of the manifest, or of the index that the images are of.
 */
export function recordImages(store: Store, images: readonly ImageToRecord[], { target, names }: { target: string; names: readonly string[] }, lease: string): void {
  const { records } = store
  records.transact(() => {
    for (const { id, manifest, parent, config, layers, lastTagMs } of images) {
      const createdMs = Date.parse(config.created ?? '')
      for (const layer of layers) records.layers.add(layer)
      records.images.add(
        {
          id,
          manifest,
          parent,
          os: config.os,
          architecture: config.architecture,
          variant: config.variant,
          createdMs: Number.isNaN(createdMs) ? undefined : createdMs,
          labels: config.config?.Labels ?? {},
          lastTagMs,
        },
        layers.map(({ chainId }) => chainId),
      )
    }
    if (names.length > 0) records.names.add(names, target, images.map(({ id, manifest }) => ({ imageId: id, manifest })))
    records.leases.fulfil(lease)
  })
}
