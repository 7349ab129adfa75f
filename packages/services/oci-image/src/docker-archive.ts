import { createHash } from 'node:crypto'
import { BerthError } from '@berth/core'
import { type Compression, type Descriptor, digestOf, formatReference, type ImageConfig, mediaTypes, parseConfig, parseReference, sniffCompression } from '@berth/oci'
import type { ArchiveFiles } from './archive-files.ts'
import { digestOfPath } from './blob-path.ts'
import type { ReadOptions } from './image.ts'
import { peek } from './inflate.ts'
import { malformedFile, readJsonFile, readSmallFile } from './read-json.ts'

/** An entry of a docker-archive's `manifest.json`, checked. */
export interface DockerArchiveImage {
  /** Whole references. */
  names: string[]
  config: Descriptor
  /** Digests of the uncompressed layers. */
  diffIds: string[]
  /** Where the layers are, lowest first. */
  layers: string[]
  configFile: string
}

const layerTypes: Record<Compression, string> = { none: mediaTypes.ociLayer, gzip: mediaTypes.ociLayerGzip, zstd: mediaTypes.ociLayerZstd }

/**
 * What the `manifest.json` of a docker-archive names; undefined if there is none. Layers are not read yet.
 * @throws `invalid-argument` for a malformed file, names that lead out, files that are missing, configs that are none, and layers that config and archive count differently;
 *   `data-loss` for a config that is not what its name says.
 * @see Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset Format"
 */
export async function dockerArchiveImages(files: ArchiveFiles, options?: ReadOptions): Promise<DockerArchiveImage[] | undefined> {
  const json = await readJsonFile(files, 'manifest.json', options)
  if (json === undefined) return undefined
  if (!Array.isArray(json)) throw malformedFile('manifest.json', 'must be a list')
  const images: DockerArchiveImage[] = []
  const configs = new Map<string, ReadConfig>()
  for (const [position, value] of json.entries()) images.push(await readImage(files, value, `manifest.json[${position}]`, configs, options))
  return images
}

async function readImage(files: ArchiveFiles, value: unknown, field: string, configs: Map<string, ReadConfig>, options?: ReadOptions): Promise<DockerArchiveImage> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformedFile(field, 'must be an object')
  const { Config, RepoTags, Layers } = value as Record<string, unknown>
  if (typeof Config !== 'string') throw malformedFile(`${field}.Config`, 'must be the name of a file')
  const layers = strings(Layers, `${field}.Layers`)
  // Each config is read once, however many entries name it.
  const config = configs.get(Config) ?? (await readConfig(files, Config, options))
  if (config === undefined) throw missing(`${field}.Config`, Config)
  configs.set(Config, config)
  const { diffIds } = config
  // Docker's words.
  if (diffIds.length !== layers.length) throw new BerthError('invalid-argument', 'LAYERS_MISMATCH', `invalid manifest, layers length mismatch: expected ${diffIds.length}, got ${layers.length}`)
  for (const [index, name] of layers.entries()) if ((await files.size(name)) === undefined) throw missing(`${field}.Layers[${index}]`, name)
  return {
    names: strings(RepoTags, `${field}.RepoTags`).map(nameOf),
    config: config.descriptor,
    configFile: Config,
    diffIds,
    layers,
  }
}

interface ReadConfig {
  descriptor: Descriptor
  diffIds: string[]
}

async function readConfig(files: ArchiveFiles, name: string, options?: ReadOptions): Promise<ReadConfig | undefined> {
  const bytes = await readSmallFile(files, name, options)
  if (bytes === undefined) return undefined
  const digest = digestOf(bytes)
  const claimed = digestOfPath(name)
  if (claimed?.startsWith('sha256:') && claimed !== digest) throw new BerthError('data-loss', 'DIGEST_MISMATCH', `${name}: content has digest ${digest}`)
  return { descriptor: { mediaType: mediaTypes.ociConfig, digest, size: bytes.length }, diffIds: configOf(bytes, name).rootfs.diff_ids }
}

/**
 * Describes layers of a docker-archive, each file read at most once. A plain tar's digest is what the config says of it, and one that lies where a layout has its blobs has it in
 * its name, either to be verified when it is read; another one is read now, if nobody knows its digest.
 */
export class LayerFiles {
  readonly #files: ArchiveFiles
  readonly #known = new Map<string, { mediaType: string; size: number; digest?: string | undefined }>()

  constructor(files: ArchiveFiles) {
    this.#files = files
  }

  async describe(name: string, diffId: string, options?: ReadOptions): Promise<Descriptor> {
    const known = this.#known.get(name) ?? (await this.#look(name, options))
    this.#known.set(name, known)
    return { mediaType: known.mediaType, digest: known.digest ?? diffId, size: known.size }
  }

  async #look(name: string, options?: ReadOptions) {
    const { start, whole, close } = await peek(this.#files.read(name, options))
    const compression = sniffCompression(start)
    const claimed = this.#files.digest?.(name) ?? digestOfPath(name)
    const digest = claimed ?? (compression === 'none' ? undefined : await hash(whole))
    await close()
    return { mediaType: layerTypes[compression], size: (await this.#files.size(name))!, digest }
  }
}

async function hash(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const sum = createHash('sha256')
  for await (const chunk of stream) sum.update(chunk)
  return `sha256:${sum.digest('hex')}`
}

/** @throws `invalid-argument` in Docker's words for a name without a tag. */
function nameOf(text: string): string {
  const reference = parseReference(text)
  if (reference.tag === undefined || reference.digest !== undefined) throw new BerthError('invalid-argument', 'INVALID_REFERENCE', `invalid tag ${JSON.stringify(text)}`)
  return formatReference(reference)
}

function configOf(bytes: Buffer, name: string): ImageConfig {
  try {
    return parseConfig(bytes)
  } catch (error) {
    if (error instanceof BerthError) throw new BerthError(error.kind, error.code, `${name}: ${error.message}`, { cause: error })
    throw error
  }
}

/** A list of strings, which Go writes as null when it is empty. */
function strings(value: unknown, field: string): string[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value) || !value.every((each) => typeof each === 'string')) throw malformedFile(field, 'must be a list of strings')
  return value
}

function missing(field: string, name: string): BerthError {
  return malformedFile(field, `the archive has no file ${JSON.stringify(name.slice(0, 200))}`)
}
