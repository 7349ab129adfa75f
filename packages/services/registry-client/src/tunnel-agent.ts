import { request as requestPlain, type RequestOptions } from 'node:http'
import { Agent, request as requestEncrypted } from 'node:https'
import type { Duplex } from 'node:stream'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { basicAuthorization } from './registry-auth.ts'

type Connected = (error: Error | null, socket?: Duplex) => void

/** What a request through a tunnel is given besides: Node keeps its `signal` from the agent. */
export interface TunnelRequestOptions extends RequestOptions {
  /** Ends the attempt to connect. */
  connectSignal?: AbortSignal
}


/**
 * Reaches HTTPS servers through an HTTP proxy, by CONNECT. Node's own agent can since 24.5, but does not let go of a proxy that is silent.
 * @see RFC 9110, section 9.3.6
 */
export class TunnelAgent extends Agent {
  readonly #proxy: URL

  constructor(proxy: string, options: ConstructorParameters<typeof Agent>[0]) {
    super(options)
    this.#proxy = new URL(proxy)
  }

  /** By the options of a request. */
  override createConnection(options: ConnectionOptions & TunnelRequestOptions, connected: Connected): undefined {
    const host = options.host?.includes(':') ? `[${options.host}]` : (options.host ?? '')
    const authority = `${host}:${options.port ?? 443}`
    const { connectSignal: signal } = options
    const request = requestProxy(this.#proxy)({ ...addressOf(this.#proxy), method: 'CONNECT', path: authority, headers: { Host: authority, ...proxyHeaders(this.#proxy) }, agent: false, ...(signal && { signal }) })
    request.once('error', (error) => connected(error))
    request.once('connect', ({ statusCode }, socket) => {
      if (statusCode === 200) return connected(null, connectTls({ ...options, socket }))
      socket.destroy()
      return connected(Object.assign(new Error('the proxy refuses'), { code: 'ERR_PROXY_TUNNEL' }))
    })
    request.end()
    return undefined
  }
}

/** The options by which a request for an `http:` URL is given to a proxy. */
export function throughProxy(proxy: string, url: URL, headers: Record<string, string>): RequestOptions {
  const server = new URL(proxy)
  return { ...addressOf(server), path: `${url.origin}${url.pathname}${url.search}`, headers: { Host: url.host, ...proxyHeaders(server), ...headers } }
}

/** How a proxy is spoken to. */
export function requestProxy(proxy: URL): typeof requestPlain {
  return proxy.protocol === 'https:' ? requestEncrypted : requestPlain
}

function addressOf({ hostname, port, protocol }: URL): { host: string; port: string } {
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port || (protocol === 'https:' ? '443' : '80') }
}

function proxyHeaders({ username, password }: URL): Record<string, string> {
  return username ? { 'Proxy-Authorization': basicAuthorization(decodeURIComponent(username), decodeURIComponent(password)) } : {}
}
