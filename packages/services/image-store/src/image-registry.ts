import type { AuthConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { Descriptor, Reference } from '@berth/oci'

interface RegistryCall {
  auth?: AuthConfig | undefined
  signal: AbortSignal
}

/** What the store asks of a registry client, in its own words. */
export interface ImageRegistry {
  /** A manifest or an index by tag or digest; its bytes are those of `digest`. */
  manifest(reference: Reference, call: RegistryCall): Promise<{ digest: string; mediaType: string; bytes: Uint8Array }>
  /** The tags of a repository. */
  tags(reference: Reference, call: RegistryCall): Promise<string[]>
  /** A blob's bytes from an offset on. With `verify: false` they are not checked, since the content store does so. */
  blob(reference: Reference, blob: Descriptor, call: RegistryCall & { offset: number; verify?: boolean }): AsyncIterable<Uint8Array>
  hasBlob(reference: Reference, digest: string, call: RegistryCall): Promise<boolean>
  /** Whether the registry took the blob over from another of its repositories. */
  mountBlob(reference: Reference, digest: string, call: RegistryCall & { from: string }): Promise<boolean>
  putBlob(
    reference: Reference,
    blob: { digest: string; size: number },
    content: () => AsyncIterable<Uint8Array>,
    call: RegistryCall & { onProgress?: ((bytes: number) => void) | undefined },
  ): Promise<void>
  putManifest(reference: Reference, manifest: { bytes: Uint8Array; mediaType: string }, call: RegistryCall): Promise<void>
}

/** For a store that is not to reach any. */
export const noRegistry: ImageRegistry = {
  manifest: refuse,
  tags: refuse,
  blob: refuse,
  hasBlob: refuse,
  mountBlob: refuse,
  putBlob: refuse,
  putManifest: refuse,
}

function refuse(): never {
  throw new BerthError('not-implemented', 'NO_REGISTRY', 'this store has no registry')
}
