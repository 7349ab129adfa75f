import { setTimeout as delay } from 'node:timers/promises'
import { BerthError, isKind, type Logger, messageOf, silent } from '@berth/core'
import { type Descriptor, digestOf, isDigest, maxDocumentSize, mediaTypes, parseDigest, type Reference, verified } from '@berth/oci'
import { Authorizer, type RegistryAuth } from './authorizer.ts'
import { Endpoints } from './endpoints.ts'
import { InsecureHosts } from './insecure-hosts.ts'
import { Mirrors } from './mirrors.ts'
import { connectionError, type Refusal, refusal, requestLine, withoutSecrets } from './registry-error.ts'
import type { RegistryResponse } from './registry-response.ts'
import { checkNotWeaker, type SendOptions, Transport } from './transport.ts'

export interface RegistryClientOptions {
  /** Hosts (`registry:5000`) and networks (CIDR) that may be spoken to by HTTP, and whose certificates are not checked; loopback always is. */
  insecureRegistries?: readonly string[] | undefined
  /** URLs of registries that are asked before Docker Hub, in their order. */
  mirrors?: readonly string[] | undefined
  userAgent?: string | undefined
  /** Milliseconds until a registry must have begun to answer; 30 s. */
  answerTimeout?: number | undefined
  /** Milliseconds that a transfer may stand still, and that a document may take; 60 s. */
  idleTimeout?: number | undefined
  /** Milliseconds before the first of up to four retries, each twice as long as the one before; 200. */
  retryDelay?: number | undefined
  logger?: Logger | undefined
}

export interface RegistryCall {
  auth?: RegistryAuth | undefined
  signal: AbortSignal
}

interface Request {
  method: string
  url: string
  origin: string
  scopes: readonly string[]
  call: RegistryCall
  headers?: Record<string, string>
  /** Makes the body; once more after a challenge. */
  body?: () => SendOptions['body']
}

/** How often a transfer that broke, or a request that met an ailing server, is tried. */
const maxAttempts = 5
/** Bytes that a transfer must get on by to count as healthy. */
const goodProgress = 1 << 20
const maxErrorBody = 64 << 10
const maxTags = 100_000
const accept = [mediaTypes.ociManifest, mediaTypes.ociIndex, mediaTypes.dockerManifest, mediaTypes.dockerIndex].join(', ')

/** Speaks to registries. Errors are `BerthError`s whose texts hold no secret. @see OCI distribution specification 1.1 */
export class RegistryClient implements AsyncDisposable {
  readonly #transport: Transport
  readonly #endpoints: Endpoints
  readonly #authorizer: Authorizer
  readonly #mirrors: Mirrors
  readonly #retryDelay: number
  readonly #logger: Logger

  constructor({ insecureRegistries = [], mirrors = [], userAgent = 'berth/0.1.0', answerTimeout = 30_000, idleTimeout = 60_000, retryDelay = 200, logger = silent }: RegistryClientOptions = {}) {
    const insecure = new InsecureHosts(insecureRegistries)
    this.#transport = new Transport({ userAgent, answerTimeout, idleTimeout, insecure })
    this.#endpoints = new Endpoints(this.#transport, insecure)
    this.#authorizer = new Authorizer(this.#transport)
    this.#mirrors = new Mirrors(mirrors)
    this.#retryDelay = retryDelay
    this.#logger = logger
  }

