import type { AuthConfig } from '@berth/api-types'
import { BerthError, isKind, shortId } from '@berth/core'
import {
  chainIds,
  type Descriptor,
  familiarReference,
  familiarRepository,
  formatPlatform,
  hostPlatform,
  type ImageConfig,
  type ImageManifest,
  isConfigType,
  isLayerType,
  matchesPlatform,
  maxDocumentSize,
  parseConfig,
  parseManifest,
  parseManifestOrIndex,
  parsePlatform,
  parseReference,
  type Reference,
  repositoryOf,
  selectPlatform,
} from '@berth/oci'
import { abandonLease, collect, leaseLayers } from './collect.ts'
import { examineLayer } from './layer-file.ts'
import { Limiter } from './limiter.ts'
import { writeLeased } from './manifest.ts'
import type { Progress } from './progress.ts'
import type { LayerRecord } from './records.ts'
import { storedName } from './resolve.ts'
import { emitImage, type Store } from './store.ts'

const parallelDownloads = 3
/** Above every storage driver's depth; a manifest with more is a trick. */
const maxLayers = 512

export interface PullOptions {
  image: string
  /** A tag or a digest. Without one here or in `image`, all tags of the repository. */
  tag?: string | undefined
  platform?: string | undefined
  auth?: AuthConfig | undefined
}

interface RemoteImage {
  /** What the tag named: of an index, if it named one. */
  digest: string
  manifest: ImageManifest
  bytes: Uint8Array
}

interface RemoteLayer extends Descriptor {
  diffId: string
  chainId: string
  parent: string | undefined
}

/** Brings images here and names them. Nothing of a pull that fails stays but blobs that another try can go on from. */
export async function pullImage(store: Store, { image, tag, platform, auth }: PullOptions, progress: Progress, signal: AbortSignal): Promise<void> {
  const reference = pullReference(image, tag)
  const isSingle = reference.tag !== undefined || reference.digest !== undefined
  const references = isSingle ? [reference] : (await store.registry.tags(reference, { auth, signal })).map((each) => ({ ...reference, tag: each }))
  for (const each of references) await pullOne(store, each, { platform, auth }, progress, signal)
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
  { platform, auth }: Pick<PullOptions, 'platform' | 'auth'>,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const shown = familiarReference(reference)
  const wanted = platform ? parsePlatform(platform) : undefined
  const remote = await chooseManifest(store, reference, { wanted, auth }, signal)
  progress.send({ status: `Pulling from ${reference.path}`, id: reference.digest ?? reference.tag })
  const { manifest } = remote
  checkManifest(manifest)
  const id = manifest.config.digest
  const names = [storedName({ ...reference, tag: undefined, digest: remote.digest })]
  if (reference.digest === undefined) names.push(storedName(reference))

  const lease = store.records.openLease(`pull ${shown}`)
  try {
    store.records.addToLease(lease, 'blob', [id, ...manifest.layers.map(({ digest }) => digest)])
    const config = await fetchConfig(store, reference, manifest.config, auth, signal)
    checkConfig(config, manifest, wanted)
    const chains = chainIds(config.rootfs.diff_ids)
    await leaseLayers(store, lease, chains)
    const isHere = await isComplete(store, id, chains)
    const isNew = !isHere || names.some((name) => store.records.imageOfName(name) !== id)
    if (!isHere) {
      const layers = await fetchLayers(store, reference, remoteLayers(manifest, config, chains), auth, progress, signal)
      const stored = await writeLeased(store, remote.bytes, lease)
      await store.content.sync([...new Set([id, stored, ...layers.map(({ blob }) => blob)])])
      signal.throwIfAborted()
      const created = Date.parse(config.created ?? '')
      store.records.addImage(
        {
          id,
          manifest: stored,
          os: config.os,
          architecture: config.architecture,
          variant: config.variant,
          createdMs: Number.isNaN(created) ? undefined : created,
          labels: config.config?.Labels ?? {},
          lastTagMs: undefined,
        },
        layers,
        names,
        lease,
      )
    } else {
      store.records.addNames(names, id)
      store.records.endLease(lease)
    }
    await collect(store, { keepBlobs: false })
    progress.send({ status: `Digest: ${remote.digest}` })
    progress.send({ status: `Status: ${isNew ? 'Downloaded newer image' : 'Image is up to date'} for ${shown}` })
    emitImage(store, 'pull', shown, familiarRepository(reference), config.config?.Labels)
  } catch (error) {
    // What was verified and is only unfinished can be resumed; what was a lie is not worth keeping.
    await abandonLease(store, lease, { keepBlobs: !isKind(error, 'data-loss', 'invalid-argument') })
    throw error
  }
}

