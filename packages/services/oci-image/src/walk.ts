import { BerthError } from '@berth/core'
import type { Descriptor } from '@berth/oci'
import type { BlobReader, ReadOptions } from './image.ts'
import { present } from './open-index.ts'
import { checkDepth, isDocument, readManifestOrIndex } from './read-document.ts'

export interface WalkOptions extends ReadOptions {
  /** Which manifests of an index are gone into; all unless told otherwise. The others are passed over as if they were not there. */
  wants?: ((child: Descriptor, index: { manifests: readonly Descriptor[] }) => boolean) | undefined
}

/**
 * The blobs below a root that are there, the root's own among them, each once. Each comes after all that it names: who copies them in this order never has
 * a document without its parts.
 * @throws `not-found` if the root itself is not there; `invalid-argument` for documents that are not what they should be.
 */
export async function* walk(reader: BlobReader, root: Descriptor, options: WalkOptions = {}): AsyncGenerator<Descriptor, void, undefined> {
  if (!(await reader.has(root, options))) throw new BerthError('not-found', 'BLOB_NOT_FOUND', `${root.digest}: not found`)
  yield* below(reader, root, options, new Set(), 1)
}

async function* below(reader: BlobReader, descriptor: Descriptor, options: WalkOptions, seen: Set<string>, depth: number): AsyncGenerator<Descriptor, void, undefined> {
  if (seen.has(descriptor.digest)) return
  seen.add(descriptor.digest)
  if (!isDocument(descriptor)) {
    if (await reader.has(descriptor, options)) yield descriptor
    return
  }
  checkDepth(descriptor, depth)
  const document = await present(readManifestOrIndex(reader, descriptor, options))
  if (document === undefined) return
  const { wants = () => true } = options
  const children = document.kind === 'manifest'
    ? [document.manifest.config, ...document.manifest.layers]
    : document.index.manifests.filter((child) => wants(child, document.index))
  for (const child of children) yield* below(reader, child, options, seen, depth + 1)
  yield descriptor
}
