/**
 * Layers as archives and as directories: unpacks the one into the other and packs it again, in threads whose root the kernel confines.
 *
 * @example
 * await using workers = new LayerWorkers()
 * await workers.apply({ path: 'layer.tar.gz', compression: 'gzip', root: '/srv/layer', whiteouts: 'overlay' })
 */
export type { ApplyLayerOptions, ApplyLayerResult } from './apply-layer.ts'
export type { TreeChange } from './changes-of.ts'
export type { TreeUsage } from './directory-tree.ts'
export { type ExtractOptions, type ExtractResult, LayerExtractor } from './extract-layer.ts'
export { type ApplyOptions, LayerWorkers, type LayerWorkersOptions } from './layer-workers.ts'
export { type PackOptions, packTree } from './pack-tree.ts'
export { type TarEntry, type TarEntryType } from './tar-header.ts'
export { type TarMember, tarOf } from './tar-of.ts'
export { type TarHandler, TarReader } from './tar-reader.ts'
export { contentPadding, encodeEntry, endOfArchive } from './tar-writer.ts'
export { createZstdFramesDecompress } from './zstd-frames.ts'
