import { BerthError } from '@berth/core'
import { type ImageIndex, type ImageManifest, isForeignLayerType, parseManifestOrIndex } from '@berth/oci'
import { RegistryProblem } from './registry-problem.ts'
import type { StoredManifest } from './registry-records.ts'

/** The blobs that a stored manifest names. */
export function referencedBlobs({ bytes, mediaType }: StoredManifest): string[] {
  return blobsOf(parsed(bytes, mediaType))
}

/** Reads what was sent as a manifest or an index. Throws MANIFEST_INVALID. */
export function parsed(bytes: Uint8Array, mediaType: string): ImageManifest | ImageIndex {
  try {
    const result = parseManifestOrIndex(bytes, mediaType)
    return result.kind === 'index' ? result.index : result.manifest
  } catch (error) {
    if (error instanceof BerthError) throw new RegistryProblem(400, 'MANIFEST_INVALID', error.message)
    throw error
  }
}

/** The blobs that a registry must have for it; an index names manifests alone. */
export function blobsOf(content: ImageManifest | ImageIndex): string[] {
  if ('manifests' in content) return []
  return [content.config, ...content.layers].filter(({ mediaType }) => !isForeignLayerType(mediaType)).map(({ digest }) => digest)
}
