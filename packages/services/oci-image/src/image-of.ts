import { BerthError } from '@berth/core'
import { type Descriptor, digestOf, type ImageConfig, mediaTypes, parseConfig, parseManifest, verified } from '@berth/oci'
import type { BlobReader, Image, Layer, ReadOptions } from './image.ts'
import { openImage } from './open-image.ts'

export interface ImageParts {
  /** `rootfs` is made of the layers. */
  config: Omit<ImageConfig, 'rootfs'>
  /** Lowest first. */
  layers?: readonly Layer[]
  /** The manifest's. */
  annotations?: Record<string, string>
}

/**
 * An image from nothing: an OCI manifest over a config and layers.
 * @throws `invalid-argument` for a config that is none.
 */
export function imageOf({ config, layers = [], annotations }: ImageParts): Image {
  const rootfs = { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) }
  return assembleImage({
    config: { ...config, rootfs },
    configType: mediaTypes.ociConfig,
    manifest: { schemaVersion: 2, mediaType: mediaTypes.ociManifest, ...(annotations && { annotations }) },
    manifestType: mediaTypes.ociManifest,
    layers: layers.map(({ descriptor }) => descriptor),
    added: layers,
  })
}

export interface Assembly {
  /** The documents as they will stand, fields that nobody here knows included. */
  config: object
  configType: string
  /** Without config and layers. */
  manifest: object
  manifestType: string
  layers: readonly Descriptor[]
  /** Those of the layers that `base` has not. */
  added: readonly Layer[]
  /** Has the other blobs. */
  base?: BlobReader
}

/** Writes the two documents of an image. They are checked as if they had come from outside. */
export function assembleImage({ config, configType, manifest, manifestType, layers, added, base }: Assembly): Image {
  const configBytes = Buffer.from(JSON.stringify(config))
  parseConfig(configBytes)
  const configDescriptor = { mediaType: configType, digest: digestOf(configBytes), size: configBytes.length }
  const manifestBytes = Buffer.from(JSON.stringify({ ...manifest, config: configDescriptor, layers }))
  parseManifest(manifestBytes, manifestType)
  const descriptor = { mediaType: manifestType, digest: digestOf(manifestBytes), size: manifestBytes.length }
  return openImage(new OwnBlobs(new Map([[configDescriptor.digest, configBytes], [descriptor.digest, manifestBytes]]), added, base), descriptor)
}

/** Blobs that are in memory or can be made, before those of another reader. */
class OwnBlobs implements BlobReader {
  readonly #documents: ReadonlyMap<string, Uint8Array>
  readonly #layers: ReadonlyMap<string, Layer>
  readonly #base: BlobReader | undefined

  constructor(documents: ReadonlyMap<string, Uint8Array>, layers: readonly Layer[], base: BlobReader | undefined) {
    this.#documents = documents
    this.#layers = new Map(layers.map((layer) => [layer.descriptor.digest, layer]))
    this.#base = base
  }

  async *blob(descriptor: Descriptor, options?: ReadOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const document = this.#documents.get(descriptor.digest)
    const layer = this.#layers.get(descriptor.digest)
    if (document) yield document
    else if (layer) yield* verified(layer.compressed(options), descriptor)
    else if (this.#base) yield* this.#base.blob(descriptor, options)
    else throw new BerthError('not-found', 'BLOB_NOT_FOUND', `${descriptor.digest}: not found in the image`)
  }

  async has(descriptor: Descriptor, options?: ReadOptions): Promise<boolean> {
    return this.#documents.has(descriptor.digest) || this.#layers.has(descriptor.digest) || (await this.#base?.has(descriptor, options)) === true
  }
}
