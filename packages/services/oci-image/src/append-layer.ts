import { type ImageHistory, mediaTypes } from '@berth/oci'
import type { Image, Layer } from './image.ts'
import { assembleImage } from './image-of.ts'
import { layerFromTar, type LayerBytes, type LayerOptions } from './layer-from-tar.ts'
import { readDocuments } from './with-config.ts'

export interface AppendLayerOptions extends LayerOptions {
  /** What the image's history says of the layer. */
  history?: ImageHistory | undefined
}

/**
 * The same image with one layer more on top.
 * @throws as {@link layerFromTar}; `invalid-argument` if manifest and config of the image do not agree.
 */
export async function appendLayer(image: Image, layer: Layer | LayerBytes, { history: entry = {}, ...options }: AppendLayerOptions = {}): Promise<Image> {
  const { config, manifest, layers, ...types } = await readDocuments(image, options)
  const { rootfs, history } = await image.config(options)
  await image.layers(options)
  const docker = types.manifestType === mediaTypes.dockerManifest
  const top = isLayer(layer) ? layer : await layerFromTar(layer, { docker, ...options })
  // A history that there was not yet has an entry for each layer all the same.
  const below = history ?? layers.map(() => ({}))
  return assembleImage({
    config: { ...config, rootfs: { type: 'layers', diff_ids: [...rootfs.diff_ids, top.diffId] }, history: [...below, entry] },
    manifest,
    layers: [...layers, top.descriptor],
    ...types,
    added: [top],
    base: image,
  })
}

function isLayer(layer: Layer | LayerBytes): layer is Layer {
  return 'diffId' in layer
}
