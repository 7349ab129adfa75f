import { createHash, type Hash } from 'node:crypto'
import { BerthError, isKind, messageOf } from '@berth/core'
import {
  compressionOf, type Descriptor, type ImageConfig, type ImageManifest, isAttestation, isConfigType, isForeignLayerType, isIndexType, matchesPlatform, parseConfig, parseDigest, parseIndex, parseManifest,
  sniffCompression, maxDocumentSize,
} from '@berth/oci'
import type { BlobReader, Image, Index, ReadOptions } from './image.ts'
import { inflate } from './inflate.ts'
import { checkDepth } from './read-document.ts'

export type ProblemCode =
  /** A document or a layer is not there. */
  | 'missing'
  /** Bytes do not have the digest by which they are named. */
  | 'digest'
  /** There are more or fewer bytes than the descriptor says. */
  | 'size'
  /** A document is not what the specification says. */
  | 'malformed'
  /** A layer's compression is broken, or another one than its media type says. */
  | 'compression'
  /** A layer's tar has another digest than the config says. */
  | 'diff-id'
  /** Manifest, config and history do not agree on how many layers there are. */
  | 'layers'
  /** The index says another platform than the config. */
  | 'platform'

export interface Problem {
  code: ProblemCode
  /** Of the blob that it is about. */
  digest: string
  /** For people. */
  message: string
}

/**
 * Reads an image, or what is there of an index, whole and computes everything anew: digests, sizes, diffIDs, and whether the documents agree. It believes no reader's
 * verification and goes on after a problem.
 * @returns the problems, none for a sound image. Throws only what is no finding about the image: that it was cancelled, that the registry cannot be reached.
 */
export async function validate(image: Image | Index, options: ReadOptions = {}): Promise<Problem[]> {
  const problems: Problem[] = []
  const validation = new Validation(image, problems, options)
  if ('index' in image) await validation.index(image.descriptor)
  else await validation.image(image.descriptor)
  return problems
}

class Validation {
  readonly #reader: BlobReader
  readonly #problems: Problem[]
  readonly #options: ReadOptions
  readonly #seen = new Set<string>()

  constructor(reader: BlobReader, problems: Problem[], options: ReadOptions) {
    this.#reader = reader
    this.#problems = problems
    this.#options = options
  }

  async index(descriptor: Descriptor, depth = 1): Promise<void> {
    checkDepth(descriptor, depth)
    const index = await this.#document(descriptor, (bytes) => parseIndex(bytes, descriptor.mediaType))
    for (const child of index?.manifests ?? []) {
      if (this.#seen.has(child.digest) || !(await this.#reader.has(child, this.#options))) continue
      this.#seen.add(child.digest)
      await (isIndexType(child.mediaType) ? this.index(child, depth + 1) : this.image(child))
    }
  }

  async image(descriptor: Descriptor): Promise<void> {
    const manifest = await this.#document(descriptor, (bytes) => parseManifest(bytes, descriptor.mediaType))
    if (manifest === undefined) return
    if (!isConfigType(manifest.config.mediaType) || isAttestation(descriptor)) return this.#artifact(manifest)
    const config = await this.#document(manifest.config, parseConfig)
    const diffIds = config?.rootfs.diff_ids ?? []
    if (config) this.#agree(descriptor, manifest, config)
    for (const [index, layer] of manifest.layers.entries()) {
      const isElsewhere = isForeignLayerType(layer.mediaType) && !(await this.#reader.has(layer, this.#options))
      if (!isElsewhere) await this.#layer(layer, diffIds[index])
    }
  }

  async #artifact(manifest: ImageManifest): Promise<void> {
    for (const blob of [manifest.config, ...manifest.layers]) await this.#consume(blob, (stream) => stream)
  }

  #agree(descriptor: Descriptor, { layers, config: { digest } }: ImageManifest, config: ImageConfig): void {
    const { diff_ids: diffIds } = config.rootfs
    if (layers.length !== diffIds.length) this.#found('layers', digest, `the manifest has ${layers.length} layers, the config ${diffIds.length}`)
    const told = config.history?.filter(({ empty_layer: isEmpty }) => isEmpty !== true).length
    if (told !== undefined && told > 0 && told !== diffIds.length) this.#found('layers', digest, `the history tells of ${told} layers, the config of ${diffIds.length}`)
    if (descriptor.platform && !matchesPlatform(config, descriptor.platform)) {
      this.#found('platform', digest, `is for ${config.os}/${config.architecture}, although its index says ${descriptor.platform.os}/${descriptor.platform.architecture}`)
    }
  }

