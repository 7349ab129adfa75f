import { BerthError, messageOf } from '@berth/core'
import type { Reference } from '@berth/oci'
import { ContentCursor } from './content-cursor.ts'
import { isConnectionError } from './registry-error.ts'
import { type Endpoint, originOf } from './registry-hosts.ts'
import type { RegistryResponse } from './registry-response.ts'
import type { RegistryCall, RegistrySession } from './registry-session.ts'
import { maxAttempts } from './retry.ts'
import { checkNotWeaker } from './transport.ts'

export interface PushBlobOptions extends RegistryCall {
  /** Called with the bytes sent so far. They become fewer where a part is sent once more. */
  onProgress?: ((bytes: number) => void) | undefined
}

export interface PushedBlob {
  digest: string
  /** Bytes. */
  size: number
}

/** What an upload needs to know, for as long as it lasts. */
interface Upload {
  session: RegistrySession
  reference: Reference
  endpoint: Endpoint
  blob: PushedBlob
  call: PushBlobOptions
  cursor: ContentCursor
  /** Bytes of a part. */
  partSize: number
}

/** The upload cannot go on as it is: it has to begin again. `whole`: in one piece, as the registry takes no parts. */
class StartOver extends Error {
  readonly whole: boolean
  constructor(cause: unknown, { whole }: { whole: boolean }) {
    super('the upload has to begin again', { cause })
    this.whole = whole
  }
}

/** Sends a blob: a small one at once, a big one in parts, of which only the one that broke is sent once more. */
export async function pushBlob(session: RegistrySession, reference: Reference, blob: PushedBlob, content: () => AsyncIterable<Uint8Array>, partSize: number, call: PushBlobOptions): Promise<void> {
  const endpoint = await session.endpoints.first(reference.domain, 'push', call.signal)
  await using cursor = new ContentCursor(content)
  const upload: Upload = { session, reference, endpoint, blob, call, cursor, partSize }
  let isWhole = blob.size <= partSize
  for (let attempts = 1; ; attempts++) {
    try {
      return await once(upload, isWhole)
    } catch (error) {
      const cause = error instanceof StartOver ? error.cause : error
      if (call.signal.aborted || attempts >= maxAttempts || !(error instanceof StartOver || isConnectionError(error))) throw cause
      if (error instanceof StartOver && error.whole) isWhole = true
      session.logger.info('an upload broke and is begun again', { digest: blob.digest, error: messageOf(cause) })
      await session.pause(attempts, call.signal)
      // The answer may be what was lost.
      if (await hasBlob(session, reference, blob.digest, call)) return
    }
  }
}

/** Whether a repository has a blob. */
export async function hasBlob(session: RegistrySession, reference: Reference, digest: string, call: RegistryCall): Promise<boolean> {
  const endpoint = await session.endpoints.first(reference.domain, 'push', call.signal)
  const url = `${reference.path}/blobs/${digest}`
  const response = await session.retrying(() => session.send({ endpoint, method: 'HEAD', url, scopes: pushScopes(reference), call }), call.signal)
  if (response.isOk || response.status === 404) response.discard()
  else throw await session.refused(response, { reference, action: 'push', method: 'HEAD' })
  return response.isOk
}

/** Tells the registry, if it still listens, that an upload will not be finished. */
export async function cancelUpload(session: RegistrySession, reference: Reference, endpoint: Endpoint, location: URL | null, { auth }: RegistryCall): Promise<void> {
  if (location?.origin !== originOf(endpoint)) return
  const url = new URL(location)
  url.searchParams.delete('digest')
  try {
    const response = await session.send({ endpoint, method: 'DELETE', url: url.href, scopes: pushScopes(reference), call: { auth, signal: AbortSignal.timeout(2000) } })
    response.discard()
  } catch (error) {
    session.logger.debug('an upload could not be cancelled', { error: messageOf(error) }) // the registry forgets it in time
  }
}

export function pushScopes({ path }: Reference): string[] {
  return [`repository:${path}:pull,push`]
}

async function once(upload: Upload, isWhole: boolean): Promise<void> {
  const { session, reference, endpoint, blob, call } = upload
  const begun = await session.retrying(() => request(upload, 'POST', `${reference.path}/blobs/uploads/`), call.signal)
  if (begun.status !== 202 || !locationOf(begun)) throw await refused(upload, begun, 'POST')
  begun.discard()
  let location = checkedLocation(upload, begun)
  try {
    if (!isWhole) location = await sendParts(upload, location, Number(begun.header('oci-chunk-min-length') ?? 0) || 0)
    const end = new URL(location)
    end.searchParams.set('digest', blob.digest)
    const response = isWhole ? await request(upload, 'PUT', end.href, { start: 0, length: blob.size }) : await request(upload, 'PUT', end.href)
    if (response.status === 404 && !isWhole) throw new StartOver(await refused(upload, response, 'PUT'), { whole: false })
    if (response.status !== 201) throw await refused(upload, response, 'PUT')
    response.discard()
  } catch (error) {
    await cancelUpload(session, reference, endpoint, location, call)
    throw error
  }
}

