import { BerthError } from '@berth/core'
import { chainIds, type ImageConfig, type ImageManifest, isConfigType, isLayerType, maxDocumentSize } from '@berth/oci'
import type { WantedLayer } from './bring-layers.ts'

/** Above every storage driver's depth; a manifest with more is a trick. */
const maxLayers = 512

/** @throws `invalid-argument` for a manifest that is not a container image's, or that is beyond what is allowed. */
export function checkManifest(manifest: ImageManifest): void {
  const { mediaType, size } = manifest.config
  if (!isConfigType(mediaType)) throw malformed(`unsupported config media type ${mediaType}: this is not a container image`)
  if (size > maxDocumentSize) throw malformed(`the config has ${size} bytes, more than the limit of ${maxDocumentSize}`)
  if (manifest.layers.length > maxLayers) throw malformed(`${manifest.layers.length} layers are more than the limit of ${maxLayers}`)
  for (const layer of manifest.layers) {
    if (!isLayerType(layer.mediaType)) throw malformed(`unsupported layer media type ${layer.mediaType}`)
  }
}

/** @throws `invalid-argument` for a config that does not go with the manifest, or that is of a system whose layers cannot be unpacked here. */
export function checkConfig(config: ImageConfig, manifest: ImageManifest): void {
  if (config.rootfs.diff_ids.length !== manifest.layers.length) {
    throw malformed(`the config names ${config.rootfs.diff_ids.length} layers and the manifest ${manifest.layers.length}`)
  }
  if (config.os !== 'linux') throw malformed(`image operating system ${JSON.stringify(config.os.slice(0, 64))} cannot be used on this platform`)
}

/** The layers of an image with their places in the chain, lowest first. */
export function wantedLayers(manifest: ImageManifest, config: ImageConfig): WantedLayer[] {
  const chains = chainIds(config.rootfs.diff_ids)
  return manifest.layers.map((descriptor, index) => ({
    ...descriptor,
    diffId: config.rootfs.diff_ids[index]!,
    chainId: chains[index]!,
    parent: chains[index - 1],
  }))
}

function malformed(message: string): BerthError {
  return new BerthError('invalid-argument', 'INVALID_IMAGE', message)
}
