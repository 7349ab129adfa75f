import type { BlobSource } from '@berth/content-store'
import { BerthError } from '@berth/core'
import {
  attestedDigest, type Descriptor, isAttestation, isConfigType, isForeignLayerType, isIndexType, isManifestType, matchesPlatform, maxDocumentSize, parseManifest, parsePlatform, parseReference,
} from '@berth/oci'
import { type BlobReader, type Image, openImage, openIndex, type Root } from '@berth/oci-image'
import { bringLayers, type LayerReport } from './bring-layers.ts'
import { leaseLayers } from './collect.ts'
import { childrenOf, writeDocument } from './documents.ts'
import { checkConfig, checkManifest, wantedLayers } from './image-checks.ts'
import { Limiter } from './limiter.ts'
import type { ImageToRecord } from './record-image.ts'
import { storedName } from './resolve.ts'
import type { Store } from './store.ts'

export interface BroughtRoot {
  /** Digest of the manifest or index. */
  target: string
  /** As they are recorded. */
  names: string[]
  images: ImageToRecord[]
}

interface BringRootOptions {
  platforms: readonly string[]
  report: LayerReport
  /** Holds all that is brought. */
  lease: string
  signal: AbortSignal
}

/** Indexes within indexes. */
const maxDepth = 8

/** Makes the images of a root of another source be here, ready to be recorded; undefined if it has none, or none for the platforms. */
export async function bringRoot(store: Store, source: BlobReader, root: Root, options: BringRootOptions): Promise<BroughtRoot | undefined> {
  const { descriptor } = root
  const { signal } = options
  const isIndex = isIndexType(descriptor.mediaType)
  const candidates = isIndex ? await openIndex(source, descriptor).images({ signal }) : [openImage(source, descriptor)]
  const images: ImageToRecord[] = []
  for (const image of candidates) {
    if (!(await isWanted(image, source, { ...options, isIndex }))) continue
    images.push(await bringImage(store, source, image, options))
  }
  if (images.length === 0) return undefined
  if (isIndex) await keepIndex(store, source, descriptor, { ...options, brought: new Set(images.map(({ manifest }) => manifest)), depth: 1 })
  return { target: descriptor.digest, names: root.names.map((name) => storedName(parseReference(name))), images }
}

/** Of an index what is not whole is passed over, as archives of one platform have it; an image by itself must be whole. */
async function isWanted(image: Image, source: BlobReader, { platforms, isIndex, signal }: BringRootOptions & { isIndex: boolean }): Promise<boolean> {
  const manifest = await image.manifest({ signal })
  if (!isConfigType(manifest.config.mediaType)) return false
  if (isIndex) {
    for (const blob of [manifest.config, ...manifest.layers]) if (!isForeignLayerType(blob.mediaType) && !(await source.has(blob, { signal }))) return false
  }
  const config = await image.config({ signal })
  if (isIndex && config.os !== 'linux') return false
  return platforms.length === 0 || platforms.map(parsePlatform).some((wanted) => matchesPlatform(config, wanted))
}

async function bringImage(store: Store, source: BlobReader, image: Image, { report, lease, signal }: BringRootOptions): Promise<ImageToRecord> {
  const { descriptor } = image
  const manifest = await image.manifest({ signal })
  checkManifest(manifest)
  const config = await image.config({ signal })
  checkConfig(config, manifest)
  const layers = wantedLayers(manifest, config)
  store.records.leases.add(lease, 'blob', [manifest.config.digest, ...manifest.layers.map(({ digest }) => digest)])
  await leaseLayers(store, lease, layers.map(({ chainId }) => chainId)) // prettier-ignore
  const records = await bringLayers(store, layers, { source: (layer) => sourceOf(source, layer), report, limiter: new Limiter(store.downloads.width), step: 'load', signal })
  // Also those whose layers were here from other blobs, so that the image can be saved and pushed as it came.
  for (const blob of [manifest.config, ...manifest.layers]) await bringBlob(store, source, blob, { lease, signal })
  const bytes = await readAll(source, descriptor, signal)
  await writeDocument(store, { bytes, mediaType: descriptor.mediaType, children: childrenOf(manifest) }, lease)
  store.failPoint('load.image')
  return { id: manifest.config.digest, manifest: descriptor.digest, config, layers: records }
}

interface KeepOptions extends BringRootOptions {
  /** Manifests of the images that are here now. */
  brought: ReadonlySet<string>
  depth: number
}

/** Stores an index with what it holds besides images: attestations of those that came, and indexes within. */
async function keepIndex(store: Store, source: BlobReader, descriptor: Descriptor, options: KeepOptions): Promise<void> {
  const { brought, depth, lease, signal } = options
  if (depth > maxDepth) throw new BerthError('invalid-argument', 'INVALID_IMAGE', `${descriptor.digest}: more than ${maxDepth} indexes within each other`)
  const { manifests } = await openIndex(source, descriptor).index({ signal })
  const children: string[] = []
  for (const child of manifests) {
    if (brought.has(child.digest) || !(await source.has(child, { signal }))) continue
    if (isIndexType(child.mediaType)) {
      await keepIndex(store, source, child, { ...options, depth: depth + 1 })
      children.push(child.digest)
    } else if (isManifestType(child.mediaType) && isAttestation(child) && brought.has(attestedDigest(child) ?? '')) {
      await keepManifest(store, source, child, options)
      children.push(child.digest)
    }
  }
  const bytes = await readAll(source, descriptor, signal)
  await writeDocument(store, { bytes, mediaType: descriptor.mediaType, children }, lease)
}

async function keepManifest(store: Store, source: BlobReader, descriptor: Descriptor, { lease, signal }: KeepOptions): Promise<void> {
  const bytes = await readAll(source, descriptor, signal)
  const manifest = parseManifest(bytes, descriptor.mediaType)
  for (const blob of [manifest.config, ...manifest.layers]) if (await source.has(blob, { signal })) await bringBlob(store, source, blob, { lease, signal })
  await writeDocument(store, { bytes, mediaType: descriptor.mediaType, children: childrenOf(manifest) }, lease)
}

async function bringBlob(store: Store, source: BlobReader, blob: Descriptor, { lease, signal }: { lease: string; signal: AbortSignal }): Promise<void> {
  store.records.leases.add(lease, 'blob', [blob.digest])
  await using arrival = await store.content.fetch(blob, sourceOf(source, blob), { signal })
  await arrival.done
}

/** Bytes of a blob from an offset on; what comes before it is read and dropped. */
function sourceOf(source: BlobReader, blob: Descriptor): BlobSource {
  return async function* (offset, signal) {
    let left = offset
    for await (const chunk of source.blob(blob, { signal })) {
      if (left < chunk.length) yield chunk.subarray(left)
      left = Math.max(0, left - chunk.length)
    }
  }
}

/** @throws `invalid-argument` for what is too large to be a document. */
async function readAll(source: BlobReader, descriptor: Descriptor, signal: AbortSignal): Promise<Buffer> {
  if (descriptor.size > maxDocumentSize) throw new BerthError('invalid-argument', 'INVALID_IMAGE', `${descriptor.digest} is no document: ${descriptor.size} bytes`)
  return Buffer.concat(await Array.fromAsync(source.blob(descriptor, { signal })))
}
