import type { AuthConfig } from '@berth/api-types'
import { shortId } from '@berth/core'
import { type Descriptor, isForeignLayerType, parseReference, type Reference } from '@berth/oci'
import type { Progress } from './progress.ts'
import type { PushLayer } from './push-plan.ts'
import type { Store } from './store.ts'

/** Makes the registry have layers, the topmost first, and shows how each comes there. */
export async function pushLayers(
  store: Store,
  reference: Reference,
  layers: readonly PushLayer[],
  auth: AuthConfig | undefined,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const uploads = layers.map(({ descriptor, diffId }) => ({ descriptor, id: shownId(diffId) })).toReversed()
  for (const { id } of uploads) progress.status(id, 'Preparing')
  for (const { id } of uploads.slice(store.uploads.width)) progress.status(id, 'Waiting')
  const failed = new AbortController()
  const ending = AbortSignal.any([signal, failed.signal])
  const byBlob = new Map<string, Promise<string>>()
  const results = await Promise.allSettled(
    uploads.map(async ({ descriptor, id }) => {
      const running =
        byBlob.get(descriptor.digest) ??
        store.uploads.run(
          () => {
            const onProgress = (bytes: number) => progress.bytes(id, 'Pushing', bytes, descriptor.size)
            return pushBlob(store, reference, descriptor, auth, ending, onProgress)
          },
          { signal: ending },
        )
      byBlob.set(descriptor.digest, running)
      try {
        progress.status(id, await running)
      } catch (error) {
        failed.abort(error)
        throw error
      }
    }),
  )
  if (results.some(({ status }) => status === 'rejected')) throw signal.aborted ? signal.reason : failed.signal.reason
}

/** Makes the registry have a blob, as cheaply as it allows; the answer is what to show. */
export async function pushBlob(
  store: Store,
  reference: Reference,
  descriptor: Descriptor,
  auth: AuthConfig | undefined,
  signal: AbortSignal,
  onProgress?: (bytes: number) => void,
): Promise<string> {
  signal.throwIfAborted()
  if (isForeignLayerType(descriptor.mediaType)) return 'Skipped foreign layer'
  if (await store.registry.hasBlob(reference, descriptor.digest, { auth, signal })) return 'Layer already exists'
  for (const path of siblingRepositories(store, reference, descriptor.digest)) {
    if (await store.registry.mountBlob(reference, descriptor.digest, { from: path, auth, signal })) return `Mounted from ${path}`
  }
  await store.registry.putBlob(reference, descriptor, () => store.content.read(descriptor.digest, { signal }), { auth, signal, onProgress })
  return 'Pushed'
}

/** Repositories of the same registry that are known to have the blob, since an image of it was pulled from or pushed to them. */
function siblingRepositories(store: Store, { domain, path }: Reference, digest: string): string[] {
  const paths = store.records.names
    .withBlob(digest)
    .map(parseReference)
    .filter((other) => other.digest !== undefined && other.domain === domain && other.path !== path)
  return [...new Set(paths.map((other) => other.path))].slice(0, 3)
}

function shownId(digest: string): string {
  return shortId(digest.slice(digest.indexOf(':') + 1))
}
