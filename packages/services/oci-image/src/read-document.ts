import { BerthError } from '@berth/core'
import { type Descriptor, isIndexType, isManifestType, type ManifestOrIndex, maxDocumentSize, parseManifestOrIndex, verified } from '@berth/oci'
import type { BlobReader, ReadOptions } from './image.ts'

/**
 * A manifest, an index or a config, whole and verified here once more, since its digest is what everything below is trusted by.
 * @throws `invalid-argument` for one above the limit; `not-found`; `data-loss`.
 */
export async function readDocument(reader: Pick<BlobReader, 'blob'>, descriptor: Descriptor, options?: ReadOptions): Promise<Buffer> {
  if (descriptor.size > maxDocumentSize) {
    throw new BerthError('invalid-argument', 'DOCUMENT_TOO_LARGE', `${descriptor.digest}: a document of ${descriptor.size} bytes is above the limit of ${maxDocumentSize}`)
  }
  return collect(verified(reader.blob(descriptor, options), descriptor))
}

/** Reads a manifest or an index, whichever the descriptor says. Throws as {@link readDocument} and `parseManifestOrIndex`. */
export async function readManifestOrIndex(reader: Pick<BlobReader, 'blob'>, descriptor: Descriptor, options?: ReadOptions): Promise<ManifestOrIndex> {
  return parseManifestOrIndex(await readDocument(reader, descriptor, options), descriptor.mediaType)
}

export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}

/** Indexes within indexes, the root counted. */
const maxDepth = 8

/** @throws `invalid-argument` for an index that lies deeper within others than any real one. */
export function checkDepth({ digest }: Descriptor, depth: number): void {
  if (depth > maxDepth) throw new BerthError('invalid-argument', 'INDEX_TOO_DEEP', `${digest}: indexes are nested more than ${maxDepth} deep`)
}

/** Bytes as a stream. */
export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}

/** Whether a descriptor is of a manifest or an index, which name other blobs. */
export function isDocument({ mediaType }: Pick<Descriptor, 'mediaType'>): boolean {
  return isIndexType(mediaType) || isManifestType(mediaType)
}