async function chooseManifest(
  store: Store,
  reference: Reference,
  { wanted, auth }: { wanted: ReturnType<typeof parsePlatform> | undefined; auth: AuthConfig | undefined },
  signal: AbortSignal,
): Promise<RemoteImage> {
  const top = await store.registry.manifest(reference, { auth, signal })
  const parsed = parseManifestOrIndex(top.bytes, top.mediaType)
  if (parsed.kind === 'manifest') return { digest: top.digest, manifest: parsed.manifest, bytes: top.bytes }
  const chosen = selectPlatform(parsed.index.manifests, wanted ?? hostPlatform(), { strict: wanted !== undefined })
  if (!chosen) throw noPlatform(wanted ?? hostPlatform())
  const { tag: _, ...repository } = reference
  const inner = await store.registry.manifest({ ...repository, digest: chosen.digest }, { auth, signal })
  return { digest: top.digest, manifest: parseManifest(inner.bytes, chosen.mediaType), bytes: inner.bytes }
}

function checkManifest(manifest: ImageManifest): void {
  const { mediaType, size } = manifest.config
  if (!isConfigType(mediaType)) throw malformed(`unsupported config media type ${mediaType}: this is not a container image`)
  if (size > maxDocumentSize) throw malformed(`the config has ${size} bytes, more than the limit of ${maxDocumentSize}`)
  if (manifest.layers.length > maxLayers) throw malformed(`${manifest.layers.length} layers are more than the limit of ${maxLayers}`)
  for (const layer of manifest.layers) {
    if (!isLayerType(layer.mediaType)) throw malformed(`unsupported layer media type ${layer.mediaType}`)
  }
}

function checkConfig(config: ImageConfig, manifest: ImageManifest, wanted: ReturnType<typeof parsePlatform> | undefined): void {
  if (config.rootfs.diff_ids.length !== manifest.layers.length) {
    throw malformed(`the config names ${config.rootfs.diff_ids.length} layers and the manifest ${manifest.layers.length}`)
  }
  if (config.os !== 'linux') throw malformed(`image operating system ${JSON.stringify(config.os.slice(0, 64))} cannot be used on this platform`)
  if (wanted && !matchesPlatform(config, wanted)) throw noPlatform(wanted)
}

async function fetchConfig(store: Store, reference: Reference, config: Descriptor, auth: AuthConfig | undefined, signal: AbortSignal): Promise<ImageConfig> {
  await store.content.fetch(config, (offset, ending) => store.registry.blob(reference, config, { offset, auth, signal: ending }), { signal })
  return parseConfig(await store.content.read(config.digest))
}

/** Whether the image is here, down to its snapshots. */
async function isComplete(store: Store, id: string, chains: readonly string[]): Promise<boolean> {
  if (!store.records.image(id)) return false
  const top = chains.at(-1)
  return top === undefined || hasSnapshot(store, top)
}

async function hasSnapshot(store: Store, chain: string): Promise<boolean> {
  try {
    await store.snapshotter.stat(chain)
    return true
  } catch (error) {
    if (isKind(error, 'not-found')) return false
    throw error
  }
}

