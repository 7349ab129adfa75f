import type { AuthConfig } from '@berth/api-types'
import { BerthError, isKind } from '@berth/core'
import {
  type Descriptor,
  familiarReference,
  familiarRepository,
  formatPlatform,
  hostPlatform,
  type ImageConfig,
  type ImageManifest,
  matchesPlatform,
  mediaTypes,
  parseConfig,
  parseManifest,
  parseManifestOrIndex,
  parsePlatform,
  parseReference,
  type Platform,
  type Reference,
  repositoryOf,
  selectPlatform,
} from '@berth/oci'
import { bringLayers, isWhole } from './bring-layers.ts'
import { abandonLease, collect, leaseLayers } from './collect.ts'
import { childrenOf, writeDocument } from './documents.ts'
import { checkConfig, checkManifest, wantedLayers } from './image-checks.ts'
import type { Progress } from './progress.ts'
import { pullReport } from './pull-report.ts'
import { recordImages } from './record-image.ts'
import { storedName } from './resolve.ts'
import { emitImage, type Store } from './store.ts'

export interface PullOptions {
  image: string
  /** A tag or a digest. Without one here or in `image`, all tags of the repository. */
  tag?: string | undefined
  platform?: string | undefined
  auth?: AuthConfig | undefined
}

interface StoredDocument {
  digest: string
  mediaType: string
  bytes: Uint8Array
}

interface RemoteImage extends StoredDocument {
  manifest: ImageManifest
  /** What the tag named, if that was an index. */
  index: StoredDocument | undefined
}

/** Brings images here and names them. Nothing of a pull that fails stays but blobs that another try can go on from. */
export async function pullImage(store: Store, { image, tag, platform, auth }: PullOptions, progress: Progress, signal: AbortSignal): Promise<void> {
  const wanted = platform ? parsePlatform(platform) : undefined
  const reference = pullReference(image, tag)
  const isSingle = reference.tag !== undefined || reference.digest !== undefined
  const references = isSingle ? [reference] : (await store.registry.tags(reference, { auth, signal })).map((each) => ({ ...reference, tag: each }))
  for (const each of references) await pullOne(store, each, { wanted, auth }, progress, signal)
}

/** The tag or digest on its own outweighs the one in the name, and a digest in the name everything. */
function pullReference(image: string, tag: string | undefined): Reference {
  const reference = parseReference(image)
  if (!tag || reference.digest !== undefined) return reference
  const repository = repositoryOf(reference)
  return parseReference(tag.includes(':') ? `${repository}@${tag}` : `${repository}:${tag}`)
}

async function pullOne(
  store: Store,
  reference: Reference,
  { wanted, auth }: { wanted: Platform | undefined; auth: AuthConfig | undefined },
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const shown = familiarReference(reference)
  const remote = await chooseManifest(store, reference, { wanted, auth }, signal)
  progress.send({ status: `Pulling from ${reference.path}`, id: reference.digest ?? reference.tag })
  const { manifest } = remote
  checkManifest(manifest)
  const id = manifest.config.digest
  const target = remote.index?.digest ?? remote.digest
  const names = [storedName({ ...reference, tag: undefined, digest: target })]
  if (reference.digest === undefined) names.push(storedName(reference))

  const lease = store.records.leases.open(`pull ${shown}`)
  try {
    store.records.leases.add(lease, 'blob', [id, ...manifest.layers.map(({ digest }) => digest)])
    const config = await fetchConfig(store, reference, manifest.config, auth, signal)
    checkConfig(config, manifest)
    if (wanted && !matchesPlatform(config, wanted)) throw noPlatform(wanted)
    store.failPoint('pull.config')
    const layers = wantedLayers(manifest, config)
    await leaseLayers(store, lease, layers.map(({ chainId }) => chainId)) // prettier-ignore
    const isHere = await isComplete(store, id)
    const isNew = !isHere || names.some((name) => store.records.names.targetOf(name) !== target) || !isAmong(store, target, id)
    const brought = isHere
      ? store.records.layers.of(id)
      : await bringLayers(store, layers, {
          source: (layer) => (offset, ending) => store.registry.blob(reference, layer, { offset, auth, signal: ending, verify: false }),
          report: pullReport(progress),
          limiter: store.downloads,
          step: 'pull',
          signal,
        })
    await storeDocuments(store, remote, lease)
    store.failPoint('pull.documents')
    signal.throwIfAborted()
    recordImages(store, [{ id, manifest: remote.digest, config, layers: brought }], { target, names }, lease)
    await store.records.sync()
    store.failPoint('pull.recorded')
    await collect(store, { keepBlobs: false })
    progress.send({ status: `Digest: ${target}` })
    progress.send({ status: `Status: ${isNew ? 'Downloaded newer image' : 'Image is up to date'} for ${shown}` })
    emitImage(store, 'pull', shown, familiarRepository(reference), config.config?.Labels)
  } catch (error) {
    // What was verified and is only unfinished can be gone on with; what was a lie is not worth keeping.
    await abandonLease(store, lease, { keepBlobs: !isKind(error, 'data-loss', 'invalid-argument') })
    throw error
  }
}

