import type { ImageDeleteResponseItem } from '@berth/api-types'
import { collect } from './collect.ts'
import { booleanFilter, checkFilters, type Filters, imageFilter } from './list.ts'
import { forgetImage } from './remove.ts'
import type { Store } from './store.ts'

const pruneFilters = ['dangling', 'label', 'label!', 'until']

/** Removes the images that no container uses: those without a tag, or with `dangling=false` all. */
export async function pruneImages(store: Store, filters: Filters): Promise<{ ImagesDeleted: ImageDeleteResponseItem[]; SpaceReclaimed: number }> {
  checkFilters(filters, pruneFilters)
  const isOnlyDangling = booleanFilter(filters, 'dangling') ?? true
  const select = imageFilter(store, filters)
  const deleted: ImageDeleteResponseItem[] = []
  for (const image of store.records.images()) {
    if (!select(image) || store.usage(image.id).length > 0) continue
    const names = store.records.namesOf(image.id)
    if (isOnlyDangling && names.some((name) => !name.includes('@'))) continue
    deleted.push(...forgetImage(store, image, names))
  }
  const { layers, bytes } = await collect(store, { keepBlobs: false })
  return { ImagesDeleted: [...deleted, ...layers.map((chain) => ({ Deleted: chain }))], SpaceReclaimed: bytes }
}
