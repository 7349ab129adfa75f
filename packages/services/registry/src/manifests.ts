import { type DigestAlgorithm, digestOf, parseDigest } from '@berth/oci'
import type { Blobs } from './blobs.ts'
import { blobsOf, parsed } from './manifest-content.ts'
import { RegistryProblem } from './registry-problem.ts'
import type { NewManifest, RegistryRecords } from './registry-records.ts'

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