function remoteLayers(manifest: ImageManifest, config: ImageConfig, chains: readonly string[]): RemoteLayer[] {
  return manifest.layers.map((descriptor, index) => ({
    ...descriptor,
    diffId: config.rootfs.diff_ids[index]!,
    chainId: chains[index]!,
    parent: chains[index - 1],
  }))
}

/** Downloads layers side by side and unpacks each as soon as it and those below it are there. */
async function fetchLayers(
  store: Store,
  reference: Reference,
  layers: readonly RemoteLayer[],
  auth: AuthConfig | undefined,
  progress: Progress,
  signal: AbortSignal,
): Promise<LayerRecord[]> {
  const present: LayerRecord[] = []
  for (const layer of layers) {
    const record = store.records.layer(layer.chainId)
    if (!record || !(await hasSnapshot(store, layer.chainId))) break
    present.push(record)
    progress.status(shownId(layer), 'Already exists')
  }
  const missing = layers.slice(present.length)
  for (const layer of missing) progress.status(shownId(layer), 'Pulling fs layer')
  for (const layer of missing.slice(parallelDownloads)) progress.status(shownId(layer), 'Waiting')

  const failed = new AbortController()
  const ending = AbortSignal.any([signal, failed.signal])
  const limiter = new Limiter(parallelDownloads)
  const downloads = missing.map((layer) => limiter.run(() => download(store, reference, layer, auth, progress, ending)))
  for (const download of downloads) download.catch((error: unknown) => failed.abort(error))
  try {
    const unpacked: LayerRecord[] = []
    for (const [index, layer] of missing.entries()) {
      await downloads[index]
      unpacked.push(await unpack(store, layer, progress, ending))
    }
    return [...present, ...unpacked]
  } catch (error) {
    failed.abort(error)
    await Promise.allSettled(downloads)
    // The first failure has aborted the rest, which fail of that.
    throw signal.aborted ? signal.reason : failed.signal.reason
  }
}

async function download(
  store: Store,
  reference: Reference,
  layer: RemoteLayer,
  auth: AuthConfig | undefined,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const id = shownId(layer)
  await store.content.fetch(layer, (offset, ending) => store.registry.blob(reference, layer, { offset, auth, signal: ending }), {
    signal,
    onProgress: (bytes) => progress.bytes(id, 'Downloading', bytes, layer.size),
    onVerify: () => progress.status(id, 'Verifying Checksum'),
  })
  progress.status(id, 'Download complete')
}

async function unpack(store: Store, layer: RemoteLayer, progress: Progress, signal: AbortSignal): Promise<LayerRecord> {
  const { chainId, diffId, parent, digest, size, mediaType } = layer
  const path = store.content.path(digest)
  const { compression, unpackedSize } = await examineLayer(path, size)
  const scale = unpackedSize === undefined ? 1 : size / unpackedSize
  const onProgress = (bytes: number) => progress.bytes(shownId(layer), 'Extracting', Math.min(size, Math.round(bytes * scale)), size)
  for (;;) {
    try {
      await store.snapshotter.apply(chainId, { path, compression, diffId }, { parent, signal, onProgress })
      break
    } catch (error) {
      // It was joined to another pull's unpacking, and that pull was cancelled.
      if (!isKind(error, 'cancelled') || signal.aborted) throw error
    }
  }
  const { bytes } = await store.snapshotter.usage(chainId)
  progress.status(shownId(layer), 'Pull complete')
  return { chainId, diffId, blob: digest, blobSize: size, mediaType, size: bytes }
}

/** Layers are shown by the beginning of their blob's digest. */
function shownId({ digest }: Descriptor): string {
  return shortId(digest.slice(digest.indexOf(':') + 1))
}

function malformed(message: string): BerthError {
  return new BerthError('invalid-argument', 'INVALID_IMAGE', message)
}

function noPlatform(wanted: ReturnType<typeof parsePlatform>): BerthError {
  return new BerthError('not-found', 'NO_MATCHING_PLATFORM', `no matching manifest for ${formatPlatform(wanted)} in the manifest list entries`)
}
