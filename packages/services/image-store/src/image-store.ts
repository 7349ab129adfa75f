import { join } from 'node:path'
import type { AuthConfig, HistoryResponseItem, ImageDeleteResponseItem, ImageInspect, ImageSummary } from '@berth/api-types'
import { type EmitEvent, KeyedMutex, type Logger, silent } from '@berth/core'
import type { Snapshotter } from '@berth/snapshotter'
import { collect, type Collected } from './collect.ts'
import { ContentStore } from './content-store.ts'
import type { ImageRegistry } from './image-registry.ts'
import { importImage, type ImportOptions } from './import.ts'
import { imageHistory, inspectImage } from './inspect.ts'
import { type Filters, listImages } from './list.ts'
import { type ProgressMessage, withProgress } from './progress.ts'
import { pruneImages } from './prune.ts'
import { pullImage } from './pull.ts'
import { pushImage } from './push.ts'
import { ImageRecords } from './records.ts'
import { removeImage } from './remove.ts'
import { type ResolvedImage, resolveImage } from './resolve.ts'
import type { ContainerUse, Store } from './store.ts'
import { tagImage } from './tag.ts'

export interface ImageStoreOptions {
  /** The directory that the store owns; one store at a time. Made if it is missing, 0700. */
  root: string
  snapshotter: Snapshotter
  registry: ImageRegistry
  /** The containers that stand on an image, by its ID; they keep it from being removed. */
  usage?: (imageId: string) => readonly ContainerUse[]
  emit?: EmitEvent
  logger?: Logger
}

interface TransferOptions {
  image: string
  tag?: string | undefined
  platform?: string | undefined
  auth?: AuthConfig | undefined
  signal: AbortSignal
}

/** Images and all that is done with them. A `ref` is a name, `name@digest`, an ID or a unique beginning of one; see `findImage` for what it throws. */
export interface ImageStore extends AsyncDisposable {
  list(options: { all?: boolean; digests?: boolean; sharedSize?: boolean; filters: Filters }): Promise<ImageSummary[]>
  inspect(ref: string): Promise<ImageInspect>
  history(ref: string): Promise<HistoryResponseItem[]>
  /** What a container needs to be made of an image. */
  resolve(ref: string, options?: { platform?: string | undefined }): Promise<ResolvedImage>
  /** Errors are thrown by the iteration, those that end it before anything was done at its first step. Leaving the iteration ends the pull. */
  pull(options: TransferOptions): AsyncIterable<ProgressMessage>
  push(options: TransferOptions): AsyncIterable<ProgressMessage>
  import(options: ImportOptions & { signal: AbortSignal }): AsyncIterable<ProgressMessage>
  tag(ref: string, target: { repo: string; tag?: string | undefined }): Promise<void>
  remove(ref: string, options: { force: boolean; noPrune?: boolean }): Promise<ImageDeleteResponseItem[]>
  prune(filters: Filters): Promise<{ ImagesDeleted: ImageDeleteResponseItem[]; SpaceReclaimed: number }>
  /** Removes what nothing needs any more; worth calling after a container of a removed image is gone. */
  collect(): Promise<Collected>
  /** Images, for `info`. */
  count(): number
  /** Bytes of all unpacked layers, each once, for `system df`. */
  layersSize(): number
}

/** Opens the store in `root` and clears away what work that was killed has left. */
export async function openImageStore({
  root,
  snapshotter,
  registry,
  usage = () => [],
  emit = () => {},
  logger = silent,
}: ImageStoreOptions): Promise<ImageStore> {
  const content = new ContentStore(root)
  const records = new ImageRecords(join(root, 'images.db'))
  const store: Store = { records, content, snapshotter, registry, layerLocks: new KeyedMutex(), usage, emit, logger }
  try {
    records.endAllLeases()
    await content.expire({ atStart: true })
    await collect(store, { keepBlobs: true })
  } catch (error) {
    records[Symbol.dispose]()
    throw error
  }
  return storeOver(store)
}

function storeOver(store: Store): ImageStore {
  const closing = new AbortController()
  const transfers = new Set<Promise<void>>()
  const streamed = (signal: AbortSignal, work: Parameters<typeof withProgress>[1]) =>
    withProgress(AbortSignal.any([signal, closing.signal]), async (progress, ending) => {
      const running = work(progress, ending)
      const settled = running.catch(() => {})
      transfers.add(settled)
      await running.finally(() => transfers.delete(settled))
    })
  return {
    list: async ({ sharedSize = false, filters }) => listImages(store, { sharedSize, filters }),
    inspect: (ref) => inspectImage(store, ref),
    history: (ref) => imageHistory(store, ref),
    resolve: (ref, options) => resolveImage(store, ref, options),
    pull: ({ signal, ...options }) => streamed(signal, (progress, ending) => pullImage(store, options, progress, ending)),
    push: ({ signal, ...options }) => streamed(signal, (progress, ending) => pushImage(store, options, progress, ending)),
    import: ({ signal, ...options }) => streamed(signal, (progress, ending) => importImage(store, options, progress, ending)),
    tag: async (ref, target) => tagImage(store, ref, target),
    remove: (ref, { force }) => removeImage(store, ref, { force }),
    prune: (filters) => pruneImages(store, filters),
    collect: () => collect(store, { keepBlobs: false }),
    count: () => store.records.count(),
    layersSize: () => store.records.layers().reduce((sum, { size }) => sum + size, 0),
    async [Symbol.asyncDispose]() {
      if (closing.signal.aborted) return
      closing.abort()
      await Promise.all(transfers)
      store.records[Symbol.dispose]()
    },
  }
}
