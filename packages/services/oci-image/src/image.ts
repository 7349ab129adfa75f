import type { Descriptor, ImageConfig, ImageIndex, ImageManifest, Platform } from '@berth/oci'

/** Where blobs are read from. All that an image needs of a layout, an archive, a registry or a store. */
export interface BlobReader {
  /** The blob's bytes, verified against the descriptor's digest and size. Throws `not-found`, `data-loss`. */
  blob(descriptor: Descriptor, options?: ReadOptions): AsyncIterable<Uint8Array>
  /** Whether the blob is there; images of other platforms and foreign layers often are not. */
  has(descriptor: Descriptor, options?: ReadOptions): Promise<boolean>
}

export interface ReadOptions {
  signal?: AbortSignal | undefined
}

/** A manifest or an index that a source holds, and what it is called there. */
export interface Root {
  /** Whole references (`docker.io/library/busybox:latest`), possibly none. */
  names: readonly string[]
  descriptor: Descriptor
}

/** What images can be read from: an OCI layout, a docker-archive, a registry's repository, a store. */
export interface ImageSource extends BlobReader, AsyncDisposable {
  roots(options?: ReadOptions): Promise<readonly Root[]>
}

/**
 * An image of one platform: small, immutable, and read when it is asked. Everything it answers is verified.
 * It is the reader of its own blobs, the manifest and the config as they are stored, byte for byte, so that a sink takes it as it is.
 */
export interface Image extends BlobReader {
  /** The manifest's. */
  readonly descriptor: Descriptor
  manifest(options?: ReadOptions): Promise<ImageManifest>
  config(options?: ReadOptions): Promise<ImageConfig>
  /** Digest of the config, which Docker calls the image's ID. */
  id(options?: ReadOptions): Promise<string>
  /** Lowest first. Throws `invalid-argument` when manifest and config do not agree on how many there are. */
  layers(options?: ReadOptions): Promise<readonly Layer[]>
}

export interface Layer {
  readonly descriptor: Descriptor
  /** Digest of the uncompressed tar. */
  readonly diffId: string
  /** As it is stored. */
  compressed(options?: ReadOptions): AsyncIterable<Uint8Array>
  /** The tar, verified against `diffId`. */
  uncompressed(options?: ReadOptions): AsyncIterable<Uint8Array>
}

/** Several manifests under one digest: a platform each, attestations beside them. Like an image, the reader of its own blobs. */
export interface Index extends BlobReader {
  readonly descriptor: Descriptor
  index(options?: ReadOptions): Promise<ImageIndex>
  /** The image that suits a platform best; the host's unless told otherwise. Throws `not-found`. */
  image(platform?: Platform, options?: ReadOptions): Promise<Image>
  /** Each manifest of an image (not attestations) whose blob is there, those of indexes within this one too. */
  images(options?: ReadOptions): Promise<readonly Image[]>
}
