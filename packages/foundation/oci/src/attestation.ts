import type { Descriptor } from './image.ts'

/** On an attestation in an index: what it is. */
const referenceType = 'vnd.docker.reference.type'
/** On an attestation in an index: the digest of the manifest that it speaks of. */
const referenceDigest = 'vnd.docker.reference.digest'

/**
 * Whether an entry of an index is no image but what BuildKit says of one (provenance, SBOM).
 * @see BuildKit, docs/attestations/attestation-storage.md
 */
export function isAttestation({ annotations, platform }: Pick<Descriptor, 'annotations' | 'platform'>): boolean {
  return annotations?.[referenceType] === 'attestation-manifest' || (platform?.os === 'unknown' && platform.architecture === 'unknown')
}

/** The digest of the manifest that an attestation speaks of; undefined if it does not say. */
export function attestedDigest({ annotations }: Pick<Descriptor, 'annotations'>): string | undefined {
  return annotations?.[referenceDigest]
}
