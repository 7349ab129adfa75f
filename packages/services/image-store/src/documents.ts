import { type Descriptor, digestOf, type ImageConfig, type ImageManifest, mediaTypes } from '@berth/oci'
import type { LayerRecord } from './records/layer-records.ts'
import type { Store } from './store.ts'

/** Stores a manifest or an index and records which blobs stay as long as it does. The lease holds it from before it is there. */
export async function writeDocument(
  store: Store,
  { bytes, mediaType, children }: { bytes: Uint8Array; mediaType: string; children: readonly string[] },
  lease: string,
): Promise<Descriptor> {
  const digest = digestOf(bytes)
  store.records.leases.add(lease, 'blob', [digest])
  await store.content.write(bytes)
  const document = { digest, mediaType, size: bytes.length }
  store.records.documents.add(document, children)
  return document
}

/** The blobs that a manifest keeps. Those of an index are not its own: each of its images is recorded, and may go, by itself. */
export function childrenOf({ config, layers }: ImageManifest): string[] {
  return [config.digest, ...layers.map(({ digest }) => digest)]
}

/** Stores the config and the manifest of an image made here. */
export async function writeImage(
  store: Store,
  config: ImageConfig,
  layers: readonly LayerRecord[],
  lease: string,
): Promise<{ id: string; manifest: string }> {
  const bytes = Buffer.from(JSON.stringify(config))
  const id = digestOf(bytes)
  store.records.leases.add(lease, 'blob', [id])
  await store.content.write(bytes)
  const { digest } = await writeManifest(store, manifestOf(id, bytes.length, layers), lease)
  return { id, manifest: digest }
}

export function writeManifest(store: Store, manifest: ImageManifest, lease: string): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(manifest))
  return writeDocument(store, { bytes, mediaType: manifest.mediaType ?? mediaTypes.ociManifest, children: childrenOf(manifest) }, lease)
}

/** The manifest of an image of these layers, as they are stored here. */
export function manifestOf(id: string, configSize: number, layers: readonly LayerRecord[]): ImageManifest {
  return {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: id, size: configSize },
    layers: layers.map(({ blob, blobSize, mediaType }) => ({ mediaType, digest: blob, size: blobSize })),
  }
}
