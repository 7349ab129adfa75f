import { digestOf, type ImageConfig, type ImageManifest, mediaTypes } from '@berth/oci'
import type { LayerRecord } from './records.ts'
import type { Store } from './store.ts'

/** Stores the config and the manifest of an image made here, leasing both. */
export async function writeManifest(store: Store, config: ImageConfig, layers: readonly LayerRecord[], lease: string): Promise<{ id: string; manifest: string }> {
  const bytes = Buffer.from(JSON.stringify(config))
  const id = await writeLeased(store, bytes, lease)
  return { id, manifest: await writeLeased(store, Buffer.from(JSON.stringify(manifestOf(id, bytes.length, layers))), lease) }
}

/** The manifest by which an image of these layers goes to a registry. */
export function manifestOf(id: string, configSize: number, layers: readonly LayerRecord[]): ImageManifest {
  return {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: id, size: configSize },
    layers: layers.map(({ blob, blobSize, mediaType }) => ({ mediaType, digest: blob, size: blobSize })),
  }
}

/** Stores a document that a lease holds from before it is there. */
export async function writeLeased(store: Store, bytes: Uint8Array, lease: string): Promise<string> {
  store.records.addToLease(lease, 'blob', [digestOf(bytes)])
  return store.content.write(bytes)
}