/** @returns where to finish the upload. @see OCI distribution specification, "Pushing a blob in chunks" */
async function sendParts(upload: Upload, begin: URL, least: number): Promise<URL> {
  const { session, blob, call } = upload
  const partSize = Math.max(upload.partSize, Math.min(least, blob.size))
  let location = begin
  let position = 0
  for (let attempts = 1; position < blob.size; ) {
    const length = Math.min(partSize, blob.size - position)
    let response: RegistryResponse | undefined
    try {
      response = await request(upload, 'PATCH', location.href, { start: position, length })
    } catch (error) {
      if (call.signal.aborted || attempts >= maxAttempts || !isConnectionError(error)) throw error
      session.logger.info('a part of an upload broke and is resumed', { digest: blob.digest, position, error: messageOf(error) })
    }
    if (response?.status === 202) {
      location = checkedLocation(upload, response, location)
      response.discard()
      position += length
      attempts = 1
      continue
    }
    if (response && position === 0 && [400, 404, 405, 411, 501].includes(response.status)) throw new StartOver(await refused(upload, response, 'PATCH'), { whole: true })
    // 409: the registry has not noticed yet that the last request broke.
    const isWorthIt = response === undefined || [404, 408, 409, 416, 429, 500, 502, 503, 504].includes(response.status)
    if (response && (!isWorthIt || attempts >= maxAttempts)) throw await refused(upload, response, 'PATCH')
    response?.discard()
    await session.pause(attempts++, call.signal)
    const status = await session.retrying(() => request(upload, 'GET', location.href), call.signal)
    if (status.status !== 204 && status.status !== 200) throw new StartOver(await refused(upload, status, 'GET'), { whole: false })
    location = checkedLocation(upload, status, location)
    position = Math.min(received(status), blob.size)
    status.discard()
  }
  return location
}

/** One request of an upload, with a part of its content. Only the registry itself gets credentials: the session sees to that. */
function request({ session, reference, endpoint, call, cursor, blob }: Upload, method: string, url: string, part?: { start: number; length: number }): Promise<RegistryResponse> {
  const scopes = pushScopes(reference)
  if (!part) return session.send({ endpoint, method, url, scopes, call, ...(method === 'GET' ? {} : { headers: { 'Content-Length': '0' } }) })
  const { start, length } = part
  const headers = {
    'Content-Type': 'application/octet-stream',
    'Content-Length': String(length),
    ...(method === 'PATCH' && { 'Content-Range': `${start}-${start + length - 1}` }),
  }
  return session.send({ endpoint, method, url, scopes, call, headers, body: () => whole(counted(cursor.read(start, length), start, call.onProgress), length, blob.digest) })
}

function locationOf(response: RegistryResponse): string | undefined {
  return response.header('location')
}

/** Where the registry wants to have the content. @throws `permission-denied` if that leads from HTTPS to HTTP. */
function checkedLocation({ endpoint, reference }: Upload, response: RegistryResponse, base?: URL): URL {
  const location = URL.parse(locationOf(response) ?? base?.href ?? '', base?.href ?? `${endpoint.base}/${reference.path}/blobs/uploads/`)
  if (!location) throw new BerthError('unavailable', 'REGISTRY_ANSWER', `${originOf(endpoint)} does not say where an upload goes on`)
  checkNotWeaker(new URL(endpoint.base), location)
  location.username = location.password = ''
  return location
}

/** Bytes that the registry has of an upload: `Range: 0-1023`. Distribution says `0-0` for none. */
function received(status: RegistryResponse): number {
  const last = Number(/^(?:bytes=)?0-(\d{1,15})$/.exec(status.header('range') ?? '')?.[1] ?? 0)
  return last === 0 ? 0 : last + 1
}

function refused({ session, reference }: Upload, response: RegistryResponse, method: string): Promise<BerthError> {
  return session.refused(response, { reference, action: 'push', method })
}

async function* counted(source: AsyncIterable<Uint8Array>, start: number, onProgress: ((bytes: number) => void) | undefined): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = start
  for await (const chunk of source) {
    bytes += chunk.length
    yield chunk
    onProgress?.(bytes)
  }
}

/** What is shorter than was announced would leave the registry waiting. */
async function* whole(source: AsyncIterable<Uint8Array>, length: number, digest: string): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0
  for await (const chunk of source) {
    bytes += chunk.length
    yield chunk
  }
  if (bytes < length) throw new BerthError('data-loss', 'CONTENT_TOO_SHORT', `the content of ${digest} ended before its size was reached`)
}
