import { BerthError, isKind } from '@berth/core'
import { type Descriptor, formatPlatform, hostPlatform, type ImageIndex, isAttestation, isIndexType, isManifestType, parseIndex, type Platform, selectPlatform } from '@berth/oci'
import type { BlobReader, Image, Index, ReadOptions } from './image.ts'
import { openImage } from './open-image.ts'
import { checkDepth, readDocument } from './read-document.ts'

/** The index of a descriptor. Nothing is read before it is asked. */
export function openIndex(reader: BlobReader, descriptor: Descriptor): Index {
  return new LazyIndex(reader, descriptor)
}

/** The image that a root stands for: itself, or the one of an index that suits a platform best. Throws `not-found` when there is none. */
export async function resolveImage(reader: BlobReader, descriptor: Descriptor, { platform, signal }: ReadOptions & { platform?: Platform | undefined } = {}): Promise<Image> {
  return isIndexType(descriptor.mediaType) ? openIndex(reader, descriptor).image(platform, { signal }) : openImage(reader, descriptor)
}

class LazyIndex implements Index {
  readonly descriptor: Descriptor
  readonly #reader: BlobReader
  #index: Buffer | undefined

  constructor(reader: BlobReader, descriptor: Descriptor) {
    this.#reader = reader
    this.descriptor = descriptor
  }

  async index(options?: ReadOptions): Promise<ImageIndex> {
    this.#index ??= await readDocument(this.#reader, this.descriptor, options)
    return parseIndex(this.#index, this.descriptor.mediaType)
  }

  async image(platform: Platform = hostPlatform(), options?: ReadOptions): Promise<Image> {
    const { manifests } = await this.index(options)
    const chosen = selectPlatform(manifests.filter((each) => isManifestType(each.mediaType)), platform)
    if (chosen) return openImage(this.#reader, chosen)
    throw new BerthError('not-found', 'PLATFORM_NOT_FOUND', `no match for platform in manifest: ${this.descriptor.digest} has no image for ${formatPlatform(platform)}`)
  }

  async images(options?: ReadOptions): Promise<readonly Image[]> {
    const images = new Map<string, Image>()
    await this.#collect(this.descriptor, images, new Set([this.descriptor.digest]), 1, options)
    return [...images.values()]
  }

  async #collect(descriptor: Descriptor, images: Map<string, Image>, seen: Set<string>, depth: number, options?: ReadOptions): Promise<void> {
    checkDepth(descriptor, depth)
    const index = depth === 1 ? await this.index(options) : await present(openIndex(this.#reader, descriptor).index(options))
    for (const child of index?.manifests ?? []) {
      if (seen.has(child.digest) || isAttestation(child)) continue
      seen.add(child.digest)
      if (isManifestType(child.mediaType) && (await this.#reader.has(child, options))) images.set(child.digest, openImage(this.#reader, child))
      else if (isIndexType(child.mediaType)) await this.#collect(child, images, seen, depth + 1, options)
    }
  }

  blob(descriptor: Descriptor, options?: ReadOptions): AsyncIterable<Uint8Array> {
    return this.#reader.blob(descriptor, options)
  }

  async has(descriptor: Descriptor, options?: ReadOptions): Promise<boolean> {
    return this.#reader.has(descriptor, options)
  }
}

/** What was read, or undefined for what is not there. */
export async function present<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isKind(error, 'not-found')) return undefined
    throw error
  }
}
