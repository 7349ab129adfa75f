import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { EngineEvent, LogFields, Logger } from '@berth/core'
import { tarOf } from '@berth/layer-tar'
import { type Descriptor, digestOf, type ImageConfig, mediaTypes } from '@berth/oci'
import { MemorySnapshots, memorySnapshotter, type MemorySnapshotterOptions } from '@berth/snapshotter/memory'
import { type ContainerUse, fsck, type FsckOptions, type FsckProblem, type ImageStore, openImageStore, type ProgressMessage } from '../src/index.ts'
import { MemoryRegistry } from './memory-registry.ts'

/** A store over fakes, in a directory of its own. */
export class StoreHarness implements AsyncDisposable {
  readonly registry = new MemoryRegistry()
  readonly world = new MemorySnapshots()
  readonly events: EngineEvent[] = []
  readonly logged: { level: string; message: string; fields: LogFields | undefined }[] = []
  readonly users = new Map<string, ContainerUse[]>()
  readonly root: string
  store!: ImageStore
  snapshotter = memorySnapshotter({ world: this.world })

  readonly #logger: Logger = {
    debug: (message, fields) => void this.logged.push({ level: 'debug', message, fields }),
    info: (message, fields) => void this.logged.push({ level: 'info', message, fields }),
    warn: (message, fields) => void this.logged.push({ level: 'warn', message, fields }),
    error: (message, fields) => void this.logged.push({ level: 'error', message, fields }),
  }

  private constructor(root: string) {
    this.root = root
  }

  static async start(options: Pick<MemorySnapshotterOptions, 'before'> = {}): Promise<StoreHarness> {
    const harness = new StoreHarness(await mkdtemp(join(tmpdir(), 'berth-images-')))
    harness.snapshotter = memorySnapshotter({ world: harness.world, ...options })
    await harness.open()
    return harness
  }

  async open(): Promise<void> {
    this.store = await openImageStore({
      root: this.root,
      snapshotter: this.snapshotter,
      registry: this.registry,
      usage: (id) => this.users.get(id) ?? [],
      emit: (event) => this.events.push(event),
      logger: this.#logger,
    })
  }

  async restart(): Promise<void> {
    await this.store[Symbol.asyncDispose]()
    await this.open()
  }

  /** What `fsck` finds in the store, which is closed for it. */
  async fsck(options: Pick<FsckOptions, 'repair'> = {}): Promise<FsckProblem[]> {
    await this.store[Symbol.asyncDispose]()
    const problems = await this.check(options)
    await this.open()
    return problems
  }

  /** What `fsck` finds in the store, which must be closed. */
  async check(options: Pick<FsckOptions, 'repair'> = {}): Promise<FsckProblem[]> {
    return (await fsck(this.root, { snapshotter: this.snapshotter, ...options })).problems
  }

  pull(image: string, options: { tag?: string; platform?: string; signal?: AbortSignal } = {}): Promise<ProgressMessage[]> {
    return Array.fromAsync(this.store.pull({ image, tag: 'latest', signal: new AbortController().signal, ...options }))
  }

  /** Files of the store, and names of its snapshots. */
  async contents(): Promise<{ content: string[]; ingest: string[]; snapshots: string[] }> {
    return {
      content: (await readdir(join(this.root, 'content/sha256'))).toSorted(),
      ingest: (await readdir(join(this.root, 'ingest'))).toSorted(),
      snapshots: (await this.snapshotter.list()).map(({ name }) => name).toSorted(),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]()
    await rm(this.root, { recursive: true })
  }
}

export interface MadeImage {
  id: string
  digest: string
  manifest: object & { mediaType: string }
  config: ImageConfig
  layers: { blob: string; diffId: string; bytes: Buffer }[]
}

/** Puts an image into a registry; each layer is a map of files. */
export function publish(
  registry: MemoryRegistry,
  path: string,
  layers: Record<string, string>[],
  { tag = 'latest', change = {} }: { tag?: string | undefined; change?: Partial<ImageConfig> } = {},
): MadeImage {
  const made = layers.map((files) => {
    const tar = tarOf(Object.entries(files).map(([name, content]) => ({ name, content })))
    const bytes = gzipSync(tar)
    return { diffId: digestOf(tar), bytes, ...registry.addBlob(path, bytes) }
  })
  const config: ImageConfig = {
    architecture: 'amd64',
    os: 'linux',
    created: '2026-01-02T03:04:05.000000006Z',
    config: { Cmd: ['sh'], Labels: { color: 'blue' } },
    rootfs: { type: 'layers', diff_ids: made.map(({ diffId }) => diffId) },
    history: made.map((_, index) => ({ created: '2026-01-02T03:04:05Z', created_by: `step ${index}` })),
    ...change,
  }
  const { digest: id, size } = registry.addBlob(path, Buffer.from(JSON.stringify(config)))
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: id, size },
    layers: made.map((layer) => ({ mediaType: mediaTypes.ociLayerGzip, digest: layer.digest, size: layer.size })),
  }
  const digest = registry.addManifest(path, tag, manifest)
  return { id, digest, manifest, config, layers: made.map((layer) => ({ blob: layer.digest, diffId: layer.diffId, bytes: layer.bytes })) }
}

/** Puts an index of images into a registry. Answers its digest. */
export function publishIndex(registry: MemoryRegistry, path: string, images: readonly MadeImage[], { tag = 'latest', others = [] }: { tag?: string; others?: Descriptor[] } = {}): string {
  const manifests = images.map(({ digest, manifest, config }) => ({
    mediaType: manifest.mediaType,
    digest,
    size: JSON.stringify(manifest).length,
    platform: { os: config.os, architecture: config.architecture, ...(config.variant && { variant: config.variant }) },
  }))
  return registry.addManifest(path, tag, { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [...manifests, ...others] })
}

export const hex = (digest: string): string => digest.slice(digest.indexOf(':') + 1)
