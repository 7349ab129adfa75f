import { setTimeout as delay } from 'node:timers/promises'
import { BerthError, isKind, type Logger, messageOf } from '@berth/core'
import type { Reference } from '@berth/oci'
import { type Asking, Authorizer, type LogIn } from './authorizer.ts'
import { Endpoints, noHost } from './endpoints.ts'
import { InsecureHosts } from './insecure-hosts.ts'
import { Proxies, type ProxyOptions } from './proxies.ts'
import type { RegistryAuth } from './registry-auth.ts'
import { type Refusal, refusal } from './registry-error.ts'
import { type Capability, type Endpoint, originOf, type RegistryHostsOf } from './registry-hosts.ts'
import type { RegistryResponse } from './registry-response.ts'
import { backOff, isPassing, maxAttempts, retryAfter } from './retry.ts'
import { tlsElsewhere } from './tls-settings.ts'
import { type SendOptions, Transport } from './transport.ts'

/** What every method takes. */
export interface RegistryCall {
  auth?: RegistryAuth | undefined
  signal: AbortSignal
}

export interface SessionOptions extends ProxyOptions {
  insecureRegistries: readonly string[]
  mirrors: readonly string[]
  hosts: RegistryHostsOf | undefined
  userAgent: string
  answerTimeout: number
  idleTimeout: number
  retryDelay: number
  logger: Logger
}

export interface RegistryRequest {
  endpoint: Endpoint
  method: string
  /** Below the endpoint's base (`app/tags/list`), or a whole URL. */
  url: string
  scopes: readonly string[]
  call: RegistryCall
  headers?: Record<string, string> | undefined
  /** Makes the body; once more after a challenge. */
  body?: (() => SendOptions['body']) | undefined
}

const maxErrorBody = 64 << 10

/** Asks registries: at the right place, with what proves who asks, and again when they are not well. */
export class RegistrySession implements Disposable {
  readonly endpoints: Endpoints
  readonly insecure: InsecureHosts
  readonly logger: Logger
  readonly #transport: Transport
  readonly #authorizer: Authorizer
  readonly #retryDelay: number
  /** Bases of the endpoints whose last answer came from the open network. */
  readonly #public = new Set<string>()

  constructor({ insecureRegistries, mirrors, hosts, userAgent, answerTimeout, idleTimeout, retryDelay, logger, ...proxies }: SessionOptions) {
    this.insecure = new InsecureHosts(insecureRegistries)
    this.#transport = new Transport({ userAgent, answerTimeout, idleTimeout, insecure: this.insecure, proxies: new Proxies(proxies) })
    this.endpoints = new Endpoints({ transport: this.#transport, insecure: this.insecure, mirrors, hosts })
    this.#authorizer = new Authorizer((url, options) => this.retrying(() => this.#transport.send(url, options), options.signal))
    this.#retryDelay = retryDelay
    this.logger = logger
  }

  /** One request. A token that is refused is replaced once, also in the middle of a long transfer's ranges. */
  async send({ endpoint, method, url, scopes, call, headers = {}, body }: RegistryRequest): Promise<RegistryResponse> {
    const target = targetOf(endpoint, url)
    const isOwnOrigin = target.origin === originOf(endpoint)
    const own = isOwnOrigin ? { ...endpoint.headers, ...headers } : headers
    const how = isOwnOrigin ? { tls: endpoint.tls, dialTimeout: endpoint.dialTimeout } : { tls: tlsElsewhere(endpoint.tls), publicOnly: this.isPublic(endpoint) }
    const attempt = async (authorization: string | undefined): Promise<RegistryResponse> => {
      const sent = authorization ? { ...own, Authorization: authorization } : own
      const response = await this.#transport.send(target.href, { ...how, method, headers: sent, body: body?.(), signal: call.signal })
      if (response.url.origin === originOf(endpoint)) this.#public[response.isPublic ? 'add' : 'delete'](endpoint.base)
      return response
    }
    // Credentials go to the registry that they are for, not to where it has content sent; and none is put over what was configured.
    if (!isOwnOrigin || Object.keys(own).some((name) => name.toLowerCase() === 'authorization')) return attempt(undefined)
    const asking = this.#asking(endpoint, scopes, call)
    const sent = await this.#authorizer.header(asking)
    const response = await attempt(sent)
    if (response.status !== 401) return response
    const authorization = await this.#authorizer.answer(response, asking, sent).catch((error: unknown) => {
      response.discard()
      throw error
    })
    if (authorization === undefined) return response
    response.discard()
    return attempt(authorization)
  }

  /** Whether an endpoint that has answered is of the open network, so that what it leads to must be, too. */
  isPublic({ base }: Endpoint): boolean {
    return this.#public.has(base)
  }

