import { setTimeout as delay } from 'node:timers/promises'
import type { AuthConfig } from '@berth/api-types'
import { BerthError, isKind, type Logger, silent } from '@berth/core'
import { type Descriptor, digestOf, formatReference, maxDocumentSize, mediaTypes, type Reference, verified } from '@berth/oci'
import { Authorizer, limitedBytes, limitedText } from './authorizer.ts'
import { Endpoints } from './endpoints.ts'
import { connectionError, refusal, withoutSecrets } from './registry-error.ts'
import { type SendOptions, Transport } from './transport.ts'

export interface RegistryClientOptions {
  /** Hosts (`registry:5000`) and networks (CIDR) that may be spoken to unencrypted; loopback always may. */
  insecureRegistries?: readonly string[]
  /** Origins that are asked before Docker Hub, in their order. */
  mirrors?: readonly string[]
  userAgent?: string
  /** Milliseconds until a registry must have begun to answer; 30 s. */
  answerTimeout?: number
  /** Milliseconds that a transfer may stand still; 60 s. */
  idleTimeout?: number
  logger?: Logger
}

export interface RegistryCall {
  auth?: AuthConfig | undefined
  signal: AbortSignal
}

interface Request extends Pick<SendOptions, 'method' | 'headers' | 'body'> {
  url: string
  origin: string
  scopes: readonly string[]
  call: RegistryCall
  /** A body that can be sent once more after a challenge. */
  again?: () => SendOptions['body']
}

/** How often a transfer that broke, or a request that met an ailing server, is tried again. */
const maxAttempts = 5
const accept = [mediaTypes.ociManifest, mediaTypes.ociIndex, mediaTypes.dockerManifest, mediaTypes.dockerIndex].join(', ')
const maxErrorBody = 64 << 10

/** Speaks to registries. @see OCI distribution specification 1.1 */
export class RegistryClient {
  readonly #transport: Transport
  readonly #endpoints: Endpoints
  readonly #authorizer: Authorizer
  readonly #mirrors: readonly string[]
  readonly #logger: Logger

