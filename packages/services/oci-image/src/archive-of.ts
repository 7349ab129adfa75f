import { BerthError } from '@berth/core'
import { contentPadding, encodeEntry, endOfArchive } from '@berth/layer-tar'
import {
  attestedDigest, type Descriptor, familiarRepository, isAttestation, isConfigType, isForeignLayerType, isIndexType, isManifestType, matchesPlatform, mediaTypes, parseDigest,
  parseReference, type Platform, selectPlatform,
} from '@berth/oci'
import { blobPath } from './blob-path.ts'
import type { BlobReader, Image, ReadOptions, Root } from './image.ts'
import { mergeRoots, namedDescriptors, repoTags } from './names.ts'
import { openImage } from './open-image.ts'
import { openIndex } from './open-index.ts'
import { walk } from './walk.ts'

export interface ArchiveOptions extends ReadOptions {
  /** Of an index, only the images for these platforms and what is attested of them; all that are there unless told otherwise. */
  platforms?: readonly Platform[] | undefined
}

interface Plan {
  roots: readonly Root[]
  /** By path, in the order of the archive. */
  blobs: ReadonlyMap<string, Descriptor>
  /** The content of `manifest.json`. */
  images: readonly DockerImage[]
  /** The content of `repositories`. */
  repositories: Record<string, Record<string, string>>
}

interface DockerImage {
  Config: string
  RepoTags: string[] | null
  Layers: string[]
}

/**
 * One tar that is an OCI layout and a docker-archive at once, as Docker 25 and later write it, the documents first. The same roots give the same bytes. Blobs are in it as they
 * are stored, each once, and pass through piece by piece. What a root names and the reader has not (images for other platforms, foreign layers) is left out; an index stays
 * the same, so that its digest survives. As a docker-archive cannot say platforms, its `manifest.json` has of an index the one image that suits the host best.
 *
 * @throws `not-found`, before the first byte, for a root that is not there or of which no image is whole; what the reader throws.
 */
export async function* archiveOf(roots: readonly Root[], reader: BlobReader, options: ArchiveOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
  const plan = await planArchive(mergeRoots(roots), reader, options)
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: plan.roots.flatMap(namedDescriptors) }
  yield document('oci-layout', { imageLayoutVersion: '1.0.0' })
  yield document('index.json', index)
  yield document('manifest.json', plan.images)
  yield document('repositories', plan.repositories)
  const directories = new Set<string>()
  for (const [path, descriptor] of plan.blobs) {
    for (const parent of ['blobs/', `blobs/${parseDigest(descriptor.digest).algorithm}/`]) {
      if (!directories.has(parent)) yield header(parent, 0)
      directories.add(parent)
    }
    yield header(path, descriptor.size)
    yield* exactly(reader.blob(descriptor, options), descriptor, options.signal)
    if (descriptor.size % 512 !== 0) yield contentPadding(descriptor.size)
  }
  yield endOfArchive()
}

async function planArchive(roots: readonly Root[], reader: BlobReader, options: ArchiveOptions): Promise<Plan> {
  const blobs = new Map<string, Descriptor>()
  const images: DockerImage[] = []
  const repositories: Plan['repositories'] = {}
  for (const { names, descriptor } of roots) {
    for await (const blob of walk(reader, descriptor, { ...options, wants: wanting(options.platforms) })) blobs.set(blobPath(blob.digest), blob)
    const whole: Image[] = []
    for (const image of await imagesOf(descriptor, reader, options)) if (blobs.has(blobPath(image.descriptor.digest)) && (await isWhole(image, blobs, options))) whole.push(image)
    const best = selectPlatform(whole.map((image) => ({ image, platform: image.descriptor.platform })))?.image ?? whole[0]
    if (best === undefined) {
      if (await isArtifact(descriptor, reader, options)) continue
      throw new BerthError('not-found', 'IMAGE_INCOMPLETE', `${names[0] ?? descriptor.digest}: no image of it is here whole${options.platforms ? ' for the platforms that were asked for' : ''}`)
    }
    const { config, layers } = await best.manifest(options)
    const tags = repoTags(names)
    images.push({ Config: blobPath(config.digest), RepoTags: tags.length > 0 ? tags : null, Layers: layers.map(({ digest }) => blobPath(digest)) })
    const top = layers.at(-1)
    for (const tag of top ? tags : []) {
      const reference = parseReference(tag)
      ;(repositories[familiarRepository(reference)] ??= {})[reference.tag!] = parseDigest(top!.digest).encoded
    }
  }
  return { roots, blobs: new Map([...blobs].toSorted(([a], [b]) => (a < b ? -1 : 1))), images, repositories }
}

async function imagesOf(descriptor: Descriptor, reader: BlobReader, options: ReadOptions): Promise<readonly Image[]> {
  return isIndexType(descriptor.mediaType) ? openIndex(reader, descriptor).images(options) : [openImage(reader, descriptor)]
}

/** Whether all of an image but its foreign layers goes into the archive. */
async function isWhole(image: Image, blobs: ReadonlyMap<string, Descriptor>, options: ReadOptions): Promise<boolean> {
  const { config, layers } = await image.manifest(options)
  return isConfigType(config.mediaType) && [config, ...layers.filter(({ mediaType }) => !isForeignLayerType(mediaType))].every(({ digest }) => blobs.has(blobPath(digest)))
}

/** Whether a root is a manifest of something else than an image: it is kept, as the OCI layout that the archive is can hold it. */
async function isArtifact(descriptor: Descriptor, reader: BlobReader, options: ReadOptions): Promise<boolean> {
  return isManifestType(descriptor.mediaType) && !isConfigType((await openImage(reader, descriptor).manifest(options)).config.mediaType)
}

function wanting(platforms: readonly Platform[] | undefined): ((child: Descriptor, index: { manifests: readonly Descriptor[] }) => boolean) | undefined {
  if (platforms === undefined) return undefined
  const wanted = ({ platform }: Descriptor) => platform !== undefined && platforms.some((each) => matchesPlatform(platform, each))
  return (child, { manifests }) => isIndexType(child.mediaType) || wanted(isAttestation(child) ? (manifests.find(({ digest }) => digest === attestedDigest(child)) ?? child) : child)
}

/** Passes on a blob of which the header has told the size already. */
async function* exactly(source: AsyncIterable<Uint8Array>, { digest, size }: Descriptor, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void, undefined> {
  let passed = 0
  for await (const chunk of source) {
    signal?.throwIfAborted()
    passed += chunk.length
    if (passed > size) break
    yield chunk
  }
  if (passed !== size) throw new BerthError('data-loss', 'SIZE_MISMATCH', `${digest}: has ${passed > size ? 'more than' : `${passed} of`} ${size} bytes`)
}

function document(name: string, value: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(value))
  return Buffer.concat([header(name, body.length), body, contentPadding(body.length)])
}

/** All files are root's, of mode 0644 (directories 0755), and of the beginning of time. */
function header(name: string, size: number): Buffer {
  const isDirectory = name.endsWith('/')
  return encodeEntry({
    name, size, type: isDirectory ? 'directory' : 'file', mode: isDirectory ? 0o755 : 0o644, uid: 0, gid: 0, mtime: 0n, linkname: '', devmajor: 0, devminor: 0, xattrs: new Map(),
  })
}
