/**
 * Images on this machine: content by digest, names, and the snapshots that containers stand on. Pulled from registries and pushed to them, imported,
 * tagged, listed, removed, and collected when nothing needs them.
 *
 * @example
 * await using images = await openImageStore({ root: '/var/lib/berth/images', snapshotter, registry })
 * for await (const { status, id } of images.pull({ image: 'localhost:5000/busybox', tag: 'latest', signal })) console.log(id, status)
 * const { chainId, config } = await images.resolve('localhost:5000/busybox')
 */
export type { Collected } from './collect.ts'
export { type ImageStore, type ImageStoreOptions, openImageStore } from './image-store.ts'
export type { ImportOptions } from './import.ts'
export type { Filters } from './list.ts'
export type { ProgressMessage } from './progress.ts'
export type { ResolvedImage } from './resolve.ts'
export type { ContainerUse } from './store.ts'
