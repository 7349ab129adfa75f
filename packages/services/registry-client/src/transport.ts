import { lookup } from 'node:dns'
import { Agent as HttpAgent, type ClientRequest, type IncomingMessage, request as requestPlain } from 'node:http'
import { type AgentOptions, Agent as HttpsAgent, request as requestEncrypted } from 'node:https'
import type { LookupFunction } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { BerthError, isErrno } from '@berth/core'
import type { InsecureHosts } from './insecure-hosts.ts'
import type { Proxies } from './proxies.ts'
import { isInnerHost, isPublicAddress } from './public-address.ts'
import { connectionError, withoutSecrets } from './registry-error.ts'
import { RegistryResponse } from './registry-response.ts'
import { Silence } from './silence.ts'
import { requestProxy, throughProxy, TunnelAgent, type TunnelRequestOptions } from './tunnel-agent.ts'
import { secureOptions, tlsElsewhere, type TlsSettings } from './tls-settings.ts'

export interface TransportOptions {
  userAgent: string
  /** Milliseconds until a registry must have begun to answer. */
  answerTimeout: number
  /** Milliseconds that a transfer may stand still. */
  idleTimeout: number
  /** Whose certificates are not checked. */
  insecure: InsecureHosts
  proxies: Proxies
}

export interface SendOptions {
  method: string
  headers?: Record<string, string> | undefined
  body?: string | Uint8Array | AsyncIterable<Uint8Array> | undefined
  signal: AbortSignal
  followRedirects?: boolean
  /** For this origin; others that it leads to get what `tlsElsewhere` leaves. */
  tls?: TlsSettings | undefined
  /** Milliseconds until there must be a connection. */
  dialTimeout?: number | undefined
  /** It was somebody of the open network who named this address: it may be none of a network behind it. */
  publicOnly?: boolean | undefined
}

const maxRedirects = 5
const redirectStatuses = [301, 302, 303, 307, 308]
/** What goes on with a redirect to another origin; all else may be meant for the first alone. */
const harmlessHeaders = new Set(['accept', 'range', 'user-agent'])

/** What we sent failed, not the connection. */
class SourceFailure extends Error {}

/** HTTP requests that take no credentials along to other origins, never go from encrypted to plain, and end when the other side falls silent. */
export class Transport implements Disposable {
  readonly #options: TransportOptions
  readonly #agents = new Map<string, HttpAgent>()

  constructor(options: TransportOptions) {
    this.#options = options
  }

