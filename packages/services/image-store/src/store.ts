import type { ContentStore } from '@berth/content-store'
import type { EmitEvent, FailPoint, KeyedMutex, Logger } from '@berth/core'
import { nowNano } from '@berth/core'
import type { Snapshotter } from '@berth/snapshotter'
import type { ImageRegistry } from './image-registry.ts'
import type { Limiter } from './limiter.ts'
import type { StoreRecords } from './records/open-image-records.ts'

/** A container that stands on an image. */
export interface ContainerUse {
  id: string
  running: boolean
}

/** What the operations of the store share. */
export interface Store {
  records: StoreRecords
  content: ContentStore
  snapshotter: Snapshotter
  registry: ImageRegistry
  /** By chainID: leasing a layer and collecting it exclude each other. */
  layerLocks: KeyedMutex
  /** Sweeping, and making a blob whose digest is not known before it is there, exclude each other. */
  sweepLock: KeyedMutex
  /** Where the blobs of all pulls wait for their turn. */
  downloads: Limiter
  /** Where the blobs of all pushes do. */
  uploads: Limiter
  usage: (imageId: string) => readonly ContainerUse[]
  emit: EmitEvent
  logger: Logger
  failPoint: FailPoint
}

/** Reports an image event; `id` and `name` as Docker gives them for the action. */
export function emitImage(store: Store, action: string, id: string, name: string, labels: Record<string, string> = {}): void {
  store.emit({ type: 'image', action, id, attributes: { ...labels, name }, timeNano: nowNano() })
}
