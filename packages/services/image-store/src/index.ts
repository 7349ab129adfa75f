/**
 * Images on this machine: content by digest, names, and the snapshots that containers stand on. Pulled from registries and pushed to them, loaded and saved,
 * imported, committed, tagged, listed, removed, and collected when nothing needs them.
 *
 * @example
 * await using images = await openImageStore({ root: '/var/lib/berth/images', snapshotter, registry })
 * for await (const { status, id } of images.pull({ image: 'localhost:5000/busybox', tag: 'latest', signal })) console.log(id, status)
 * const { chainId, config } = await images.resolve('localhost:5000/busybox')
 */
export type { Collected } from './collect.ts'
export type { CommitOptions } from './commit.ts'
export type { ImageDiskUsage } from './disk-usage.ts'
export { fsck, type FsckOptions } from './fsck.ts'
export type { FsckProblem, FsckProblemKind, FsckReport } from './fsck/problem.ts'
export { type ImageRegistry, noRegistry } from './image-registry.ts'
export { type ImageStore, type ImageStoreOptions, openImageStore } from './image-store.ts'
export type { ImportOptions } from './import.ts'
export type { Filters, ListOptions } from './list.ts'
export type { LoadOptions } from './load.ts'
export { openImages } from './open-images.ts'
export type { ProgressMessage, PushNote, PushResult } from './progress.ts'
export type { RemoveOptions } from './remove.ts'
export type { ResolvedImage } from './resolve.ts'
export type { SaveOptions } from './save.ts'
export type { ContainerUse } from './store.ts'
