import type { StoreRecords } from '../records/open-image-records.ts'

/** The blobs without which an image is not whole, each with the images that it hits: configs, manifests, and layers by the blobs that they were unpacked from. */
export function blobsOfImages(records: StoreRecords): Map<string, Set<string>> {
  const needed = new Map<string, Set<string>>()
  const need = (digest: string, id: string) => {
    const images = needed.get(digest)
    if (images) images.add(id)
    else needed.set(digest, new Set([id]))
  }
  for (const { id, manifest } of records.images.list()) {
    need(id, id)
    need(manifest, id)
    for (const { blob } of records.layers.of(id)) need(blob, id)
  }
  for (const id of records.images.gone()) need(id, id)
  for (const { target } of records.names.list()) {
    const images = records.names.imagesOf(target)
    for (const { imageId, manifest } of images) need(manifest, imageId)
    // An index that an older store did not keep is no loss.
    if (records.documents.get(target)) for (const { imageId } of images) need(target, imageId)
  }
  return needed
}
