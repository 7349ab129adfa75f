import { type ImageConfig, chainId } from '@berth/oci'
import { collect, leaseLayers } from './collect.ts'
import { writeImage } from './documents.ts'
import { recordImages } from './record-image.ts'
import type { LayerRecord } from './records/layer-records.ts'
import type { Store } from './store.ts'
import type { StoredLayer } from './store-layer.ts'

export interface ImageToMake {
  /** With the diffIDs of all layers. */
  config: ImageConfig
  /** The layers of the image that it stands on, lowest first. */
  base: readonly LayerRecord[]
  /** The layer on top of them; undefined when nothing changed. */
  added: StoredLayer | undefined
  parent?: string | undefined
  /** As it is recorded. */
  name: string | undefined
  /** What the steps are called to fail-points. */
  step: string
  signal: AbortSignal
}

/** Unpacks the layer of an image made here and records the image. Ends the lease. */
export async function makeImage(store: Store, { config, base, added, parent, name, step, signal }: ImageToMake, lease: string): Promise<string> {
  store.failPoint(`${step}.blob`)
  const layers = [...base]
  if (added) {
    const below = base.at(-1)?.chainId
    const chain = chainId(config.rootfs.diff_ids)!
    await leaseLayers(store, lease, [...base.map((layer) => layer.chainId), chain])
    await store.snapshotter.apply(chain, { path: store.content.path(added.blob), diffId: added.diffId }, { parent: below, signal })
    store.failPoint(`${step}.layer`)
    const { bytes } = await store.snapshotter.usage(chain)
    layers.push(store.records.layers.get(chain) ?? { chainId: chain, ...added, size: bytes })
  }
  const { id, manifest } = await writeImage(store, config, layers, lease)
  store.failPoint(`${step}.documents`)
  signal.throwIfAborted()
  const lastTagMs = name === undefined ? undefined : Date.now()
  recordImages(store, [{ id, manifest, parent, config, layers, lastTagMs }], { target: manifest, names: name === undefined ? [] : [name] }, lease)
  await store.records.sync()
  store.failPoint(`${step}.recorded`)
  // A blob that turned out not to be needed, since its layer was here already.
  await collect(store, { keepBlobs: false })
  return id
}