  /**
   * @throws `unavailable` if there is no connection, `deadline-exceeded` if there is no answer in time, `permission-denied` for an address that may not
   *   be led to, the reason of the signal.
   */
  async send(url: string, { followRedirects = true, headers = {}, ...options }: SendOptions): Promise<RegistryResponse> {
    let target = new URL(url)
    let { tls, dialTimeout, publicOnly = false } = options
    let sent: Record<string, string> = { 'User-Agent': this.#options.userAgent, ...headers }
    for (let redirects = 0; ; redirects++) {
      const response = await this.#once(target, { ...options, headers: sent, tls, dialTimeout, publicOnly })
      const location = response.header('location')
      const isFollowed = followRedirects && location !== undefined && redirectStatuses.includes(response.status) && ['GET', 'HEAD'].includes(options.method)
      if (!isFollowed) return response
      response.discard()
      const next = URL.parse(location, target.href)
      if (redirects >= maxRedirects || !next) throw new BerthError('unavailable', 'REGISTRY_REDIRECT', `${withoutSecrets(url)} redirects ${next ? 'too often' : 'to nowhere'}`)
      checkNotWeaker(target, next)
      next.username = next.password = ''
      if (next.origin !== target.origin) {
        // What proves who we are is for the origin it was meant for.
        sent = Object.fromEntries(Object.entries(sent).filter(([name]) => harmlessHeaders.has(name.toLowerCase())))
        tls = tlsElsewhere(tls)
        dialTimeout = undefined
        publicOnly ||= response.isPublic
      }
      target = next
    }
  }

  /** Ends the connections that are kept for later requests. */
  [Symbol.dispose](): void {
    for (const agent of this.#agents.values()) agent.destroy()
  }

  async #once(url: URL, options: SendOptions): Promise<RegistryResponse> {
    const isStream = options.body !== undefined && typeof options.body !== 'string' && !(options.body instanceof Uint8Array)
    const proxy = this.#options.proxies.for(url)
    const publicOnly = options.publicOnly === true && !this.#options.insecure.isNamed(url.host)
    if (publicOnly && isInnerHost(url.hostname)) throw innerAddress(url)
    for (;;) {
      const silence = new Silence(`${withoutSecrets(url)}: the registry does not answer`)
      const ending = AbortSignal.any([options.signal, silence.signal])
      let request: ClientRequest | undefined
      try {
        options.signal.throwIfAborted()
        request = this.#open(url, { ...options, signal: ending, publicOnly }, proxy)
        silence.within(this.#options.answerTimeout)
        const message = await this.#exchange(request, options, silence)
        // Of what is behind a proxy only the name is known.
        const isPublic = proxy === undefined ? isPublicAddress(message.socket.remoteAddress ?? '') : !isInnerHost(url.hostname)
        return new RegistryResponse({ url, request, message, silence, isPublic, idleTimeout: this.#options.idleTimeout, signal: options.signal })
      } catch (error) {
        silence.end()
        request?.destroy()
        if (options.signal.aborted) throw options.signal.reason
        if (silence.signal.aborted) throw silence.signal.reason
        // The other side closed a kept connection just as we took it up again.
        if (request?.reusedSocket && !isStream && isErrno(error, 'ECONNRESET', 'EPIPE')) continue
        if (error instanceof SourceFailure) throw error.cause
        throw error instanceof BerthError ? error : connectionError(options.method, url, error)
      }
    }
  }

  #open(url: URL, { method, headers = {}, signal, tls, publicOnly = false }: SendOptions, proxy: string | undefined): ClientRequest {
    const isPlain = url.protocol === 'http:'
    const settings = isPlain ? {} : (tls ?? { skipVerify: this.#options.insecure.has(url.host) })
    const agent = this.#agentFor({ isPlain, settings, publicOnly, proxy })
    const options: TunnelRequestOptions = { method, headers, signal, connectSignal: signal, agent }
    if (!isPlain || proxy === undefined) return (isPlain ? requestPlain : requestEncrypted)(url, options)
    return requestProxy(new URL(proxy))({ ...options, ...throughProxy(proxy, url, headers) })
  }

  /** Connections are shared only by requests that would have made them in the same way. */
  #agentFor(how: { isPlain: boolean; settings: TlsSettings; publicOnly: boolean; proxy: string | undefined }): HttpAgent {
    const key = JSON.stringify(how)
    const known = this.#agents.get(key)
    if (known) return known
    const { isPlain, settings, publicOnly, proxy } = how
    const options = { keepAlive: true, ...(publicOnly && proxy === undefined && { lookup: lookupPublic }) }
    const agent = isPlain ? plainAgent(proxy, options) : secureAgent(proxy, { ...options, ...secureOptions(settings) })
    this.#agents.set(key, agent)
    return agent
  }

  async #exchange(request: ClientRequest, { body, dialTimeout }: SendOptions, silence: Silence): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    request.once('response', resolve)
    // Stays, since a connection may break once more after the answer.
    request.on('error', reject)
    if (dialTimeout !== undefined) limitDial(request, dialTimeout)
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

function plainAgent(proxy: string | undefined, options: AgentOptions): HttpAgent {
  return proxy?.startsWith('https:') ? new HttpsAgent(options) : new HttpAgent(options)
}

function secureAgent(proxy: string | undefined, options: AgentOptions): HttpAgent {
  return proxy === undefined ? new HttpsAgent(options) : new TunnelAgent(proxy, options)
}

/** @throws `permission-denied` for a way on from an encrypted address to one that is not. */
export function checkNotWeaker(from: URL, to: URL): void {
  if (to.protocol === 'https:' || (to.protocol === 'http:' && from.protocol === 'http:')) return
  throw new BerthError('permission-denied', 'REGISTRY_REDIRECT', `${withoutSecrets(from)} redirects to an unencrypted or unknown address`)
}

function innerAddress(url: { host: string }): BerthError {
  return new BerthError('permission-denied', 'REGISTRY_INNER_ADDRESS', `a public registry leads to ${url.host}, which is an address of this machine or of a private network`)
}

/** Resolves names for connections to the open network: where a name has any other address, there is none. */
const lookupPublic: LookupFunction = (hostname, options, done) => {
  lookup(hostname, options, (error, address, family) => {
    const addresses = Array.isArray(address) ? (address as { address: string }[]).map((each) => each.address) : [address]
    if (!error && !addresses.every(isPublicAddress)) done(innerAddress({ host: hostname }), '', 0)
    else done(error, address, family)
  })
}

function limitDial(request: ClientRequest, milliseconds: number): void {
  request.once('socket', (socket) => {
    if (!socket.connecting) return
    const timer = setTimeout(() => request.destroy(Object.assign(new Error('dial timeout'), { code: 'ETIMEDOUT' })), milliseconds)
    for (const event of ['connect', 'close'] as const) socket.once(event, () => clearTimeout(timer))
  })
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
