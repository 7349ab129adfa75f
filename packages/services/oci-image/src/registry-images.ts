import { type Descriptor, formatReference, type Reference, verified, withDefaultTag } from '@berth/oci'
import type { ImageSource, ReadOptions, Root } from './image.ts'
import { present } from './open-index.ts'
import { isDocument, once } from './read-document.ts'

/** What is read of a registry; `RegistryClient` of `@berth/registry-client` is one. */
export interface PullClient<Auth = unknown> {
  manifest(reference: Reference, call: RegistryCallOf<Auth>): Promise<{ digest: string; mediaType: string; bytes: Uint8Array }>
  blob(reference: Reference, blob: Descriptor, call: RegistryCallOf<Auth>): AsyncIterable<Uint8Array>
}

export interface RegistryCallOf<Auth> {
  auth?: Auth | undefined
  signal: AbortSignal
}

/**
 * What a registry has under a reference (its tag `latest`, if it says neither tag nor digest): one root, looked up anew for each call of `roots`, and the blobs of
 * its repository. Disposing it does nothing; the client is its owner's.
 */
export function registryImages<Auth>(client: PullClient<Auth>, reference: Reference, { auth }: { auth?: Auth | undefined } = {}): ImageSource {
  const { tag: _, digest: __, ...repository } = reference
  const callOf = (options?: ReadOptions) => ({ auth, signal: options?.signal ?? new AbortController().signal })
  const document = async ({ digest }: Descriptor, options?: ReadOptions) => client.manifest({ ...repository, digest }, callOf(options))
  return {
    async roots(options): Promise<readonly Root[]> {
      const named = withDefaultTag(reference)
      const { digest, mediaType, bytes } = await client.manifest(named, callOf(options))
      return [{ names: [formatReference(named)], descriptor: { mediaType, digest, size: bytes.length } }]
    },
    async *blob(descriptor, options) {
      if (isDocument(descriptor)) {
        const { bytes } = await document(descriptor, options)
        yield* verified(once(bytes), descriptor)
      } else yield* verified(client.blob(repository, descriptor, callOf(options)), descriptor)
    },
    // A registry has what its manifests name, foreign layers apart, which are looked for where they say; of indexes it may have a part.
    has: async (descriptor, options) => !isDocument(descriptor) || (await present(document(descriptor, options))) !== undefined,
    async [Symbol.asyncDispose]() {},
  }
}
