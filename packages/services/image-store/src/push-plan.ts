import { BerthError, isKind } from '@berth/core'
import {
  type Descriptor,
  hostPlatform,
  type ImageManifest,
  matchesPlatform,
  mediaTypes,
  parseManifest,
  parseManifestOrIndex,
  parsePlatform,
} from '@berth/oci'
import { manifestOf, writeManifest } from './documents.ts'
import type { ImageRecord } from './records/image-records.ts'
import { platformNotFound, platformOf, selectImage } from './resolve.ts'
import type { Store } from './store.ts'

interface PushDocument {
  digest: string
  mediaType: string
  bytes: Uint8Array
}

interface PushManifest extends PushDocument {
  manifest: ImageManifest
}

/** A layer to push, and the diffID by which it is shown. */
export interface PushLayer {
  descriptor: Descriptor
  diffId: string
}

interface PushImage extends PushManifest {
  image: ImageRecord
  layers: PushLayer[]
}

/** What a push sends: images, whatever else an index holds (attestations), and last the document that the tag is for. */
export interface PushPlan {
  images: PushImage[]
  others: PushManifest[]
  top: PushDocument
  /** The index of which only the one image goes, because the rest is not here. */
  insteadOf: Descriptor | undefined
}

/**
 * Chooses as Docker 28 does: an index if all of it is here, else the one platform that is or that suits the host. Leases all that will be sent.
 * @throws `not-found` for a platform that is not here; `conflict` if several are and none of them can be meant.
 */
export async function choosePush(
  store: Store,
  { target, platform, shown }: { target: string; platform: string | undefined; shown: string },
  lease: string,
): Promise<PushPlan> {
  const { records } = store
  // What is sent stays until it is sent, also if the image is removed meanwhile.
  records.leases.add(lease, 'blob', [target])
  const entries = records.names.imagesOf(target).map(({ imageId, manifest }) => ({ image: records.images.get(imageId)!, manifest }))
  for (const { image, manifest } of entries) {
    const layers = records.layers.of(image.id)
    records.leases.add(lease, 'blob', [image.id, manifest, image.manifest, ...layers.map(({ blob }) => blob)])
    records.leases.add(lease, 'layer', layers.map(({ chainId }) => chainId)) // prettier-ignore
  }
  const index = await readIndex(store, target)
  const only = async (entry: { image: ImageRecord; manifest: string }) => {
    const image = await imageToPush(store, entry, lease)
    return { images: [image], others: [], top: image, insteadOf: index && { mediaType: index.mediaType, digest: target, size: index.bytes.length } }
  }
  const images = entries.map(({ image }) => image)
  if (platform) {
    const wanted = parsePlatform(platform)
    const matching = images.filter((image) => matchesPlatform(platformOf(image), wanted))
    const best = selectImage(images, wanted)
    if (!best || matching.length === 0) throw platformNotFound(shown, images, wanted)
    return { ...(await only(entries[images.indexOf(best)]!)), insteadOf: undefined }
  }
  if (!index) {
    if (!entries[0]) throw new BerthError('not-found', 'IMAGE_NOT_FOUND', `An image does not exist locally with the tag: ${shown}`)
    return only(entries[0])
  }
  const whole = await wholeIndex(store, index, entries, lease)
  if (whole) return whole
  if (entries.length === 1) return only(entries[0]!)
  const best = selectImage(images, hostPlatform())
  if (best) return only(entries[images.indexOf(best)]!)
  throw new BerthError('conflict', 'PLATFORM_AMBIGUOUS', 'multiple matching manifests found but no specific platform requested')
}

interface StoredIndex extends PushDocument {
  manifests: readonly Descriptor[]
}

/** The index that a target is; undefined for a manifest, or one that was never kept. */
async function readIndex(store: Store, target: string): Promise<StoredIndex | undefined> {
  let bytes: Uint8Array
  try {
    bytes = await store.content.readDocument(target)
  } catch (error) {
    if (isKind(error, 'not-found')) return undefined
    throw error
  }
  const mediaType = store.records.documents.get(target)?.mediaType
  const parsed = parseManifestOrIndex(bytes, mediaType)
  if (parsed.kind === 'manifest') return undefined
  return { digest: target, bytes, mediaType: mediaType ?? parsed.index.mediaType ?? mediaTypes.ociIndex, manifests: parsed.index.manifests }
}

/** The plan for all of an index, if every manifest of it is here with the very blobs that it names. */
async function wholeIndex(store: Store, index: StoredIndex, entries: { image: ImageRecord; manifest: string }[], lease: string): Promise<PushPlan | undefined> {
  const images: PushImage[] = []
  const others: PushManifest[] = []
  for (const { digest, mediaType } of index.manifests) {
    if (!(await store.content.stat(digest))) return undefined
    const bytes = await store.content.readDocument(digest)
    const manifest = parseManifest(bytes, mediaType)
    const blobs = [manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)]
    store.records.leases.add(lease, 'blob', [digest, ...blobs])
    for (const blob of blobs) if (!(await store.content.stat(blob))) return undefined
    const entry = entries.find((each) => each.manifest === digest)
    if (entry) images.push({ image: entry.image, digest, mediaType, bytes, manifest, layers: layersOf(store, entry.image, manifest) })
    else others.push({ digest, mediaType, bytes, manifest })
  }
  return images.length === 0 ? undefined : { images, others, top: index, insteadOf: undefined }
}

/** The image by the manifest that it came with, or by one of the blobs that are here, if a layer here was unpacked from another blob than that names. */
async function imageToPush(store: Store, { image, manifest: digest }: { image: ImageRecord; manifest: string }, lease: string): Promise<PushImage> {
  const bytes = await store.content.readDocument(digest)
  const mediaType = store.records.documents.get(digest)?.mediaType
  const manifest = parseManifest(bytes, mediaType)
  const present = await Promise.all(manifest.layers.map((layer) => store.content.stat(layer.digest)))
  if (present.every((blob) => blob !== undefined)) {
    return { image, digest, mediaType: mediaType ?? manifest.mediaType ?? mediaTypes.ociManifest, bytes, manifest, layers: layersOf(store, image, manifest) }
  }
  const own = manifestOf(image.id, manifest.config.size, store.records.layers.of(image.id))
  const stored = await writeManifest(store, own, lease)
  return { image, ...stored, bytes: Buffer.from(JSON.stringify(own)), manifest: own, layers: layersOf(store, image, own) }
}

function layersOf(store: Store, image: ImageRecord, manifest: ImageManifest): PushLayer[] {
  const layers = store.records.layers.of(image.id)
  return manifest.layers.map((descriptor, index) => ({ descriptor, diffId: layers[index]?.diffId ?? descriptor.digest }))
}
