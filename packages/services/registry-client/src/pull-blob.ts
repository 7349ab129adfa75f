import { BerthError, isKind, messageOf } from '@berth/core'
import { type Descriptor, parseDigest, type Reference, verified } from '@berth/oci'
import { isConnectionError, withoutSecrets } from './registry-error.ts'
import type { Endpoint } from './registry-hosts.ts'
import type { RegistryResponse } from './registry-response.ts'
import type { RegistryCall, RegistrySession } from './registry-session.ts'
import { maxAttempts } from './retry.ts'

export interface BlobOptions extends RegistryCall {
  /** Where to begin, in bytes; 0. */
  offset?: number | undefined
  /** False for a reader that computes the digest itself, so that bytes are hashed once. The size is checked all the same. */
  verify?: boolean | undefined
}

/** Who sent bytes of a blob. */
type Sources = Set<Endpoint>

/** Bytes that a transfer must get on by to count as healthy. */
const goodProgress = 1 << 20

export async function* pullBlob(session: RegistrySession, reference: Reference, blob: Descriptor, { offset = 0, verify = true, ...call }: BlobOptions): AsyncGenerator<Uint8Array, void, undefined> {
  parseDigest(blob.digest)
  const sources: Sources = new Set()
  const bytes = resuming(session, reference, blob, { offset, sources }, call)
  try {
    yield* offset === 0 && verify ? verified(bytes, { digest: blob.digest, size: blob.size }) : bytes
  } catch (error) {
    // Another try gets it from elsewhere, if a mirror lied.
    if (isKind(error, 'data-loss')) for (const source of sources) session.endpoints.passOver(source)
    throw error
  }
}

async function* resuming(
  session: RegistrySession,
  reference: Reference,
  blob: Descriptor,
  { offset, sources }: { offset: number; sources: Sources },
  call: RegistryCall,
): AsyncGenerator<Uint8Array, void, undefined> {
  let position = offset
  if (position > 0 && position >= blob.size) return
  for (let attempts = 1; ; attempts++) {
    const before = position
    let from: Endpoint | undefined
    try {
      const headers: Record<string, string> = position > 0 ? { Range: `bytes=${position}-` } : {}
      const response = await open(session, reference, blob, call, headers, (endpoint) => (from = endpoint))
      if (from) sources.add(from)
      for await (const chunk of fresh(response, position)) {
        position += chunk.length
        if (position > blob.size) throw new BerthError('data-loss', 'BLOB_TOO_LONG', `content of ${blob.digest} could not be verified: more than the expected ${blob.size} bytes`)
        yield chunk
      }
      if (position === blob.size) return
      throw new BerthError('unavailable', 'TRANSFER_BROKE', `the registry ended the transfer of ${blob.digest} after ${position} of ${blob.size} bytes`)
    } catch (error) {
      if (call.signal.aborted) throw call.signal.reason
      if (position - before >= goodProgress) attempts = 1
      const isWorthIt = isConnectionError(error) || (isKind(error, 'deadline-exceeded') && position > before)
      if (!isWorthIt || attempts >= maxAttempts) throw error
      if (from) session.endpoints.passOver(from)
      session.logger.info('a transfer broke and is resumed', { digest: blob.digest, position, error: messageOf(error) })
      await session.pause(attempts, call.signal)
    }
  }
}

/** From the registry or its mirrors; a layer that may lie elsewhere, from there if they lack it. */
async function open(session: RegistrySession, reference: Reference, blob: Descriptor, call: RegistryCall, headers: Record<string, string>, onSource: (source: Endpoint) => void): Promise<RegistryResponse> {
  let last: Endpoint | undefined
  try {
    return await session.fromFirst(reference, 'pull', call, (endpoint) => {
      onSource((last = endpoint))
      return session.pull(endpoint, reference, `blobs/${blob.digest}`, call, headers)
    })
  } catch (error) {
    if (!(error instanceof BerthError) || error.code !== 'BLOB_NOT_FOUND' || !blob.urls?.length) throw error
    return openForeign(session, blob.urls, { signal: call.signal, headers, publicOnly: last !== undefined && session.isPublic(last), missing: error })
  }
}

/** Without credentials; by HTTP only where that is allowed. @see OCI image specification, "Descriptors", `urls` */
async function openForeign(
  session: RegistrySession,
  urls: readonly string[],
  { signal, headers, publicOnly, missing }: { signal: AbortSignal; headers: Record<string, string>; publicOnly: boolean; missing: BerthError },
): Promise<RegistryResponse> {
  let last = missing
  for (const each of urls.slice(0, 10)) {
    const url = URL.parse(each)
    if (!url || (url.protocol !== 'https:' && !(url.protocol === 'http:' && session.insecure.has(url.host)))) continue
    url.username = url.password = ''
    try {
      const response = await session.fetch(url.href, { signal, headers, publicOnly })
      if (response.isOk) return response
      response.discard()
      last = new BerthError('not-found', 'FOREIGN_LAYER_NOT_FOUND', `${withoutSecrets(url)} answered ${response.status}`)
    } catch (error) {
      if (signal.aborted || !(error instanceof BerthError)) throw error
      last = error
    }
  }
  throw last
}

/** The body from a position on, also from a server that knows no ranges and sends the whole once more. */
async function* fresh(response: RegistryResponse, position: number): AsyncGenerator<Uint8Array, void, undefined> {
  const start = response.status === 206 ? Number(/^bytes (\d+)-/.exec(response.header('content-range') ?? '')?.[1] ?? NaN) : 0
  if (!(start <= position)) {
    response.discard()
    throw new BerthError('data-loss', 'RANGE_MISMATCH', `${withoutSecrets(response.url)} sent another part than was asked for`)
  }
  let skip = position - start
  for await (const chunk of response.chunks()) {
    const rest = chunk.subarray(Math.min(skip, chunk.length))
    skip -= chunk.length - rest.length
    if (rest.length > 0) yield rest
  }
}
