import { BerthError } from '@berth/core'
import { type Descriptor, isForeignLayerType, type Reference, withDefaultTag } from '@berth/oci'
import type { Image, Index, ReadOptions } from './image.ts'
import { isDocument, readDocument, readManifestOrIndex } from './read-document.ts'
import type { RegistryCallOf } from './registry-images.ts'
import { walk } from './walk.ts'

/** What is written to a registry; `RegistryClient` of `@berth/registry-client` is one. */
export interface PushClient<Auth = unknown> {
  hasBlob(reference: Reference, digest: string, call: RegistryCallOf<Auth>): Promise<boolean>
  putBlob(reference: Reference, blob: Descriptor, content: () => AsyncIterable<Uint8Array>, call: RegistryCallOf<Auth>): Promise<void>
  putManifest(reference: Reference, manifest: { bytes: Uint8Array; mediaType: string }, call: RegistryCallOf<Auth>): Promise<void>
}

export interface PushImageOptions<Auth> extends ReadOptions {
  auth?: Auth | undefined
  /** Each blob, when the registry has it. */
  onProgress?: ((blob: Descriptor) => void) | undefined
}

/**
 * Sends an image, or an index with all that it names, to a registry: what is there already is skipped, foreign layers that are not here stay where they are, and what names
 * others comes after them.
 * @throws `not-found`, before anything is sent, for an index of which images are missing: push one of its images instead.
 */
export async function pushImage<Auth>(client: PushClient<Auth>, reference: Reference, image: Image | Index, { auth, signal, onProgress }: PushImageOptions<Auth> = {}): Promise<void> {
  const call = { auth, signal: signal ?? new AbortController().signal }
  const { tag: _, digest: __, ...repository } = reference
  const blobs: Descriptor[] = []
  for await (const blob of walk(image, image.descriptor, { signal })) blobs.push(blob)
  await refuseParts(image, blobs, { signal })
  for (const blob of blobs) {
    if (isDocument(blob)) {
      const target = blob.digest === image.descriptor.digest ? withDefaultTag(reference) : { ...repository, digest: blob.digest }
      await client.putManifest(target, { bytes: await readDocument(image, blob, { signal }), mediaType: blob.mediaType }, call)
    } else if (!(await client.hasBlob(repository, blob.digest, call))) await client.putBlob(repository, blob, () => image.blob(blob, { signal }), call)
    onProgress?.(blob)
  }
}

/** Fails for what is named and not there. */
async function refuseParts(image: Image | Index, blobs: readonly Descriptor[], options: ReadOptions): Promise<void> {
  const here = new Set(blobs.map(({ digest }) => digest))
  for (const blob of blobs.filter(isDocument)) {
    const document = await readManifestOrIndex(image, blob, options)
    const named = document.kind === 'index' ? document.index.manifests : [document.manifest.config, ...document.manifest.layers]
    const missing = named.find(({ digest, mediaType }) => !here.has(digest) && !isForeignLayerType(mediaType))
    if (missing) throw new BerthError('not-found', 'IMAGE_INCOMPLETE', `${image.descriptor.digest} cannot be pushed: ${missing.digest} is not here`)
  }
}