async function chooseManifest(
  store: Store,
  reference: Reference,
  { wanted, auth }: { wanted: Platform | undefined; auth: AuthConfig | undefined },
  signal: AbortSignal,
): Promise<RemoteImage> {
  const top = await store.registry.manifest(reference, { auth, signal })
  const parsed = parseManifestOrIndex(top.bytes, top.mediaType)
  if (parsed.kind === 'manifest') return { ...documentOf(top, parsed.manifest.mediaType), manifest: parsed.manifest, index: undefined }
  const chosen = selectPlatform(parsed.index.manifests, wanted ?? hostPlatform(), { strict: wanted !== undefined })
  if (!chosen) throw noPlatform(wanted ?? hostPlatform())
  const { tag: _, ...repository } = reference
  const { bytes } = await store.registry.manifest({ ...repository, digest: chosen.digest }, { auth, signal })
  const manifest = parseManifest(bytes, chosen.mediaType)
  return { digest: chosen.digest, mediaType: chosen.mediaType, bytes, manifest, index: documentOf(top, parsed.index.mediaType ?? mediaTypes.ociIndex) }
}

function documentOf({ digest, bytes, mediaType }: StoredDocument, own: string | undefined): StoredDocument {
  return { digest, bytes, mediaType: own ?? (mediaType || mediaTypes.ociManifest) }
}

async function storeDocuments(store: Store, { bytes, mediaType, manifest, index }: RemoteImage, lease: string): Promise<void> {
  await writeDocument(store, { bytes, mediaType, children: childrenOf(manifest) }, lease)
  if (index) await writeDocument(store, { ...index, children: [] }, lease)
}

async function fetchConfig(store: Store, reference: Reference, config: Descriptor, auth: AuthConfig | undefined, signal: AbortSignal): Promise<ImageConfig> {
  const source = (offset: number, ending: AbortSignal) => store.registry.blob(reference, config, { offset, auth, signal: ending, verify: false })
  await using arrival = await store.content.fetch(config, source, { signal })
  await arrival.done
  return parseConfig(await store.content.readDocument(config.digest))
}

/** Whether the image is here, down to its blobs and snapshots. */
async function isComplete(store: Store, id: string): Promise<boolean> {
  if (!store.records.images.get(id)) return false
  const layers = await Promise.all(store.records.layers.of(id).map((layer) => isWhole(store, layer)))
  return layers.every(Boolean)
}

function isAmong(store: Store, target: string, id: string): boolean {
  return store.records.names.imagesOf(target).some(({ imageId }) => imageId === id)
}

function noPlatform(wanted: Platform): BerthError {
  return new BerthError('not-found', 'NO_MATCHING_PLATFORM', `no matching manifest for ${formatPlatform(wanted)} in the manifest list entries`)
}
