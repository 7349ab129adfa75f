import { BerthError } from '@berth/core'
import { type DigestAlgorithm, digestOf, type ImageIndex, type ImageManifest, isForeignLayerType, parseDigest, parseManifestOrIndex } from '@berth/oci'
import type { Blobs } from './blobs.ts'
import { RegistryProblem } from './registry-problem.ts'
import type { NewManifest, RegistryRecords, StoredManifest } from './registry-records.ts'

export interface PushedManifest {
  repository: string
  reference: { tag: string } | { digest: string }
  /** From the request's Content-Type. */
  mediaType: string
  bytes: Uint8Array
}

/**
 * Takes in a manifest or an index, whose parts must be here.
 * @throws RegistryProblem for one that is malformed, is not what its digest says, or names what the repository lacks.
 */
export function putManifest(records: RegistryRecords, blobs: Blobs, { repository, reference, mediaType, bytes }: PushedManifest): NewManifest {
  const algorithm: DigestAlgorithm = 'digest' in reference ? parseDigest(reference.digest).algorithm : 'sha256'
  const digest = digestOf(bytes, algorithm)
  if ('digest' in reference && reference.digest !== digest) throw new RegistryProblem(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content')
  const content = parsed(bytes, mediaType)
  const referenced = blobsOf(content)
  for (const blob of referenced) {
    if (!records.hasBlob(repository, blob)) throw new RegistryProblem(404, 'MANIFEST_BLOB_UNKNOWN', `blob unknown to registry: ${blob}`)
  }
  for (const manifest of 'manifests' in content ? content.manifests : []) {
    if (!records.manifest(repository, manifest.digest)) throw new RegistryProblem(404, 'MANIFEST_BLOB_UNKNOWN', `manifest unknown to registry: ${manifest.digest}`)
  }
  const stored: NewManifest = {
    repository,
    digest,
    mediaType,
    bytes,
    tag: 'tag' in reference ? reference.tag : undefined,
    subject: content.subject?.digest,
    artifactType: content.artifactType ?? ('config' in content ? content.config.mediaType : undefined),
    annotations: content.annotations,
  }
  records.putManifest(stored)
  blobs.mark(repository, referenced)
  return stored
}

/** The blobs that a stored manifest names. */
export function referencedBlobs({ bytes, mediaType }: StoredManifest): string[] {
  return blobsOf(parsed(bytes, mediaType))
}

function parsed(bytes: Uint8Array, mediaType: string): ImageManifest | ImageIndex {
  try {
    const result = parseManifestOrIndex(bytes, mediaType)
    return result.kind === 'index' ? result.index : result.manifest
  } catch (error) {
    if (error instanceof BerthError) throw new RegistryProblem(400, 'MANIFEST_INVALID', error.message)
    throw error
  }
}

function blobsOf(content: ImageManifest | ImageIndex): string[] {
  if ('manifests' in content) return []
  return [content.config, ...content.layers].filter(({ mediaType }) => !isForeignLayerType(mediaType)).map(({ digest }) => digest)
}
