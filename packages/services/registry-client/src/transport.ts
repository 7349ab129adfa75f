import { Agent as HttpAgent, type ClientRequest, type IncomingMessage, request as requestPlain } from 'node:http'
import { Agent as HttpsAgent, request as requestEncrypted } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { BerthError, isErrno } from '@berth/core'
import type { InsecureHosts } from './insecure-hosts.ts'
import { connectionError, withoutSecrets } from './registry-error.ts'
import { RegistryResponse } from './registry-response.ts'
import { Silence } from './silence.ts'

export interface TransportOptions {
  userAgent: string
  /** Milliseconds until a registry must have begun to answer. */
  answerTimeout: number
  /** Milliseconds that a transfer may stand still. */
  idleTimeout: number
  /** Whose certificates are not checked. */
  insecure: InsecureHosts
}

export interface SendOptions {
  method: string
  headers?: Record<string, string> | undefined
  body?: string | Uint8Array | AsyncIterable<Uint8Array> | undefined
  signal: AbortSignal
  followRedirects?: boolean
}

const maxRedirects = 5
const redirectStatuses = [301, 302, 303, 307, 308]

/** What we sent failed, not the connection. */
class SourceFailure extends Error {}

/** HTTP requests that take no credentials along to other origins, never go from encrypted to plain, and end when the other side falls silent. */
export class Transport implements Disposable {
  readonly #options: TransportOptions
  readonly #plain = new HttpAgent({ keepAlive: true })
  readonly #encrypted = new HttpsAgent({ keepAlive: true })
  readonly #unchecked = new HttpsAgent({ keepAlive: true, rejectUnauthorized: false })

  constructor(options: TransportOptions) {
    this.#options = options
  }

  /** @throws `unavailable` if there is no connection, `deadline-exceeded` if there is no answer in time, the reason of the signal. */
  async send(url: string, { followRedirects = true, headers = {}, ...options }: SendOptions): Promise<RegistryResponse> {
    let target = new URL(url)
    const sent: Record<string, string> = { 'User-Agent': this.#options.userAgent, ...headers }
    for (let redirects = 0; ; redirects++) {
      const response = await this.#once(target, { ...options, headers: sent })
      const location = response.header('location')
      const isFollowed = followRedirects && location !== undefined && redirectStatuses.includes(response.status) && ['GET', 'HEAD'].includes(options.method)
      if (!isFollowed) return response
      response.discard()
      const next = URL.parse(location, target.href)
      if (redirects >= maxRedirects || !next) throw new BerthError('unavailable', 'REGISTRY_REDIRECT', `${withoutSecrets(url)} redirects ${next ? 'too often' : 'to nowhere'}`)
      checkNotWeaker(target, next)
      next.username = next.password = ''
      // What proves who we are is for the origin it was meant for.
      if (next.origin !== target.origin) delete sent['Authorization']
      target = next
    }
  }

  /** Ends the connections that are kept for later requests. */
  [Symbol.dispose](): void {
    for (const agent of [this.#plain, this.#encrypted, this.#unchecked]) agent.destroy()
  }

  async #once(url: URL, options: SendOptions): Promise<RegistryResponse> {
    const isStream = options.body !== undefined && typeof options.body !== 'string' && !(options.body instanceof Uint8Array)
    for (;;) {
      const silence = new Silence(`${withoutSecrets(url)}: the registry does not answer`)
      const ending = AbortSignal.any([options.signal, silence.signal])
      let request: ClientRequest | undefined
      try {
        options.signal.throwIfAborted()
        request = this.#open(url, options, ending)
        silence.within(this.#options.answerTimeout)
        const message = await this.#exchange(request, options, silence)
        return new RegistryResponse({ url, request, message, silence, idleTimeout: this.#options.idleTimeout, signal: options.signal })
      } catch (error) {
        silence.end()
        if (options.signal.aborted) throw options.signal.reason
        if (silence.signal.aborted) throw silence.signal.reason
        // The other side closed a kept connection just as we took it up again.
        if (request?.reusedSocket && !isStream && isErrno(error, 'ECONNRESET', 'EPIPE')) continue
        if (error instanceof SourceFailure) throw error.cause
        throw connectionError(options.method, url, error)
      }
    }
  }

  #open(url: URL, { method, headers }: SendOptions, signal: AbortSignal): ClientRequest {
    if (url.protocol === 'http:') return requestPlain(url, { method, headers, signal, agent: this.#plain })
    const agent = this.#options.insecure.has(url.host) ? this.#unchecked : this.#encrypted
    return requestEncrypted(url, { method, headers, signal, agent })
  }

  async #exchange(request: ClientRequest, { body }: SendOptions, silence: Silence): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    request.once('response', resolve)
    // Stays, since a connection may break once more after the answer.
    request.on('error', reject)
    if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) {
      request.end(body)
    } else {
      const { idleTimeout } = this.#options
      const watched = watch(body, {
        // While we send, the other side has no reason to speak.
        onChunk: () => silence.within(idleTimeout),
        onError: (error) => {
          reject(new SourceFailure('the source of an upload failed', { cause: error }))
          request.destroy()
        },
      })
      // What goes wrong with the connection is heard above.
      pipeline(watched, request).catch(() => {})
    }
    return promise
  }
}

/** @throws `permission-denied` for a way on from an encrypted address to one that is not. */
export function checkNotWeaker(from: URL, to: URL): void {
  if (to.protocol === 'https:' || (to.protocol === 'http:' && from.protocol === 'http:')) return
  throw new BerthError('permission-denied', 'REGISTRY_REDIRECT', `${withoutSecrets(from)} redirects to an unencrypted or unknown address`)
}

async function* watch(source: AsyncIterable<Uint8Array>, { onChunk, onError }: { onChunk: () => void; onError: (error: unknown) => void }): AsyncIterable<Uint8Array> {
  try {
    for await (const chunk of source) {
      onChunk()
      yield chunk
    }
  } catch (error) {
    onError(error)
    throw error
  }
}
