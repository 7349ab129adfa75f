/**
 * Images as values: read from layouts, archives, registries and stores, validated, changed, and written elsewhere.
 *
 * @example
 * await using source = await openArchive('busybox.tar')
 * for (const { descriptor, names } of await source.roots()) {
 *   const image = await resolveImage(source, descriptor)
 *   console.log(names, await image.id(), await validate(image))
 * }
 */
export { appendLayer, type AppendLayerOptions } from './append-layer.ts'
export type { ArchiveFiles } from './archive-files.ts'
export { ArchiveNames, type ArchiveNamesOptions } from './archive-names.ts'
export { archiveOf, type ArchiveOptions } from './archive-of.ts'
export type { BlobReader, Image, ImageSource, Index, Layer, ReadOptions, Root } from './image.ts'
export { imageOf, type ImageParts } from './image-of.ts'
export { layerFromTar, type LayerBytes, type LayerOptions } from './layer-from-tar.ts'
export { openArchive, type OpenArchiveOptions } from './open-archive.ts'
export { openArchiveFiles } from './open-archive-files.ts'
export { openImage } from './open-image.ts'
export { openIndex, resolveImage } from './open-index.ts'
export { openLayout } from './open-layout.ts'
export { type PushClient, pushImage, type PushImageOptions } from './push-image.ts'
export { type PullClient, type RegistryCallOf, registryImages } from './registry-images.ts'
export { type Problem, type ProblemCode, validate } from './validate.ts'
export { walk, type WalkOptions } from './walk.ts'
export { withConfig } from './with-config.ts'
export { writeLayout } from './write-layout.ts'
