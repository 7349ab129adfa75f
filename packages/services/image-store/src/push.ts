import { createReadStream } from 'node:fs'
import type { AuthConfig } from '@berth/api-types'
import { BerthError, shortId } from '@berth/core'
import {
  type Descriptor,
  familiarReference,
  familiarRepository,
  type ImageManifest,
  isForeignLayerType,
  isTag,
  mediaTypes,
  parseManifest,
  parseReference,
  type Reference,
  repositoryOf,
} from '@berth/oci'
import { abandonLease, collect } from './collect.ts'
import { Limiter } from './limiter.ts'
import { manifestOf, writeLeased } from './manifest.ts'
import type { Progress } from './progress.ts'
import type { ImageRecord, LayerRecord } from './records.ts'
import { storedName } from './resolve.ts'
import { emitImage, type Store } from './store.ts'

const parallelUploads = 3

export interface PushOptions {
  image: string
  /** Without one here or in `image`, all tags of the repository. */
  tag?: string | undefined
  auth?: AuthConfig | undefined
}

/** Sends images to the registry that their name begins with: what it lacks of their layers, then config and manifest. */
export async function pushImage(store: Store, { image, tag, auth }: PushOptions, progress: Progress, signal: AbortSignal): Promise<void> {
  const { tag: ownTag, digest, ...repository } = parseReference(image)
  if (digest !== undefined) throw new BerthError('invalid-argument', 'PUSH_BY_DIGEST', 'cannot push a digest reference')
  if (tag && !isTag(tag)) throw new BerthError('invalid-argument', 'INVALID_TAG', 'invalid tag format')
  const wanted = tag || ownTag
  const tagged = store.records
    .namesIn(repositoryOf(repository))
    .map(({ name, imageId }) => ({ reference: parseReference(name), imageId }))
    .filter(({ reference }) => reference.tag !== undefined)
  if (tagged.length === 0) {
    throw new BerthError('not-found', 'IMAGE_NOT_FOUND', `An image does not exist locally with the tag: ${familiarRepository(repository)}`)
  }
  const chosen = tagged.filter(({ reference }) => !wanted || reference.tag === wanted)
  if (chosen.length === 0) throw new BerthError('not-found', 'TAG_NOT_FOUND', `tag does not exist: ${familiarReference({ ...repository, tag: wanted })}`)
  progress.send({ status: `The push refers to repository [${repositoryOf(repository)}]` })
  for (const { reference, imageId } of chosen) {
    const record = store.records.image(imageId)
    if (record) await pushOne(store, reference, record, auth, progress, signal)
  }
}

async function pushOne(
  store: Store,
  reference: Reference,
  image: ImageRecord,
  auth: AuthConfig | undefined,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const layers = store.records.layersOf(image.id)
  const lease = store.records.openLease(`push ${familiarReference(reference)}`)
  try {
    // The image may be removed meanwhile; what is sent stays until it is sent.
    store.records.addToLease(lease, 'blob', [image.id, image.manifest, ...layers.map(({ blob }) => blob)])
    store.records.addToLease(lease, 'layer', layers.map(({ chainId }) => chainId))
    const { bytes, digest, manifest } = await manifestToPush(store, image, layers, lease)
    await pushLayers(store, reference, manifest, layers, auth, progress, signal)
    await pushBlob(store, reference, manifest.config, auth, signal)
    await store.registry.putManifest(reference, { bytes, mediaType: manifest.mediaType ?? mediaTypes.ociManifest }, { auth, signal })
    const name = storedName({ ...reference, tag: undefined, digest })
    if (store.records.image(image.id)) store.records.addNames([name], image.id)
    progress.send({ status: `${reference.tag}: digest: ${digest} size: ${bytes.length}` })
    progress.send({ progressDetail: {}, aux: { Tag: reference.tag!, Digest: digest, Size: bytes.length } })
    emitImage(store, 'push', familiarReference(reference), familiarRepository(reference), image.labels)
  } catch (error) {
    await abandonLease(store, lease, { keepBlobs: false })
    throw error
  }
  store.records.endLease(lease)
  await collect(store, { keepBlobs: false })
}

/** The manifest that the image came with, or one of the blobs that are here, if a layer here was unpacked from another blob than that manifest names. */
async function manifestToPush(
  store: Store,
  image: ImageRecord,
  layers: readonly LayerRecord[],
  lease: string,
): Promise<{ bytes: Uint8Array; digest: string; manifest: ImageManifest }> {
  const bytes = await store.content.read(image.manifest)
  const manifest = parseManifest(bytes)
  if (manifest.layers.every(({ digest }, index) => layers[index]?.blob === digest)) return { bytes, digest: image.manifest, manifest }
  const configSize = (await store.content.size(image.id)) ?? 0
  const own = manifestOf(image.id, configSize, layers)
  const ownBytes = Buffer.from(JSON.stringify(own))
  return { bytes: ownBytes, digest: await writeLeased(store, ownBytes, lease), manifest: own }
}

async function pushLayers(
  store: Store,
  reference: Reference,
  manifest: ImageManifest,
  layers: readonly LayerRecord[],
  auth: AuthConfig | undefined,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const uploads = manifest.layers.map((descriptor, index) => ({ descriptor, id: shownId(layers[index]!.diffId) })).toReversed()
  for (const { id } of uploads) progress.status(id, 'Preparing')
  for (const { id } of uploads.slice(parallelUploads)) progress.status(id, 'Waiting')
  const failed = new AbortController()
  const ending = AbortSignal.any([signal, failed.signal])
  const limiter = new Limiter(parallelUploads)
  const byBlob = new Map<string, Promise<string>>()
  const results = await Promise.allSettled(
    uploads.map(async ({ descriptor, id }) => {
      const running =
        byBlob.get(descriptor.digest) ??
        limiter.run(() => {
          const onProgress = (bytes: number) => progress.bytes(id, 'Pushing', bytes, descriptor.size)
          return pushBlob(store, reference, descriptor, auth, ending, onProgress)
        })
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
async function pushBlob(
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
  const content = () => createReadStream(store.content.path(descriptor.digest), { highWaterMark: 256 * 1024 })
  await store.registry.putBlob(reference, descriptor, content, { auth, signal, onProgress })
  return 'Pushed'
}

/** Repositories of the same registry that are known to have the blob, since an image of it was pulled from or pushed to them. */
function siblingRepositories(store: Store, { domain, path }: Reference, digest: string): string[] {
  const paths = store.records
    .namesWithBlob(digest)
    .map(parseReference)
    .filter((other) => other.digest !== undefined && other.domain === domain && other.path !== path)
  return [...new Set(paths.map((other) => other.path))].slice(0, 3)
}

function shownId(digest: string): string {
  return shortId(digest.slice(digest.indexOf(':') + 1))
}