  /** Content from anywhere, without credentials. `publicOnly`: it may be at no inner address. */
  fetch(url: string, { signal, headers, publicOnly }: { signal: AbortSignal; headers: Record<string, string>; publicOnly: boolean }): Promise<RegistryResponse> {
    return this.#transport.send(url, { method: 'GET', headers, signal, publicOnly })
  }

  /** One request with what it is given to say, and nothing else. */
  ask(endpoint: Endpoint, url: string, { authorization, signal }: { authorization?: string | undefined; signal: AbortSignal }): Promise<RegistryResponse> {
    const headers = { ...endpoint.headers, ...(authorization !== undefined && { Authorization: authorization }) }
    const { tls, dialTimeout } = endpoint
    return this.retrying(() => this.#transport.send(targetOf(endpoint, url).href, { method: 'GET', headers, tls, dialTimeout, signal }), signal)
  }

  /** See {@link Authorizer.logIn}. */
  logIn(response: RegistryResponse, endpoint: Endpoint, call: RegistryCall): Promise<LogIn | undefined> {
    return this.#authorizer.logIn(response, this.#asking(endpoint, [], call))
  }

  /** Reads a document, once more if the connection breaks. */
  async persevering<T>(read: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let attempts = 1; ; attempts++) {
      try {
        return await read()
      } catch (error) {
        const isWorthIt = error instanceof BerthError && error.code === 'CONNECTION_BROKE' && !signal.aborted
        if (!isWorthIt || attempts >= maxAttempts) throw error
        await this.pause(attempts, signal)
      }
    }
  }

  /** A server that is overloaded or restarting often is well a moment later. */
  async retrying(attempt: () => Promise<RegistryResponse>, signal: AbortSignal): Promise<RegistryResponse> {
    for (let attempts = 1; ; attempts++) {
      const response = await attempt()
      const wait = retryAfter(response.header('retry-after'))
      if (!isPassing(response.status) || wait === 'too-long' || attempts >= maxAttempts) return response
      response.discard()
      await this.pause(attempts, signal, wait)
    }
  }

  async pause(attempts: number, signal: AbortSignal, milliseconds = backOff(attempts, this.#retryDelay)): Promise<void> {
    try {
      await delay(milliseconds, undefined, { signal })
    } catch {
      throw signal.reason
    }
  }

  /** The first good answer; else what the last, the registry itself, said. */
  async fromFirst<T>(reference: Reference, capability: Capability, call: RegistryCall, ask: (endpoint: Endpoint) => Promise<T>): Promise<T> {
    let last: unknown = noHost(reference.domain, capability)
    for await (const endpoint of this.endpoints.of(reference.domain, capability, call.signal)) {
      try {
        return await ask(endpoint)
      } catch (error) {
        if (call.signal.aborted || endpoint.isOwn) throw error
        last = error
        if (isKind(error, 'unavailable', 'deadline-exceeded')) this.endpoints.passOver(endpoint)
        this.logger.info('a mirror could not serve', { mirror: endpoint.base, error: messageOf(error) })
      }
    }
    throw last
  }

  /** Asks an endpoint for something of a repository. @throws the registry's refusal in Docker's words. */
  async pull(endpoint: Endpoint, reference: Reference, what: string, call: RegistryCall, headers?: Record<string, string>): Promise<RegistryResponse> {
    const request: RegistryRequest = { endpoint, method: 'GET', url: withNamespace(`${reference.path}/${what}`, endpoint), scopes: [`repository:${reference.path}:pull`], call, headers }
    const response = await this.retrying(() => this.send(request), call.signal)
    if (!response.isOk) throw await this.refused(response, { reference, action: 'pull', method: 'GET' })
    return response
  }

  async refused(response: RegistryResponse, { reference, action, method }: Pick<Refusal, 'reference' | 'action' | 'method'>): Promise<BerthError> {
    const text = await response.bytes(maxErrorBody).then(String, () => '')
    return refusal({ reference, action, method, url: response.url, status: response.status, text })
  }

  /** Ends the connections that are kept for later requests. */
  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]()
  }

  #asking(endpoint: Endpoint, scopes: readonly string[], { auth, signal }: RegistryCall): Asking {
    // Credentials for a registry are nothing to its mirrors.
    return { endpoint, scopes, auth: endpoint.isOwn ? auth : undefined, signal }
  }
}

function targetOf(endpoint: Endpoint, url: string): URL {
  return new URL(/^https?:\/\//.test(url) ? url : `${endpoint.base}/${url}`)
}

function withNamespace(path: string, { namespace }: Endpoint): string {
  return namespace === undefined ? path : `${path}${path.includes('?') ? '&' : '?'}ns=${encodeURIComponent(namespace)}`
}