  constructor({ insecureRegistries = [], mirrors = [], userAgent = 'berth/0.1.0', answerTimeout = 30_000, idleTimeout = 60_000, logger = silent }: RegistryClientOptions = {}) {
    this.#transport = new Transport({ userAgent, answerTimeout, idleTimeout })
    this.#endpoints = new Endpoints(this.#transport, insecureRegistries)
    this.#authorizer = new Authorizer(this.#transport)
    this.#mirrors = mirrors.map((mirror) => {
      const url = URL.parse(mirror)
      if (!url || !['http:', 'https:'].includes(url.protocol) || url.search || url.hash) throw new BerthError('invalid-argument', 'MIRROR_INVALID', `invalid mirror: "${mirror}" is not the URL of a registry`)
      return mirror.replace(/\/+$/, '')
    })
    this.#logger = logger
  }

  /** A manifest or an index by tag or digest. Its bytes are those of the digest: asked for by digest, others are `data-loss`. */
  async manifest(reference: Reference, call: RegistryCall): Promise<{ digest: string; mediaType: string; bytes: Uint8Array }> {
    return this.#fromFirst(reference, call, async (origin) => {
      const response = await this.#pull(origin, reference, `manifests/${reference.digest ?? reference.tag ?? 'latest'}`, call, { Accept: accept })
      const bytes = await limitedBytes(response, maxDocumentSize)
      const claimed = reference.digest ?? response.headers.get('docker-content-digest') ?? undefined
      const digest = claimed?.startsWith('sha512:') ? digestOf(bytes, 'sha512') : digestOf(bytes)
      if (claimed !== undefined && claimed !== digest) {
        throw new BerthError('data-loss', 'DIGEST_MISMATCH', `manifest verification failed for digest ${claimed.slice(0, 140)}: the registry sent other content`)
      }
      return { digest, mediaType: (response.headers.get('content-type') ?? '').split(';')[0]?.trim() ?? '', bytes }
    })
  }

  /** The tags of a repository, all pages. */
  async tags(reference: Reference, call: RegistryCall): Promise<string[]> {
    return this.#fromFirst(reference, call, async (origin) => {
      const tags: string[] = []
      let page: string | undefined = 'tags/list?n=1000'
      while (page !== undefined) {
        const response: Response = await this.#pull(origin, reference, page, call)
        const body = JSON.parse(await limitedText(response, maxDocumentSize)) as { tags?: unknown }
        if (Array.isArray(body.tags)) tags.push(...body.tags.filter((tag) => typeof tag === 'string'))
        const last: string | undefined = /<[^>]*[?&]last=([^&>]+)[^>]*>;\s*rel="?next/.exec(response.headers.get('link') ?? '')?.[1]
        page = last === undefined || tags.length > 100_000 ? undefined : `tags/list?n=1000&last=${last}`
      }
      return tags
    })
  }

  /**
   * A blob's bytes from an offset on. A transfer that breaks is resumed where it broke. The size is checked always, the digest where the blob is read from its beginning;
   * who reads from an offset checks the whole.
   */
  async *blob(reference: Reference, blob: Descriptor, call: RegistryCall & { offset?: number }): AsyncGenerator<Uint8Array, void, undefined> {
    const { offset = 0 } = call
    const bytes = this.#resuming(reference, blob, offset, call)
    yield* offset === 0 ? verified(bytes, { digest: blob.digest, size: blob.size }) : bytes
  }

  async hasBlob(reference: Reference, digest: string, call: RegistryCall): Promise<boolean> {
    const origin = await this.#endpoints.originOf(reference.domain, call.signal)
    const url = `${origin}/v2/${reference.path}/blobs/${digest}`
    const response = await this.#send({ method: 'HEAD', url, origin, scopes: pushScopes(reference), call })
    if (response.status === 404) return false
    if (!response.ok) throw await this.#refused(reference, response, url)
    return true
  }

  /** Whether the registry took the blob over from another of its repositories. */
  async mountBlob(reference: Reference, digest: string, { from, ...call }: RegistryCall & { from: string }): Promise<boolean> {
    const origin = await this.#endpoints.originOf(reference.domain, call.signal)
    const url = `${origin}/v2/${reference.path}/blobs/uploads/?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`
    const response = await this.#send({ method: 'POST', url, origin, scopes: [...pushScopes(reference), `repository:${from}:pull`], call, headers: { 'Content-Length': '0' } })
    await response.body?.cancel()
    if (response.status === 201) return true
    const upload = response.headers.get('location')
    if (response.status === 202 && upload) await this.#cancelUpload(reference, new URL(upload, origin), origin, call)
    return false
  }

  async putBlob(
    reference: Reference,
    blob: { digest: string; size: number },
    content: () => AsyncIterable<Uint8Array>,
    { onProgress, ...call }: RegistryCall & { onProgress?: ((bytes: number) => void) | undefined },
  ): Promise<void> {
    const origin = await this.#endpoints.originOf(reference.domain, call.signal)
    const scopes = pushScopes(reference)
    const begin = `${origin}/v2/${reference.path}/blobs/uploads/`
    const begun = await this.#send({ method: 'POST', url: begin, origin, scopes, call, headers: { 'Content-Length': '0' } })
    const location = begun.headers.get('location')
    if (begun.status !== 202 || !location) throw await this.#refused(reference, begun, begin)
    await begun.body?.cancel()
    const upload = new URL(location, origin)
    upload.searchParams.set('digest', blob.digest)
    const body = (): AsyncIterable<Uint8Array> => counted(content(), onProgress)
    const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': String(blob.size) }
    // Credentials go to the registry that they are for, not to where it has the content sent.
    const sameOrigin = upload.origin === new URL(origin).origin
    const response = sameOrigin
      ? await this.#send({ method: 'PUT', url: String(upload), origin, scopes, call, headers, again: body })
      : await this.#transport.send(String(upload), { method: 'PUT', headers, body: body(), signal: call.signal })
    if (response.status !== 201) throw await this.#refused(reference, response, String(upload))
    await response.body?.cancel()
  }

  async putManifest(reference: Reference, manifest: { bytes: Uint8Array; mediaType: string }, call: RegistryCall): Promise<void> {
    const origin = await this.#endpoints.originOf(reference.domain, call.signal)
    const url = `${origin}/v2/${reference.path}/manifests/${reference.tag ?? reference.digest ?? 'latest'}`
    const body = manifest.bytes as Uint8Array<ArrayBuffer>
    const response = await this.#send({ method: 'PUT', url, origin, scopes: pushScopes(reference), call, headers: { 'Content-Type': manifest.mediaType }, again: () => body })
    if (response.status !== 201) throw await this.#refused(reference, response, url)
    await response.body?.cancel()
  }

  /** Whether a registry takes these credentials, as `docker login` asks. Throws `unauthenticated` when it does not. */
  async checkCredentials(domain: string, call: RegistryCall): Promise<void> {
    const origin = await this.#endpoints.originOf(domain, call.signal)
    const response = await this.#send({ method: 'GET', url: `${origin}/v2/`, origin, scopes: [], call })
    await response.body?.cancel()
    if (response.status === 401 || response.status === 403) throw new BerthError('unauthenticated', 'LOGIN_FAILED', `Get "${origin}/v2/": unauthorized: incorrect username or password`)
    if (!response.ok) throw new BerthError('unavailable', 'REGISTRY_REFUSED', `login attempt to ${origin}/v2/ failed with status: ${response.status}`)
  }

  // --------------------------------------------------------------------------------------------------------------------------------------

  /** Mirrors first, for Docker Hub; the last answer counts. */
  async #fromFirst<T>(reference: Reference, call: RegistryCall, ask: (origin: string) => Promise<T>): Promise<T> {
    for (const mirror of reference.domain === 'docker.io' ? this.#mirrors : []) {
      try {
        return await ask(mirror)
      } catch (error) {
        if (call.signal.aborted) throw error
        this.#logger.info('a mirror could not serve', { mirror, error })
      }
    }
    return ask(await this.#endpoints.originOf(reference.domain, call.signal))
  }

  async #pull(origin: string, reference: Reference, what: string, call: RegistryCall, headers?: Record<string, string>): Promise<Response> {
    const url = `${origin}/v2/${reference.path}/${what}`
    const scopes = [`repository:${reference.path}:pull`]
    const mirrored = this.#mirrors.includes(origin)
    const response = await this.#retrying(() => this.#send({ method: 'GET', url, origin, scopes, call: mirrored ? { signal: call.signal } : call, headers }), call.signal)
    if (!response.ok) throw await this.#refused(reference, response, url)
    return response
  }

  /** A server that is overloaded or restarting often is well a moment later. */
  async #retrying(attempt: () => Promise<Response>, signal: AbortSignal): Promise<Response> {
    for (let attempts = 1; ; attempts++) {
      const response = await attempt()
      if (![429, 502, 503, 504].includes(response.status) || attempts >= maxAttempts) return response
      await response.body?.cancel()
      const asked = Number(response.headers.get('retry-after') ?? NaN) * 1000
      await delay(Number.isFinite(asked) ? Math.min(Math.max(asked, 0), 10_000) : 200 * 2 ** attempts, undefined, { signal })
    }
  }

  async *#resuming(reference: Reference, blob: Descriptor, offset: number, call: RegistryCall): AsyncGenerator<Uint8Array, void, undefined> {
    let position = offset
    for (let failures = 0; position < blob.size || blob.size === 0; ) {
      const before = position
      try {
        const range: Record<string, string> = position > 0 ? { Range: `bytes=${position}-` } : {}
        const response = await this.#fromFirst(reference, call, (origin) => this.#pull(origin, reference, `blobs/${blob.digest}`, call, range))
        // A server that knows no ranges sends the whole once more.
        let skip = response.status === 206 ? 0 : position
        for await (const chunk of response.body ?? []) {
          const fresh = chunk.subarray(Math.min(skip, chunk.length))
          skip -= chunk.length - fresh.length
          if (fresh.length === 0) continue
          position += fresh.length
          if (position > blob.size) throw new BerthError('data-loss', 'BLOB_TOO_LONG', `content of ${blob.digest} could not be verified: more than the expected ${blob.size} bytes`)
          yield fresh
        }
        if (position === blob.size) return
        throw new BerthError('unavailable', 'TRANSFER_BROKE', `the registry ended the transfer of ${blob.digest} after ${position} of ${blob.size} bytes`)
      } catch (error) {
        if (call.signal.aborted || isKind(error, 'data-loss', 'not-found', 'permission-denied', 'unauthenticated')) throw error
        failures = position > before ? 1 : failures + 1
        if (failures >= maxAttempts) throw error instanceof BerthError ? error : connectionError('GET', `https://${reference.domain}/v2/${reference.path}/blobs/${blob.digest}`, error)
        this.#logger.info('a transfer broke and is resumed', { digest: blob.digest, position, error })
        await delay(100 * 2 ** failures, undefined, { signal: call.signal })
      }
    }
  }

  async #send({ method, url, origin, scopes, call, headers = {}, body, again }: Request): Promise<Response> {
    const asking = { origin, scopes, auth: call.auth, signal: call.signal }
    const attempt = async (authorization: string | undefined): Promise<Response> => {
      try {
        return await this.#transport.send(url, { method, headers: authorization ? { ...headers, Authorization: authorization } : headers, body: again ? again() : body, signal: call.signal })
      } catch (error) {
        if (call.signal.aborted || error instanceof BerthError) throw error
        throw connectionError(method, url, error)
      }
    }
    const response = await attempt(this.#authorizer.known(asking))
    if (response.status !== 401) return response
    const authorization = await this.#authorizer.answer(response.headers.get('www-authenticate'), asking)
    if (authorization === undefined) return response
    await response.body?.cancel()
    return attempt(authorization)
  }

  async #refused(reference: Reference, response: Response, url: string): Promise<BerthError> {
    const text = await limitedText(response, maxErrorBody).catch(() => '')
    return refusal(reference, response.status, text, { url: withoutSecrets(url), wanted: `manifest for ${formatReference(reference).replace(/^docker\.io\/(library\/)?/, '')}` })
  }

  async #cancelUpload(reference: Reference, upload: URL, origin: string, call: RegistryCall): Promise<void> {
    if (upload.origin !== new URL(origin).origin) return
    try {
      const response = await this.#send({ method: 'DELETE', url: String(upload), origin, scopes: pushScopes(reference), call })
      await response.body?.cancel()
    } catch (error) {
      this.#logger.debug('an upload could not be cancelled', { error }) // the registry forgets it in time
    }
  }
}

function pushScopes({ path }: Reference): string[] {
  return [`repository:${path}:pull,push`]
}

async function* counted(source: AsyncIterable<Uint8Array>, onProgress: ((bytes: number) => void) | undefined): AsyncIterable<Uint8Array> {
  let bytes = 0
  for await (const chunk of source) {
    bytes += chunk.length
    yield chunk
    onProgress?.(bytes)
  }
}
