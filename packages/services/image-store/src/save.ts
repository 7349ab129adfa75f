import { BerthError } from '@berth/core'
import { type Descriptor, isDigest, isIndexType, parseManifest, parsePlatform, parseReference, repositoryOf } from '@berth/oci'
import { archiveOf, type Root } from '@berth/oci-image'
import { abandonLease } from './collect.ts'
import { manifestOf as ownManifest, writeManifest } from './documents.ts'
import type { ImageRecord } from './records/image-records.ts'
import { type FoundImage, findImage, isForPlatforms } from './resolve.ts'
import { emitImage, type Store } from './store.ts'
import { blobReader, documentOf, manifestOf } from './store-source.ts'

export interface SaveOptions {
  /** Of names that are for several platforms, the images for these alone; all that are here without one. */
  platforms?: readonly string[] | undefined
  signal: AbortSignal
}

/**
 * One tar of images, with their names as far as they were given by name; a repository without a tag stands for all of its tags. It holds what it needs while it is read.
 * @throws at once, as `findImage`; `not-found` if a name has no image for the platforms.
 */
export function saveImages(
  store: Store,
  refs: readonly string[],
  { platforms = [], signal, closing }: SaveOptions & { closing: AbortSignal },
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const found of refs.flatMap((ref) => findAll(store, ref))) checkPlatforms(found, platforms)
  return archive(store, refs, { platforms, signal: AbortSignal.any([signal, closing]), closing })
}

async function* archive(store: Store, refs: readonly string[], { platforms, signal, closing }: { platforms: readonly string[]; signal: AbortSignal; closing: AbortSignal }) {
  signal.throwIfAborted()
  const lease = store.records.leases.open('save')
  try {
    const saved = new Map<string, ImageRecord>()
    const roots: Root[] = []
    for (const found of refs.flatMap((ref) => findAll(store, ref))) {
      for (const image of found.all) saved.set(image.id, image)
      roots.push(...(await rootsOf(store, found, { platforms, lease })))
    }
    const wanted = platforms.length === 0 ? undefined : platforms.map(parsePlatform)
    yield* archiveOf(roots, blobReader(store, { verify: false }), { signal, platforms: wanted })
    for (const { id, labels } of saved.values()) emitImage(store, 'save', id, id, labels)
  } finally {
    // A store that was closed meanwhile ends its leases when it is opened again.
    if (!closing.aborted) await abandonLease(store, lease, { keepBlobs: false })
  }
}

/** What a reference of the user's stands for: an image, or each tag of a repository. */
function findAll(store: Store, ref: string): FoundImage[] {
  if (!isDigest(ref) && !/^[a-f0-9]{64}$/.test(ref)) {
    const reference = parseReferenceOrNone(ref)
    if (reference && reference.tag === undefined && reference.digest === undefined) {
      const tagged = store.records.names.in(repositoryOf(reference)).filter(({ name }) => !name.includes('@'))
      if (tagged.length > 0) return tagged.map(({ name }) => findImage(store, name))
    }
  }
  return [findImage(store, ref)]
}

function parseReferenceOrNone(ref: string) {
  try {
    return parseReference(ref)
  } catch {
    return undefined
  }
}

function checkPlatforms({ image, name, all }: FoundImage, platforms: readonly string[]): void {
  if (all.some((each) => isForPlatforms(each, platforms))) return
  const shown = platforms.map((platform) => parsePlatform(platform)).map(({ os, architecture, variant }) => [os, architecture, ...(variant ? [variant] : [])].join('/'))
  throw new BerthError(
    'not-found',
    'PLATFORM_MISMATCH',
    `no suitable export target found: image with reference ${name ?? image.id} was found but does not provide the specified platform (${shown.join(', ')})`,
  )
}

/** The index or manifest that a name is for; or manifests made of the blobs that are here, if those that it names are not all here. */
async function rootsOf(store: Store, { image, name, target, all }: FoundImage, { platforms, lease }: { platforms: readonly string[]; lease: string }): Promise<Root[]> {
  const { records } = store
  const names = name === undefined || name.includes('@') ? [] : [name]
  const chosen = all.filter((each) => isForPlatforms(each, platforms))
  for (const each of all) {
    const layers = records.layers.of(each.id)
    records.leases.add(lease, 'blob', [each.id, each.manifest, manifestOf(store, each, target), ...layers.map(({ blob }) => blob)])
  }
  const top = documentOf(store, target ?? image.manifest)
  if (top) {
    records.leases.add(lease, 'blob', [top.digest])
    const isWhole = await Promise.all(chosen.map((each) => hasAll(store, manifestOf(store, each, target))))
    if (isWhole.every(Boolean)) return [{ names, descriptor: top }]
  }
  const roots: Root[] = []
  for (const each of chosen) {
    const digest = manifestOf(store, each, target)
    const descriptor: Descriptor = (await hasAll(store, digest)) ? documentOf(store, digest)! : await makeManifest(store, each, lease)
    roots.push({ names: each.id === image.id || chosen.length === 1 ? names : [], descriptor })
  }
  return roots
}

async function hasAll(store: Store, manifest: string): Promise<boolean> {
  const document = documentOf(store, manifest)
  if (!document || isIndexType(document.mediaType)) return false
  const { layers } = parseManifest(await store.content.readDocument(manifest), document.mediaType)
  const blobs = await Promise.all(layers.map(({ digest }) => store.content.stat(digest)))
  return blobs.every((blob) => blob !== undefined)
}

async function makeManifest(store: Store, { id }: ImageRecord, lease: string): Promise<Descriptor> {
  const config = await store.content.stat(id)
  return writeManifest(store, ownManifest(id, config?.size ?? 0, store.records.layers.of(id)), lease)
}
