import type { ImageSummary } from '@berth/api-types'
import { listImages } from './list.ts'
import type { Store } from './store.ts'

/** Sizes are of unpacked layers, as Docker counts; blobs are not in them. */
export interface ImageDiskUsage {
  /** Bytes of all layers, each once. */
  layersSize: number
  /** With `SharedSize`; what an image has for itself is `Size - SharedSize`. */
  images: ImageSummary[]
  /** Bytes of the layers that no image with a container stands on. */
  reclaimable: number
}

export async function diskUsage(store: Store): Promise<ImageDiskUsage> {
  const images = await listImages(store, { all: true, sharedSize: true, filters: new Map() })
  const layersSize = store.records.layers.list().reduce((sum, { size }) => sum + size, 0)
  const inUse = images.filter(({ Containers }) => Containers > 0).map(({ Id }) => Id)
  return { layersSize, images, reclaimable: layersSize - store.records.layers.sizeOfAll(inUse) }
}
