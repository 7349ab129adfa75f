import { BerthError } from '@berth/core'
import { digestOf, isDigest, maxDocumentSize, mediaTypes, parseDigest, parseManifestOrIndex, type Reference } from '@berth/oci'
import { withoutSecrets } from './registry-error.ts'
import type { RegistryResponse } from './registry-response.ts'
import type { RegistryCall, RegistrySession } from './registry-session.ts'

/** A manifest or an index as it was pushed. */
export interface PulledManifest {
  digest: string
  mediaType: string
  bytes: Uint8Array
}

const accept = [mediaTypes.ociManifest, mediaTypes.ociIndex, mediaTypes.dockerManifest, mediaTypes.dockerIndex].join(', ')

export function pullManifest(session: RegistrySession, reference: Reference, call: RegistryCall): Promise<PulledManifest> {
  return session.fromFirst(reference, reference.digest === undefined ? 'resolve' : 'pull', call, async (endpoint) => {
    const { response, bytes } = await session.persevering(async () => {
      const answer = await session.pull(endpoint, reference, `manifests/${reference.digest ?? reference.tag ?? 'latest'}`, call, { Accept: accept })
      return { response: answer, bytes: await answer.bytes(maxDocumentSize) }
    }, call.signal)
    const digest = verifiedDigest(bytes, [reference.digest, response.header('docker-content-digest')])
    const mediaType = typeOf(response, bytes)
    // Refuses what could be taken for a manifest and for an index, and what calls itself otherwise than it came (CVE-2021-41190).
    parseManifestOrIndex(bytes, mediaType)
    return { digest, mediaType, bytes }
  })
}

/** The first of the claims, all of which must be true. */
function verifiedDigest(bytes: Uint8Array, claims: readonly (string | undefined)[]): string {
  const made = claims.filter((claim) => claim !== undefined)
  for (const claim of made) {
    if (isDigest(claim) && digestOf(bytes, parseDigest(claim).algorithm) === claim) continue
    throw new BerthError('data-loss', 'DIGEST_MISMATCH', `manifest verification failed for digest ${claim.slice(0, 140)}: the registry sent other content`)
  }
  return made[0] ?? digestOf(bytes)
}

/** What a manifest came as. Servers that serve files know no better than `application/json`; then its own word counts. */
function typeOf(response: RegistryResponse, bytes: Uint8Array): string {
  const type = response.header('content-type')?.split(';')[0]?.trim() ?? ''
  if (type.startsWith('application/vnd.')) return type
  if (!['', 'application/json', 'application/octet-stream', 'text/plain'].includes(type)) {
    throw new BerthError('unavailable', 'REGISTRY_ANSWER', `${withoutSecrets(response.url)} answered with ${type.slice(0, 100)}, which is no manifest`)
  }
  try {
    const { mediaType, manifests } = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>
    if (typeof mediaType === 'string') return mediaType
    return manifests === undefined ? mediaTypes.ociManifest : mediaTypes.ociIndex
  } catch {
    throw new BerthError('unavailable', 'REGISTRY_ANSWER', `${withoutSecrets(response.url)} answered with no manifest`)
  }
}