  async #layer(layer: Descriptor, diffId: string | undefined): Promise<void> {
    const labelled = compressionOf(layer.mediaType)
    if (labelled === undefined) this.#found('malformed', layer.digest, `${layer.mediaType.slice(0, 128)} is not a layer's media type`)
    const sum = diffId === undefined ? undefined : createHash(parseDigest(diffId).algorithm)
    let start: Uint8Array | undefined
    const whole = await this.#consume(layer, async function* (stream) {
      const looked = async function* () {
        for await (const chunk of stream) {
          start ??= chunk
          yield chunk
        }
      }
      for await (const chunk of inflate(looked())) {
        sum?.update(chunk)
        yield chunk
      }
    })
    if (!whole) return
    const actual = sniffCompression(start ?? new Uint8Array())
    if (labelled !== undefined && actual !== labelled) this.#found('compression', layer.digest, `is labelled ${labelled} and compressed as ${actual}`)
    if (sum && diffId && hexOf(sum) !== parseDigest(diffId).encoded) this.#found('diff-id', layer.digest, `its tar has digest ${parseDigest(diffId).algorithm}:${hexOf(sum)}, the config says ${diffId}`)
  }

  /** A document, if it is as it should be. */
  async #document<T>(descriptor: Descriptor, parse: (bytes: Buffer) => T): Promise<T | undefined> {
    if (descriptor.size > maxDocumentSize) return void this.#found('malformed', descriptor.digest, `a document of ${descriptor.size} bytes is above the limit of ${maxDocumentSize}`)
    const parts: Uint8Array[] = []
    const whole = await this.#consume(descriptor, async function* (stream) {
      for await (const chunk of stream) {
        parts.push(chunk)
        yield chunk
      }
    })
    if (!whole) return undefined
    try {
      return parse(Buffer.concat(parts))
    } catch (error) {
      return void this.#found('malformed', descriptor.digest, messageOf(error))
    }
  }

  /** Reads a blob through `use`. @returns whether it is all there and what it should be. */
  async #consume(descriptor: Descriptor, use: (stream: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>): Promise<boolean> {
    const { algorithm, encoded } = parseDigest(descriptor.digest)
    const sum = createHash(algorithm)
    const { digest, size } = descriptor
    let read = 0
    const counted = async function* (stream: AsyncIterable<Uint8Array>) {
      for await (const chunk of stream) {
        read += chunk.length
        if (read > size) throw new BerthError('data-loss', 'SIZE_MISMATCH', `there are more than the ${size} bytes that its descriptor says`)
        sum.update(chunk)
        yield chunk
      }
    }
    try {
      for await (const _ of use(counted(this.#reader.blob(descriptor, this.#options)))) continue
    } catch (error) {
      if (!isKind(error, 'data-loss', 'not-found', 'invalid-argument')) throw error
      return this.#failed(descriptor, error, read)
    }
    if (read !== size) return this.#found('size', digest, `there are ${read} of ${size} bytes`)
    return hexOf(sum) === encoded || this.#found('digest', digest, `its bytes have digest ${algorithm}:${hexOf(sum)}`)
  }

  #failed({ digest, size }: Descriptor, error: unknown, read: number): false {
    const code = error instanceof BerthError ? error.code : ''
    if (isKind(error, 'not-found')) return this.#found('missing', digest, messageOf(error))
    if (code === 'COMPRESSION_BROKEN') return this.#found('compression', digest, messageOf(error))
    return this.#found(code === 'SIZE_MISMATCH' || read !== size ? 'size' : 'digest', digest, messageOf(error))
  }

  #found(code: ProblemCode, digest: string, message: string): false {
    this.#problems.push({ code, digest, message })
    return false
  }
}

function hexOf(hash: Hash): string {
  return hash.copy().digest('hex')
}
