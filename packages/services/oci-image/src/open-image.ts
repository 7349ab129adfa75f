import { BerthError } from '@berth/core'
import { type Descriptor, type ImageConfig, type ImageManifest, parseConfig, parseManifest, verified } from '@berth/oci'
import type { BlobReader, Image, Layer, ReadOptions } from './image.ts'
import { inflate } from './inflate.ts'
import { readDocument } from './read-document.ts'

/** The image of a manifest. Nothing is read before it is asked. */
export function openImage(reader: BlobReader, descriptor: Descriptor): Image {
  return new LazyImage(reader, descriptor)
}

/** Keeps the bytes of its two documents and parses them for each caller, so that nobody can change what another one sees. */
class LazyImage implements Image {
  readonly descriptor: Descriptor
  readonly #reader: BlobReader
  #manifest: Buffer | undefined
  #config: Buffer | undefined

  constructor(reader: BlobReader, descriptor: Descriptor) {
    this.#reader = reader
    this.descriptor = descriptor
  }

  async manifest(options?: ReadOptions): Promise<ImageManifest> {
    this.#manifest ??= await readDocument(this.#reader, this.descriptor, options)
    return parseManifest(this.#manifest, this.descriptor.mediaType)
  }

  async config(options?: ReadOptions): Promise<ImageConfig> {
    const { config } = await this.manifest(options)
    this.#config ??= await readDocument(this.#reader, config, options)
    return parseConfig(this.#config)
  }

  async id(options?: ReadOptions): Promise<string> {
    return (await this.manifest(options)).config.digest
  }

  async layers(options?: ReadOptions): Promise<readonly Layer[]> {
    const { layers } = await this.manifest(options)
    const { rootfs } = await this.config(options)
    if (layers.length !== rootfs.diff_ids.length) {
      throw new BerthError('invalid-argument', 'LAYERS_MISMATCH', `${this.descriptor.digest}: the manifest has ${layers.length} layers, the config ${rootfs.diff_ids.length}`)
    }
    return layers.map((descriptor, index) => layerOf(this.#reader, descriptor, rootfs.diff_ids[index]!))
  }

  blob(descriptor: Descriptor, options?: ReadOptions): AsyncIterable<Uint8Array> {
    return this.#reader.blob(descriptor, options)
  }

  async has(descriptor: Descriptor, options?: ReadOptions): Promise<boolean> {
    return this.#reader.has(descriptor, options)
  }
}

function layerOf(reader: BlobReader, descriptor: Descriptor, diffId: string): Layer {
  return {
    descriptor,
    diffId,
    compressed: (options) => reader.blob(descriptor, options),
    uncompressed: (options) => verified(inflate(reader.blob(descriptor, options), options), { digest: diffId }),
  }
}
