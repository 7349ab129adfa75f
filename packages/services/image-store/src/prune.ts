import type { ImageDeleteResponseItem } from '@berth/api-types'
import { nowNano } from '@berth/core'
import { collect } from './collect.ts'
import { booleanFilter, checkFilters, type Filters, imageFilter } from './list.ts'
import { forgetImage } from './remove.ts'
import type { Store } from './store.ts'

const pruneFilters = ['dangling', 'label', 'label!', 'until']

/** Removes the images that no container uses and no other image was made of: those without a tag, or with `dangling=false` all. */
export async function pruneImages(store: Store, filters: Filters): Promise<{ ImagesDeleted: ImageDeleteResponseItem[]; SpaceReclaimed: number }> {
  checkFilters(filters, pruneFilters)
  const isOnlyDangling = booleanFilter(filters, 'dangling') ?? true
  const select = imageFilter(store, filters)
  const deleted: ImageDeleteResponseItem[] = []
  // Children are newer than what they were made of, and come first.
  for (const image of store.records.images.list()) {
    if (!select(image) || store.usage(image.id).length > 0 || store.records.images.hasChildren(image.id)) continue
    if (isOnlyDangling && store.records.names.of(image.id).some((name) => !name.includes('@'))) continue
    deleted.push(...forgetImage(store, image))
  }
  const { layers, bytes } = await collect(store, { keepBlobs: false })
  store.emit({ type: 'image', action: 'prune', id: '', attributes: { reclaimed: String(bytes) }, timeNano: nowNano() })
  return { ImagesDeleted: [...deleted, ...layers.map((chain) => ({ Deleted: chain }))], SpaceReclaimed: bytes }
}
