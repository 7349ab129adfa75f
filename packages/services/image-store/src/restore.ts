import { messageOf } from '@berth/core'
import { chainIds, mediaTypes, parseManifest } from '@berth/oci'
import { childrenOf } from './documents.ts'
import type { LayerRecord } from './records/layer-records.ts'
import { readConfig } from './resolve.ts'
import type { Store } from './store.ts'

/** Records as documents the manifests of a store that was written before documents were recorded. */
export async function recordDocuments(store: Pick<Store, 'records' | 'content' | 'logger'>): Promise<void> {
  for (const digest of store.records.documents.missing()) {
    try {
      const bytes = await store.content.readDocument(digest)
      const manifest = parseManifest(bytes)
      store.records.documents.add({ digest, mediaType: manifest.mediaType ?? mediaTypes.ociManifest, size: bytes.length }, childrenOf(manifest))
    } catch (error) {
      store.logger.error('the manifest of an image is lost: pull the image again', { manifest: digest, error: messageOf(error) })
    }
  }
}

/**
 * Unpacks again what a loss of power took of the snapshots under images, and under containers whose image is gone. Images of which the blobs are lost too are told of
 * and stay recorded: a pull makes them whole again, and `fsck` says more.
 */
export async function restoreSnapshots(store: Store): Promise<void> {
  const present = new Set((await store.snapshotter.list()).map(({ name }) => name))
  for (const id of [...store.records.images.list().map((image) => image.id), ...store.records.images.gone()]) {
    try {
      await restoreLayers(store, await layersOf(store, id), present)
    } catch (error) {
      const fields = { image: id, names: store.records.names.of(id).join(' '), error: messageOf(error) }
      store.logger.error('an image is broken: its layers are lost and could not be unpacked again', fields)
    }
  }
}

/** The layers of an image, lowest first, also of one that is gone. */
export async function layersOf(store: Pick<Store, 'records' | 'content'>, id: string): Promise<LayerRecord[]> {
  const { images, layers } = store.records
  if (images.get(id)) return layers.of(id)
  const { rootfs } = await readConfig(store, id)
  return chainIds(rootfs.diff_ids).flatMap((chain) => layers.get(chain) ?? [])
}

async function restoreLayers(store: Store, layers: readonly LayerRecord[], present: Set<string>): Promise<void> {
  let parent: string | undefined
  for (const { chainId, diffId, blob } of layers) {
    if (!present.has(chainId)) {
      store.logger.warn('a layer was lost and is unpacked again', { layer: chainId })
      await store.snapshotter.apply(chainId, { path: store.content.path(blob), diffId }, { parent })
      present.add(chainId)
    }
    parent = chainId
  }
}
