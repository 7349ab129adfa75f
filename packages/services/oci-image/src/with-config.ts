import type { ImageConfig } from '@berth/oci'
import type { Image, ReadOptions } from './image.ts'
import { assembleImage } from './image-of.ts'
import { readDocument } from './read-document.ts'

/**
 * The same image with another config; `rootfs`, which the layers say, stays. Fields that are not known here, of config and manifest, stay too.
 * @throws `invalid-argument` for a config that is none.
 */
export async function withConfig(image: Image, change: (config: ImageConfig) => ImageConfig, options?: ReadOptions): Promise<Image> {
  const { config, manifest, layers, ...types } = await readDocuments(image, options)
  const before = await image.config(options)
  const after = change(structuredClone(before))
  const changed = replaceFields(config, before, { ...after, rootfs: before.rootfs })
  if (after.config) changed['config'] = replaceFields(config['config'] ?? {}, before.config ?? {}, after.config)
  return assembleImage({ config: changed, manifest, layers, ...types, added: [], base: image })
}

/** An image's documents, with all that stands in them. */
export async function readDocuments(image: Image, options?: ReadOptions) {
  const { config, layers } = await image.manifest(options)
  return {
    config: parse(await readDocument(image, config, options)),
    configType: config.mediaType,
    manifest: parse(await readDocument(image, image.descriptor, options)),
    manifestType: image.descriptor.mediaType,
    layers,
  }
}

/** An object in which the fields that are known have other values, or are gone. */
function replaceFields(raw: object, before: object, after: object): Record<string, unknown> {
  const rest = Object.entries(raw).filter(([key]) => !Object.hasOwn(before, key))
  return { ...Object.fromEntries(rest), ...after }
}

/** JSON that was checked to be an object. */
function parse(bytes: Buffer): Record<string, object> {
  return JSON.parse(bytes.toString()) as Record<string, object>
}
