import { BerthError, isKind } from '@berth/core'
import type { Reference } from '@berth/oci'
import { cancelUpload, pushScopes } from './push-blob.ts'
import type { RegistryResponse } from './registry-response.ts'
import type { RegistryCall, RegistrySession } from './registry-session.ts'

/** Whether the registry took the blob over from another of its repositories. */
export async function mountBlob(session: RegistrySession, reference: Reference, digest: string, { from, ...call }: RegistryCall & { from: string }): Promise<boolean> {
  const endpoint = await session.endpoints.first(reference.domain, 'push', call.signal)
  const url = `${reference.path}/blobs/uploads/?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`
  const scopes = [...pushScopes(reference), `repository:${from}:pull`]
  let response: RegistryResponse
  try {
    response = await session.retrying(() => session.send({ endpoint, method: 'POST', url, scopes, call, headers: { 'Content-Length': '0' } }), call.signal)
  } catch (error) {
    // Not to be let into the other repository is no reason not to push to this one.
    if (isKind(error, 'unauthenticated')) return false
    throw error
  }
  response.discard()
  const location = response.status === 202 ? response.header('location') : undefined
  if (location) await cancelUpload(session, reference, endpoint, URL.parse(location, endpoint.base), call)
  return response.status === 201
}

export async function pushManifest(session: RegistrySession, reference: Reference, { bytes, mediaType }: { bytes: Uint8Array; mediaType: string }, call: RegistryCall): Promise<void> {
  const endpoint = await session.endpoints.first(reference.domain, 'push', call.signal)
  const url = `${reference.path}/manifests/${reference.tag ?? reference.digest ?? 'latest'}`
  const request = { endpoint, method: 'PUT', url, scopes: pushScopes(reference), call, headers: { 'Content-Type': mediaType }, body: () => bytes }
  const response = await session.retrying(() => session.send(request), call.signal)
  if (response.status !== 201) throw await session.refused(response, { reference, action: 'push', method: 'PUT' })
  response.discard()
}

export async function deleteManifest(session: RegistrySession, reference: Reference, call: RegistryCall): Promise<void> {
  const endpoint = await session.endpoints.first(reference.domain, 'push', call.signal)
  const url = `${reference.path}/manifests/${reference.digest ?? reference.tag ?? 'latest'}`
  const response = await session.retrying(() => session.send({ endpoint, method: 'DELETE', url, scopes: [`repository:${reference.path}:delete`], call }), call.signal)
  if (response.status === 405 || response.status === 400) {
    response.discard()
    throw new BerthError('not-implemented', 'DELETE_UNSUPPORTED', `${reference.domain} does not delete ${reference.digest === undefined ? 'tags' : 'manifests'}`)
  }
  if (!response.isOk) throw await session.refused(response, { reference, action: response.status === 404 ? 'pull' : 'push', method: 'DELETE' })
  response.discard()
}
