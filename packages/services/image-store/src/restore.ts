import { messageOf } from '@berth/core'
import { mediaTypes, parseManifest } from '@berth/oci'
import { childrenOf } from './documents.ts'
import type { ImageRecord } from './records/image-records.ts'
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
 * Unpacks again what a loss of power took of the snapshots under images. Images of which the blobs are lost too are told of and stay recorded: a pull makes
 * them whole again, and `fsck` says more.
 */
export async function restoreSnapshots(store: Store): Promise<void> {
  const present = new Set((await store.snapshotter.list()).map(({ name }) => name))
  for (const image of store.records.images.list()) {
    try {
      await restoreImage(store, image, present)
    } catch (error) {
      const fields = { image: image.id, names: store.records.names.of(image.id).join(' '), error: messageOf(error) }
      store.logger.error('an image is broken: its layers are lost and could not be unpacked again', fields)
    }
  }
}

async function restoreImage(store: Store, image: ImageRecord, present: Set<string>): Promise<void> {
  let parent: string | undefined
  for (const { chainId, diffId, blob } of store.records.layers.of(image.id)) {
    if (!present.has(chainId)) {
      store.logger.warn('a layer was lost and is unpacked again', { layer: chainId })
      await store.snapshotter.apply(chainId, { path: store.content.path(blob), diffId }, { parent })
      present.add(chainId)
    }
    parent = chainId
  }
}
