import { BerthError } from '@berth/core'
import {
  chainId,
  familiarReference,
  formatPlatform,
  formatReference,
  hostPlatform,
  type ImageConfig,
  isDigest,
  matchesPlatform,
  normalizePlatform,
  parseConfig,
  parsePlatform,
  parseReference,
  type Platform,
  type Reference,
  selectPlatform,
  withDefaultTag,
} from '@berth/oci'
import type { ImageRecord } from './records/image-records.ts'
import type { Store } from './store.ts'

export interface ResolvedImage {
  /** Digest of the config. */
  id: string
  /** Name of the topmost snapshot; undefined for an image without layers. */
  chainId: string | undefined
  config: ImageConfig
}

/** An image found by what the user gave. */
export interface FoundImage {
  /** The one that was asked for, or that suits the host best. */
  image: ImageRecord
  /** The stored name that was given, and what it is for; undefined when it was an ID. */
  name: string | undefined
  target: string | undefined
  /** All images that the name has here, one a platform; of an ID, the one. */
  all: readonly ImageRecord[]
}

/**
 * Finds an image by name (tag `latest` unless given), `name@digest`, ID, or a unique beginning of an ID with or without `sha256:`.
 * @param platform `os/architecture[/variant]`; without it the host's is chosen, or else the first that came.
 * @throws `invalid-argument` for what can be none of these; `not-found` with Docker's `No such image: …`, or if it is not for the wanted platform.
 */
export function findImage(store: Pick<Store, 'records'>, ref: string, platform?: string): FoundImage {
  const found = findAny(store, ref)
  if (!platform) return found
  const wanted = parsePlatform(platform)
  const image = selectImage(found.all, wanted)
  if (image) return { ...found, image }
  throw platformNotFound(ref, found.all, wanted)
}

function findAny({ records }: Pick<Store, 'records'>, ref: string): FoundImage {
  const wholeId = /^[a-f0-9]{64}$/.test(ref) ? `sha256:${ref}` : isDigest(ref) ? ref : undefined
  if (wholeId !== undefined) {
    const image = records.images.get(wholeId)
    if (image) return byId(image)
    throw noSuchImage(wholeId)
  }
  const prefix = /^(?:sha256:)?([a-f0-9]{1,64})$/.exec(ref)?.[1]
  const reference = ref.startsWith('sha256:') && prefix !== undefined ? undefined : withDefaultTag(parseReference(ref))
  if (reference) {
    const name = storedName(reference)
    const target = records.names.targetOf(name)
    const all = target === undefined ? [] : imagesOfTarget({ records }, target)
    if (all.length > 0) return { image: defaultImage(all)!, name, target, all }
  }
  const ids = prefix === undefined ? [] : records.images.idsByPrefix(prefix)
  const image = ids.length === 1 ? records.images.get(ids[0]!) : undefined
  if (image) return byId(image)
  throw noSuchImage(reference ? familiarReference(reference) : ref)
}

export function imagesOfTarget({ records }: Pick<Store, 'records'>, target: string): ImageRecord[] {
  return records.names.imagesOf(target).flatMap(({ imageId }) => records.images.get(imageId) ?? [])
}

/** The one for the host, or else the first. */
export function defaultImage(images: readonly ImageRecord[]): ImageRecord | undefined {
  return selectImage(images, hostPlatform()) ?? images[0]
}

/** The one that suits a platform best, an older variant included. */
export function selectImage(images: readonly ImageRecord[], wanted: Platform): ImageRecord | undefined {
  return selectPlatform(images.map((image) => ({ image, platform: platformOf(image) })), wanted)?.image
}

export function platformOf({ os, architecture, variant }: ImageRecord): Platform {
  return normalizePlatform({ os, architecture, variant })
}

export function isForPlatforms(image: ImageRecord, platforms: readonly string[]): boolean {
  return platforms.length === 0 || platforms.map(parsePlatform).some((wanted) => matchesPlatform(platformOf(image), wanted))
}

/** The form under which a name is recorded: a digest outweighs a tag. */
export function storedName(reference: Reference): string {
  const { domain, path, tag, digest } = withDefaultTag(reference)
  return formatReference(digest === undefined ? { domain, path, tag } : { domain, path, digest })
}

/**
 * An image ready to be run.
 * @throws as {@link findImage}.
 */
export async function resolveImage(store: Store, ref: string, { platform }: { platform?: string | undefined } = {}): Promise<ResolvedImage> {
  const { image } = findImage(store, ref, platform)
  const config = await readConfig(store, image.id)
  return { id: image.id, chainId: chainId(config.rootfs.diff_ids), config }
}

export async function readConfig(store: Pick<Store, 'content'>, id: string): Promise<ImageConfig> {
  return parseConfig(await store.content.readDocument(id))
}

function byId(image: ImageRecord): FoundImage {
  return { image, name: undefined, target: undefined, all: [image] }
}

export function platformNotFound(ref: string, images: readonly ImageRecord[], wanted: Platform): BerthError {
  const [only, ...more] = images
  const what =
    only && more.length === 0
      ? `does not match the specified platform: wanted ${formatPlatform(wanted)}, actual: ${formatPlatform(platformOf(only))}`
      : `does not provide the specified platform (${formatPlatform(wanted)})`
  return new BerthError('not-found', 'PLATFORM_MISMATCH', `image with reference ${ref} was found but ${what}`)
}

export function noSuchImage(shown: string): BerthError {
  return new BerthError('not-found', 'IMAGE_NOT_FOUND', `No such image: ${shown}`)
}
