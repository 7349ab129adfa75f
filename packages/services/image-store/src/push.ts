import type { AuthConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'
import { familiarReference, familiarRepository, isTag, parseReference, type Reference, repositoryOf } from '@berth/oci'
import { abandonLease, collect } from './collect.ts'
import type { Progress } from './progress.ts'
import { pushBlob, pushLayers } from './push-blobs.ts'
import { choosePush, type PushPlan } from './push-plan.ts'
import { defaultImage, imagesOfTarget, storedName } from './resolve.ts'
import { emitImage, type Store } from './store.ts'

export interface PushOptions {
  image: string
  /** Without one here or in `image`, all tags of the repository. */
  tag?: string | undefined
  /** Of an image of several platforms, this one alone. */
  platform?: string | undefined
  auth?: AuthConfig | undefined
}

/** Sends images to the registry that their name begins with: what it lacks of their layers, then configs and manifests, an index last. */
export async function pushImage(store: Store, { image, tag, platform, auth }: PushOptions, progress: Progress, signal: AbortSignal): Promise<void> {
  const { tag: ownTag, digest, ...repository } = parseReference(image)
  if (digest !== undefined) throw new BerthError('invalid-argument', 'PUSH_BY_DIGEST', 'cannot push a digest reference')
  if (tag && !isTag(tag)) throw new BerthError('invalid-argument', 'INVALID_TAG', 'invalid tag format')
  const wanted = tag || ownTag
  const tagged = store.records.names
    .in(repositoryOf(repository))
    .map(({ name, target }) => ({ reference: parseReference(name), target }))
    .filter(({ reference }) => reference.tag !== undefined)
  if (tagged.length === 0) {
    throw new BerthError('not-found', 'IMAGE_NOT_FOUND', `An image does not exist locally with the tag: ${familiarRepository(repository)}`)
  }
  const chosen = tagged.filter(({ reference }) => !wanted || reference.tag === wanted)
  if (chosen.length === 0) throw new BerthError('not-found', 'TAG_NOT_FOUND', `tag does not exist: ${familiarReference({ ...repository, tag: wanted })}`)
  progress.send({ status: `The push refers to repository [${repositoryOf(repository)}]` })
  for (const { reference, target } of chosen) await pushOne(store, reference, { target, platform, auth }, progress, signal)
}

async function pushOne(
  store: Store,
  reference: Reference,
  { target, platform, auth }: { target: string; platform: string | undefined; auth: AuthConfig | undefined },
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const lease = store.records.leases.open(`push ${familiarReference(reference)}`)
  try {
    const plan = await choosePush(store, { target, platform, shown: familiarReference(reference) }, lease)
    await send(store, reference, plan, auth, progress, signal)
    const { top, images, insteadOf } = plan
    const name = storedName({ ...reference, tag: undefined, digest: top.digest })
    const here = images.filter(({ image }) => store.records.images.get(image.id))
    if (here.length > 0) store.records.names.add([name], top.digest, here.map(({ image, digest }) => ({ imageId: image.id, manifest: digest })))
    progress.send({ status: `${reference.tag}: digest: ${top.digest} size: ${top.bytes.length}` })
    progress.send({ progressDetail: {}, aux: { Tag: reference.tag!, Digest: top.digest, Size: top.bytes.length } })
    if (insteadOf) {
      const selectedManifest = { mediaType: top.mediaType, digest: top.digest, size: top.bytes.length }
      progress.send({ aux: { manifestPushedInsteadOfIndex: true, originalIndex: insteadOf, selectedManifest } })
    }
    const shown = defaultImage(imagesOfTarget(store, target)) ?? images[0]?.image
    emitImage(store, 'push', familiarReference(reference), familiarRepository(reference), shown?.labels)
  } catch (error) {
    await abandonLease(store, lease, { keepBlobs: false })
    throw error
  }
  store.records.leases.end(lease)
  await collect(store, { keepBlobs: false })
}

async function send(store: Store, reference: Reference, plan: PushPlan, auth: AuthConfig | undefined, progress: Progress, signal: AbortSignal): Promise<void> {
  const { top, images, others } = plan
  await pushLayers(store, reference, images.flatMap(({ layers }) => layers), auth, progress, signal) // prettier-ignore
  const configs = images.map(({ manifest }) => manifest.config)
  const rest = others.flatMap(({ manifest }) => [manifest.config, ...manifest.layers])
  for (const blob of [...configs, ...rest]) await pushBlob(store, reference, blob, auth, signal)
  const { tag: _, ...repository } = reference
  for (const { digest, bytes, mediaType } of [...images, ...others]) {
    if (digest !== top.digest) await store.registry.putManifest({ ...repository, digest }, { bytes, mediaType }, { auth, signal })
  }
  await store.registry.putManifest(reference, top, { auth, signal })
}
