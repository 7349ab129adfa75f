import { join } from 'node:path'
import type { AuthConfig, HistoryResponseItem, ImageDeleteResponseItem, ImageInspect, ImageSummary } from '@berth/api-types'
import { type ContentStore, openContentStore } from '@berth/content-store'
import { type EmitEvent, type FailPoint, KeyedMutex, type Logger, silent } from '@berth/core'
import type { Image, ImageSource } from '@berth/oci-image'
import type { Snapshotter } from '@berth/snapshotter'
import { collect, type Collected, discardAbandoned } from './collect.ts'
import { type CommitOptions, commitImage } from './commit.ts'
import { diskUsage, type ImageDiskUsage } from './disk-usage.ts'
import type { ImageRegistry } from './image-registry.ts'
import { importImage, type ImportOptions } from './import.ts'
import { imageHistory, inspectImage } from './inspect.ts'
import { Limiter } from './limiter.ts'
import { type Filters, listImages, type ListOptions } from './list.ts'
import { loadImages, type LoadOptions } from './load.ts'
import { type ProgressMessage, withProgress } from './progress.ts'
import { pruneImages } from './prune.ts'
import { pullImage } from './pull.ts'
import { pushImage } from './push.ts'
import { openImageRecords } from './records/open-image-records.ts'
import { removeImage, type RemoveOptions } from './remove.ts'
import { type ResolvedImage, resolveImage } from './resolve.ts'
import { recordDocuments, restoreSnapshots } from './restore.ts'
import { saveImages, type SaveOptions } from './save.ts'
import type { ContainerUse, Store } from './store.ts'
import { storedImage, storeSource } from './store-source.ts'
import { tagImage } from './tag.ts'

export interface ImageStoreOptions {
  /** The directory that the store owns; one store at a time. Made if it is missing, 0700. */
  root: string
  snapshotter: Snapshotter
  registry: ImageRegistry
  /** Where blobs are kept; by default a store of its own in `root`, which it closes. */
  content?: ContentStore | undefined
  /** Blobs that pulls, all together, receive at the same time; 3. */
  parallelDownloads?: number | undefined
  /** Blobs that pushes, all together, send at the same time; 3. */
  parallelUploads?: number | undefined
  /** The containers that stand on an image, by its ID; they keep it from being removed. */
  usage?: (imageId: string) => readonly ContainerUse[]
  emit?: EmitEvent
  logger?: Logger
  /** Called after each step that a crash may come after; the README names them. */
  failPoint?: FailPoint | undefined
}

interface TransferOptions {
  image: string
  tag?: string | undefined
  platform?: string | undefined
  auth?: AuthConfig | undefined
  signal: AbortSignal
}

interface PlatformOption {
  /** `os/architecture[/variant]`; the host's, or else what there is, without it. */
  platform?: string | undefined
}

/** Images and all that is done with them. A `ref` is a name, `name@digest`, an ID or a unique beginning of one; see `findImage` for what it throws. */
export interface ImageStore extends AsyncDisposable {
  list(options: ListOptions & { digests?: boolean }): Promise<ImageSummary[]>
  inspect(ref: string, options?: PlatformOption & { manifests?: boolean | undefined }): Promise<ImageInspect>
  history(ref: string, options?: PlatformOption): Promise<HistoryResponseItem[]>
  /** What a container needs to be made of an image. */
  resolve(ref: string, options?: PlatformOption): Promise<ResolvedImage>
  /** An image as a value, to be read, validated, changed or written elsewhere. */
  image(ref: string, options?: PlatformOption): Promise<Image>
  /** All images here, as a source of values. */
  source(): ImageSource
  /** Errors are thrown by the iteration, those that end it before anything was done at its first step. Leaving the iteration ends the pull. */
  pull(options: TransferOptions): AsyncIterable<ProgressMessage>
  push(options: TransferOptions): AsyncIterable<ProgressMessage>
  import(options: ImportOptions & { signal: AbortSignal }): AsyncIterable<ProgressMessage>
  load(options: LoadOptions & { signal: AbortSignal }): AsyncIterable<ProgressMessage>
  /** Rejects at once what is not here; what is saved stays while the archive is read. */
  save(refs: readonly string[], options: SaveOptions): Promise<AsyncIterable<Uint8Array>>
  commit(options: CommitOptions): Promise<{ id: string }>
  tag(ref: string, target: { repo: string; tag?: string | undefined }): Promise<void>
  remove(ref: string, options: RemoveOptions): Promise<ImageDeleteResponseItem[]>
  prune(filters: Filters): Promise<{ ImagesDeleted: ImageDeleteResponseItem[]; SpaceReclaimed: number }>
  /** Removes what nothing needs any more; worth calling after a container of a removed image is gone. Safe at any time. */
  collect(): Promise<Collected>
  diskUsage(): Promise<ImageDiskUsage>
  /** Images, for `info`. */
  count(): number
  /** Bytes of all unpacked layers, each once, for `system df`. */
  layersSize(): number
}

