import type { ContentReader } from '@berth/content-store'
import { BerthError } from '@berth/core'
import { type Descriptor, formatReference, parseReference, verified } from '@berth/oci'
import { type BlobReader, type Image, type ImageSource, openImage, type Root } from '@berth/oci-image'
import type { ImageRecord } from './records/image-records.ts'
import type { StoreRecords } from './records/open-image-records.ts'
import { findImage } from './resolve.ts'
import type { Store } from './store.ts'

/** What reading images of the store needs. */
export interface StoredImages {
  records: Pick<StoreRecords, 'images' | 'names' | 'documents' | 'layers'>
  content: Pick<ContentReader, 'stat' | 'read' | 'readDocument'>
}

/** The store's blobs. They were verified when they came; unless `verify` is false they are verified once more. */
export function blobReader({ content }: Pick<StoredImages, 'content'>, { verify = true }: { verify?: boolean } = {}): BlobReader {
  return {
    blob(descriptor, options) {
      const bytes = content.read(descriptor.digest, { signal: options?.signal })
      return verify ? verified(bytes, descriptor) : bytes
    },
    has: async ({ digest }) => (await content.stat(digest)) !== undefined,
  }
}

/** The images here as a source: a root for each named manifest or index, and for each image without a name. Disposing it does nothing. */
export function storeSource(store: StoredImages): ImageSource {
  const { records } = store
  return {
    ...blobReader(store),
    async roots() {
      const byTarget = new Map<string, string[]>()
      for (const { name, target } of records.names.list()) byTarget.set(target, [...(byTarget.get(target) ?? []), name])
      const roots: Root[] = []
      for (const [target, names] of byTarget) {
        const descriptor = documentOf(store, target)
        if (descriptor) roots.push({ names: names.map(canonical), descriptor })
        // A store of an older form has of indexes their images alone.
        else for (const { manifest } of records.names.imagesOf(target)) roots.push({ names: names.map(canonical), descriptor: mustHave(store, manifest) })
      }
      const named = records.names.byImage()
      for (const image of records.images.list()) if (!named.has(image.id)) roots.push({ names: [], descriptor: mustHave(store, image.manifest) })
      return roots
    },
    async [Symbol.asyncDispose]() {},
  }
}

/** An image of the store as a value. Throws as `findImage`. */
export function storedImage(store: Store, ref: string, platform: string | undefined): Image {
  const { image, target } = findImage(store, ref, platform)
  return openImage(blobReader(store), mustHave(store, manifestOf(store, image, target)))
}

/** Digest of the manifest by which a target leads to an image. */
export function manifestOf({ records }: Pick<StoredImages, 'records'>, image: ImageRecord, target: string | undefined): string {
  const among = target === undefined ? [] : records.names.imagesOf(target)
  return among.find(({ imageId }) => imageId === image.id)?.manifest ?? image.manifest
}

export function documentOf({ records }: Pick<StoredImages, 'records'>, digest: string): Descriptor | undefined {
  return records.documents.get(digest)
}

function mustHave(store: Pick<StoredImages, 'records'>, digest: string): Descriptor {
  const found = documentOf(store, digest)
  if (found) return found
  throw new BerthError('data-loss', 'MANIFEST_LOST', `the manifest ${digest} is recorded for an image and not here`)
}

function canonical(name: string): string {
  return formatReference(parseReference(name))
}
