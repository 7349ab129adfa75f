import { BerthError } from '@berth/core'
import {
  chainId,
  familiarReference,
  formatPlatform,
  formatReference,
  type ImageConfig,
  isDigest,
  matchesPlatform,
  normalizePlatform,
  parseConfig,
  parsePlatform,
  parseReference,
  type Reference,
  withDefaultTag,
} from '@berth/oci'
import type { ImageRecord } from './records.ts'
import type { Store } from './store.ts'

export interface ResolvedImage {
  /** Digest of the config. */
  id: string
  /** Name of the topmost snapshot; undefined for an image without layers. */
  chainId: string | undefined
  config: ImageConfig
}

/** An image found by what the user gave, and whether that was a name. */
export interface FoundImage {
  image: ImageRecord
  /** The stored name that was given; undefined when it was an ID. */
  name: string | undefined
}

/**
 * Finds an image by name (tag `latest` unless given), `name@digest`, ID, or a unique beginning of an ID with or without `sha256:`.
 * @throws `invalid-argument` for what can be none of these; `not-found` with Docker's `No such image: …`.
 */
export function findImage(store: Store, ref: string): FoundImage {
  const { records } = store
  const wholeId = /^[a-f0-9]{64}$/.test(ref) ? `sha256:${ref}` : isDigest(ref) ? ref : undefined
  if (wholeId !== undefined) {
    const image = records.image(wholeId)
    if (image) return { image, name: undefined }
    throw noSuchImage(wholeId)
  }
  const prefix = /^(?:sha256:)?([a-f0-9]{1,64})$/.exec(ref)?.[1]
  const reference = ref.startsWith('sha256:') && prefix !== undefined ? undefined : withDefaultTag(parseReference(ref))
  if (reference) {
    const name = storedName(reference)
    const id = records.imageOfName(name)
    const image = id === undefined ? undefined : records.image(id)
    if (image) return { image, name }
  }
  const ids = prefix === undefined ? [] : records.idsByPrefix(prefix)
  const image = ids.length === 1 ? records.image(ids[0]!) : undefined
  if (image) return { image, name: undefined }
  throw noSuchImage(reference ? familiarReference(reference) : ref)
}

/** The form under which a name is recorded: a digest outweighs a tag. */
export function storedName(reference: Reference): string {
  const { domain, path, tag, digest } = withDefaultTag(reference)
  return formatReference(digest === undefined ? { domain, path, tag } : { domain, path, digest })
}

/**
 * An image ready to be run.
 * @throws as {@link findImage}; `not-found` if it is not for the wanted platform.
 */
export async function resolveImage(store: Store, ref: string, { platform }: { platform?: string | undefined } = {}): Promise<ResolvedImage> {
  const { image } = findImage(store, ref)
  if (platform) {
    const wanted = parsePlatform(platform)
    const actual = normalizePlatform({ os: image.os, architecture: image.architecture, variant: image.variant })
    if (!matchesPlatform(actual, wanted)) {
      throw new BerthError(
        'not-found',
        'PLATFORM_MISMATCH',
        `image with reference ${ref} was found but does not match the specified platform: wanted ${formatPlatform(wanted)}, actual: ${formatPlatform(actual)}`,
      )
    }
  }
  const config = await readConfig(store, image.id)
  return { id: image.id, chainId: chainId(config.rootfs.diff_ids), config }
}

export async function readConfig(store: Store, id: string): Promise<ImageConfig> {
  return parseConfig(await store.content.read(id))
}

function noSuchImage(shown: string): BerthError {
  return new BerthError('not-found', 'IMAGE_NOT_FOUND', `No such image: ${shown}`)
}