/** Opens the store in `root`, clears away what work that was killed has left, and unpacks again what a loss of power took. */
export async function openImageStore(options: ImageStoreOptions): Promise<ImageStore> {
  const { root, snapshotter, registry, parallelDownloads = 3, parallelUploads = 3, usage = () => [], emit = () => {}, logger = silent, failPoint = () => {} } = options
  await using opened = new AsyncDisposableStack()
  const content = options.content ?? opened.use(await openContentStore({ root, logger, failPoint }))
  const records = opened.use(openImageRecords(join(root, 'images.db')))
  const store: Store = { records, content, snapshotter, registry, layerLocks: new KeyedMutex(), sweepLock: new KeyedMutex(), downloads: new Limiter(parallelDownloads), uploads: new Limiter(parallelUploads), usage, emit, logger, failPoint }
  records.leases.endAll()
  await discardAbandoned(store)
  await recordDocuments(store)
  await collect(store, { keepBlobs: true })
  await restoreSnapshots(store)
  return storeOver(store, opened.move())
}

function storeOver(store: Store, held: AsyncDisposableStack): ImageStore {
  const closing = new AbortController()
  const transfers = new Set<Promise<unknown>>()
  const tracked = async <T>(work: Promise<T>): Promise<T> => {
    const settled = work.catch(() => {})
    transfers.add(settled)
    return work.finally(() => transfers.delete(settled))
  }
  const ending = (signal: AbortSignal) => AbortSignal.any([signal, closing.signal])
  const streamed = (signal: AbortSignal, work: Parameters<typeof withProgress>[1]) =>
    withProgress(ending(signal), (progress, ending) => tracked(work(progress, ending)))
  return {
    list: (options) => listImages(store, options),
    inspect: (ref, options) => inspectImage(store, ref, options),
    history: (ref, options) => imageHistory(store, ref, options),
    resolve: (ref, options) => resolveImage(store, ref, options),
    image: async (ref, { platform } = {}) => storedImage(store, ref, platform),
    source: () => storeSource(store),
    pull: ({ signal, ...options }) => streamed(signal, (progress, ending) => pullImage(store, options, progress, ending)),
    push: ({ signal, ...options }) => streamed(signal, (progress, ending) => pushImage(store, options, progress, ending)),
    import: ({ signal, ...options }) => streamed(signal, (progress, ending) => importImage(store, options, progress, ending)),
    load: ({ signal, ...options }) => streamed(signal, (progress, ending) => loadImages(store, options, progress, ending)),
    save: async (refs, options) => saveImages(store, refs, { ...options, closing: closing.signal }),
    commit: ({ signal, ...options }) => tracked(commitImage(store, { ...options, signal: ending(signal) })),
    tag: (ref, target) => tagImage(store, ref, target),
    remove: (ref, options) => removeImage(store, ref, options),
    prune: (filters) => pruneImages(store, filters),
    collect: () => collect(store, { keepBlobs: false }),
    diskUsage: () => diskUsage(store),
    count: () => store.records.images.count(),
    layersSize: () => store.records.layers.list().reduce((sum, { size }) => sum + size, 0),
    async [Symbol.asyncDispose]() {
      if (closing.signal.aborted) return
      closing.abort()
      await Promise.all(transfers)
      await held.disposeAsync()
    },
  }
}