  /**
   * A manifest or an index by tag or digest.
   * @throws `data-loss` if its bytes are not those of the digest that was asked for, or that the registry names.
   */
  async manifest(reference: Reference, call: RegistryCall): Promise<{ digest: string; mediaType: string; bytes: Uint8Array }> {
    return this.#fromFirst(reference, call, async (base) => {
      const response = await this.#pull(base, reference, `manifests/${reference.digest ?? reference.tag ?? 'latest'}`, call, { Accept: accept })
      const bytes = await response.bytes(maxDocumentSize)
      const claims = [reference.digest, response.header('docker-content-digest')].filter((claim) => claim !== undefined)
      for (const claim of claims) {
        if (isDigest(claim) && digestOf(bytes, parseDigest(claim).algorithm) === claim) continue
        throw new BerthError('data-loss', 'DIGEST_MISMATCH', `manifest verification failed for digest ${claim.slice(0, 140)}: the registry sent other content`)
      }
      return { digest: claims[0] ?? digestOf(bytes), mediaType: manifestType(response, bytes), bytes }
    })
  }

  /** The tags of a repository, all pages. */
  async tags(reference: Reference, call: RegistryCall): Promise<string[]> {
    return this.#fromFirst(reference, call, async (base) => {
      const tags: string[] = []
      let page: string | undefined = 'tags/list?n=1000'
      while (page !== undefined && tags.length <= maxTags) {
        const response: RegistryResponse = await this.#pull(base, reference, page, call)
        const found = readTags(await response.bytes(maxDocumentSize))
        if (!found) throw new BerthError('unavailable', 'REGISTRY_ANSWER', `${withoutSecrets(response.url)} did not answer with a list of tags`)
        tags.push(...found)
        const last: string | undefined = /<[^>]*[?&]last=([^&>]+)[^>]*>;\s*rel="?next/.exec(response.header('link') ?? '')?.[1]
        page = last === undefined || found.length === 0 ? undefined : `tags/list?n=1000&last=${last}`
      }
      return tags
    })
  }

  /**
   * A blob's bytes from an offset on. A transfer that breaks is resumed where it broke. The size is checked always, the digest where the blob is
   * read from its beginning; who reads from an offset checks the whole.
   * @throws `data-loss` for other bytes than the descriptor's.
   */
  async *blob(reference: Reference, blob: Descriptor, { offset = 0, ...call }: RegistryCall & { offset?: number }): AsyncGenerator<Uint8Array, void, undefined> {
    const sources = new Set<string>()
    const bytes = this.#resuming(reference, blob, { offset, sources }, call)
    try {
      yield* offset === 0 ? verified(bytes, { digest: blob.digest, size: blob.size }) : bytes
    } catch (error) {
      // Another try gets it from elsewhere, if a mirror lied.
      if (isKind(error, 'data-loss')) for (const source of sources) this.#mirrors.passOver(source)
      throw error
    }
  }

  async hasBlob(reference: Reference, digest: string, call: RegistryCall): Promise<boolean> {
    const origin = await this.#endpoints.originOf(reference.domain, call.signal)
    const url = `${origin}/v2/${reference.path}/blobs/${digest}`
    const response = await this.#retrying(() => this.#send({ method: 'HEAD', url, origin, scopes: pushScopes(reference), call }), call.signal)
    if (response.isOk || response.status === 404) response.discard()
    else throw await this.#refused(response, { reference, action: 'push', method: 'HEAD' })
    return response.isOk
  }

  /** Whether the registry took the blob over from another of its repositories. */
  async mountBlob(reference: Reference, digest: string, { from, ...call }: RegistryCall & { from: string }): Promise<boolean> {
    const origin = await this.#endpoints.originOf(reference.domain, call.signal)
    const url = `${origin}/v2/${reference.path}/blobs/uploads/?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`
    const scopes = [...pushScopes(reference), `repository:${from}:pull`]
    let response: RegistryResponse
    try {
      response = await this.#send({ method: 'POST', url, origin, scopes, call })
    } catch (error) {
      // Not to be let into the other repository is no reason not to push to this one.
      if (isKind(error, 'unauthenticated')) return false
      throw error
    }
    response.discard()
    const location = response.status === 202 ? response.header('location') : undefined
    if (location) await this.#cancelUpload(reference, URL.parse(location, origin), origin, call)
    return response.status === 201
  }

  /** Sends a blob; `content` is opened anew for each try. */
  async putBlob(
    reference: Reference,
    blob: { digest: string; size: number },
    content: () => AsyncIterable<Uint8Array>,
    { onProgress, ...call }: RegistryCall & { onProgress?: ((bytes: number) => void) | undefined },
  ): Promise<void> {
    const origin = await this.#endpoints.originOf(reference.domain, call.signal)
    for (let attempts = 1; ; attempts++) {
      try {
        await this.#upload(reference, blob, () => counted(content(), onProgress), origin, call)
        return
      } catch (error) {
        if (call.signal.aborted || attempts >= maxAttempts || !isConnectionError(error)) throw error
        this.#logger.info('an upload broke and is begun again', { digest: blob.digest, error: messageOf(error) })
        await this.#pause(attempts, call.signal)
      }
    }
  }

  async putManifest(reference: Reference, { bytes, mediaType }: { bytes: Uint8Array; mediaType: string }, call: RegistryCall): Promise<void> {
    const origin = await this.#endpoints.originOf(reference.domain, call.signal)
    const url = `${origin}/v2/${reference.path}/manifests/${reference.tag ?? reference.digest ?? 'latest'}`
    const request: Request = { method: 'PUT', url, origin, scopes: pushScopes(reference), call, headers: { 'Content-Type': mediaType }, body: () => bytes }
    const response = await this.#retrying(() => this.#send(request), call.signal)
    if (response.status !== 201) throw await this.#refused(response, { reference, action: 'push', method: 'PUT' })
    response.discard()
  }

  /**
   * Whether a registry takes these credentials, as `docker login` asks.
   * @param domain As in references: `docker.io`, `registry:5000`.
   * @throws `unauthenticated` when it does not.
   */
  async checkCredentials(domain: string, call: RegistryCall): Promise<void> {
    const origin = await this.#endpoints.originOf(domain, call.signal)
    const url = `${origin}/v2/`
    const response = await this.#send({ method: 'GET', url, origin, scopes: [], call })
    response.discard()
    if (response.status === 401 || response.status === 403) throw new BerthError('unauthenticated', 'LOGIN_FAILED', `${requestLine('GET', url)}: unauthorized: incorrect username or password`)
    if (!response.isOk) throw new BerthError('unavailable', 'REGISTRY_REFUSED', `login attempt to ${url} failed with status: ${response.status}`)
  }

  /** Ends the connections that are kept for later requests. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#transport[Symbol.dispose]()
  }

  // --------------------------------------------------------------------------------------------------------------------------------------

  /** Where to ask for an image, one after the other: mirrors, then the registry itself. */
  async *#bases({ domain }: Reference, signal: AbortSignal): AsyncGenerator<string, void, undefined> {
    yield* this.#mirrors.for(domain)
    yield await this.#endpoints.originOf(domain, signal)
  }

  /** The first good answer; else what the last, the registry itself, said. */
  async #fromFirst<T>(reference: Reference, call: RegistryCall, ask: (base: string) => Promise<T>): Promise<T> {
    for await (const base of this.#bases(reference, call.signal)) {
      try {
        return await ask(base)
      } catch (error) {
        if (call.signal.aborted || !this.#mirrors.has(base)) throw error
        if (isKind(error, 'unavailable', 'deadline-exceeded')) this.#mirrors.passOver(base)
        this.#logger.info('a mirror could not serve', { mirror: base, error: messageOf(error) })
      }
    }
    throw new BerthError('internal', 'NO_REGISTRY', 'there is no registry to ask')
  }

  async #pull(base: string, reference: Reference, what: string, call: RegistryCall, headers?: Record<string, string>): Promise<RegistryResponse> {
    // Credentials for Docker Hub are nothing to its mirrors.
    const own = this.#mirrors.has(base) ? { signal: call.signal } : call
    const request: Request = { method: 'GET', url: `${base}/v2/${reference.path}/${what}`, origin: base, scopes: [`repository:${reference.path}:pull`], call: own, headers }
    const response = await this.#retrying(() => this.#send(request), call.signal)
    if (!response.isOk) throw await this.#refused(response, { reference, action: 'pull', method: 'GET' })
    return response
  }

  /** A server that is overloaded or restarting often is well a moment later. */
  async #retrying(attempt: () => Promise<RegistryResponse>, signal: AbortSignal): Promise<RegistryResponse> {
    for (let attempts = 1; ; attempts++) {
      const response = await attempt()
      if (![429, 502, 503, 504].includes(response.status) || attempts >= maxAttempts) return response
      response.discard()
      const asked = Number(response.header('retry-after') ?? NaN) * 1000
      await this.#pause(attempts, signal, Number.isFinite(asked) ? Math.min(Math.max(asked, 0), 10_000) : undefined)
    }
  }

  #pause(attempts: number, signal: AbortSignal, milliseconds = this.#retryDelay * 2 ** (attempts - 1)): Promise<void> {
    return delay(milliseconds, undefined, { signal })
  }

  async *#resuming(reference: Reference, blob: Descriptor, { offset, sources }: { offset: number; sources: Set<string> }, call: RegistryCall): AsyncGenerator<Uint8Array, void, undefined> {
    let position = offset
    if (position > 0 && position >= blob.size) return
    for (let attempts = 1; ; attempts++) {
      const before = position
      let from = ''
      try {
        const headers: Record<string, string> = position > 0 ? { Range: `bytes=${position}-` } : {}
        const response = await this.#fromFirst(reference, call, (base) => this.#pull((from = base), reference, `blobs/${blob.digest}`, call, headers))
        sources.add(from)
        for await (const chunk of fresh(response, position)) {
          position += chunk.length
          if (position > blob.size) throw new BerthError('data-loss', 'BLOB_TOO_LONG', `content of ${blob.digest} could not be verified: more than the expected ${blob.size} bytes`)
          yield chunk
        }
        if (position === blob.size) return
        throw new BerthError('unavailable', 'TRANSFER_BROKE', `the registry ended the transfer of ${blob.digest} after ${position} of ${blob.size} bytes`)
      } catch (thrown) {
        if (call.signal.aborted) throw call.signal.reason
        const error = thrown instanceof BerthError ? thrown : connectionError('GET', `${from}/v2/${reference.path}/blobs/${blob.digest}`, thrown)
        if (position - before >= goodProgress) attempts = 1
        const isWorthIt = isConnectionError(error) || (isKind(error, 'deadline-exceeded') && position > before)
        if (!isWorthIt || attempts >= maxAttempts) throw error
        this.#mirrors.passOver(from)
        this.#logger.info('a transfer broke and is resumed', { digest: blob.digest, position, error: error.message })
        await this.#pause(attempts, call.signal)
      }
    }
  }

  async #upload(reference: Reference, blob: { digest: string; size: number }, content: () => AsyncIterable<Uint8Array>, origin: string, call: RegistryCall): Promise<void> {
    const scopes = pushScopes(reference)
    const begin = `${origin}/v2/${reference.path}/blobs/uploads/`
    const begun = await this.#retrying(() => this.#send({ method: 'POST', url: begin, origin, scopes, call }), call.signal)
    const upload = URL.parse(begun.header('location') ?? '', begin)
    if (begun.status !== 202 || begun.header('location') === undefined || !upload) throw await this.#refused(begun, { reference, action: 'push', method: 'POST' })
    begun.discard()
    checkNotWeaker(new URL(origin), upload)
    upload.username = upload.password = ''
    upload.searchParams.set('digest', blob.digest)
    const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': String(blob.size) }
    try {
      // Credentials go to the registry that they are for, not to where it has the content sent.
      const response =
        upload.origin === new URL(origin).origin
          ? await this.#send({ method: 'PUT', url: upload.href, origin, scopes, call, headers, body: content })
          : await this.#transport.send(upload.href, { method: 'PUT', headers, body: content(), signal: call.signal })
      if (response.status !== 201) throw await this.#refused(response, { reference, action: 'push', method: 'PUT' })
      response.discard()
    } catch (error) {
      await this.#cancelUpload(reference, upload, origin, call)
      throw error
    }
  }

  /** Tells the registry, if it still listens, that an upload will not be finished. */
  async #cancelUpload(reference: Reference, upload: URL | null, origin: string, { auth }: RegistryCall): Promise<void> {
    if (upload?.origin !== new URL(origin).origin) return
    upload.searchParams.delete('digest')
    try {
      const call = { auth, signal: AbortSignal.timeout(2000) }
      const response = await this.#send({ method: 'DELETE', url: upload.href, origin, scopes: pushScopes(reference), call })
      response.discard()
    } catch (error) {
      this.#logger.debug('an upload could not be cancelled', { error: messageOf(error) }) // the registry forgets it in time
    }
  }

  async #send({ method, url, origin, scopes, call, headers = {}, body }: Request): Promise<RegistryResponse> {
    const asking = { origin, scopes, auth: call.auth, signal: call.signal }
    const attempt = (authorization: string | undefined) =>
      this.#transport.send(url, { method, headers: authorization ? { ...headers, Authorization: authorization } : headers, body: body?.(), signal: call.signal })
    const response = await attempt(this.#authorizer.known(asking))
    if (response.status !== 401) return response
    const authorization = await this.#authorizer.answer(response, asking).catch((error: unknown) => {
      response.discard()
      throw error
    })
    if (authorization === undefined) return response
    response.discard()
    return attempt(authorization)
  }

  async #refused(response: RegistryResponse, { reference, action, method }: Pick<Refusal, 'reference' | 'action' | 'method'>): Promise<BerthError> {
    const text = await response.bytes(maxErrorBody).then(String, () => '')
    return refusal({ reference, action, method, url: response.url, status: response.status, text })
  }
}

function pushScopes({ path }: Reference): string[] {
  return [`repository:${path}:pull,push`]
}

function isConnectionError(error: unknown): boolean {
  return error instanceof BerthError && ['REGISTRY_UNREACHABLE', 'TRANSFER_BROKE'].includes(error.code)
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

/** What a manifest came as. Servers that serve files know no better than `application/json`; then its own word counts. */
function manifestType(response: RegistryResponse, bytes: Uint8Array): string {
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

function readTags(body: Buffer): string[] | undefined {
  try {
    const { tags } = JSON.parse(body.toString()) as { tags?: unknown }
    // distribution says null for none
    return tags === null ? [] : Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : undefined
  } catch {
    return undefined
  }
}

async function* counted(source: AsyncIterable<Uint8Array>, onProgress: ((bytes: number) => void) | undefined): AsyncIterable<Uint8Array> {
  let bytes = 0
  for await (const chunk of source) {
    bytes += chunk.length
    yield chunk
    onProgress?.(bytes)
  }
}
