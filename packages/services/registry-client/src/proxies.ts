import { BlockList, isIP } from 'node:net'
import { BerthError } from '@berth/core'

export interface ProxyOptions {
  /** For `http:` URLs: `http://user:password@proxy:3128`. */
  httpProxy?: string | undefined
  /** For `https:` URLs, reached through the proxy by CONNECT. */
  httpsProxy?: string | undefined
  /** Hosts that are reached directly, with commas between: `registry:5000`, `example.com` (with all below it), `.example.com` (only those), `10.0.0.0/8`, `*`. */
  noProxy?: string | undefined
}

/** Which proxy a URL is reached through. This machine is always reached directly. @see Go, golang.org/x/net/http/httpproxy, whose rules dockerd has */
export class Proxies {
  readonly #options: ProxyOptions
  readonly #networks = new BlockList()
  readonly #names: { name: string; port: string; onlyBelow: boolean }[] = []

  /** @throws `invalid-argument` for a proxy that is no URL; it is not repeated. */
  constructor(options: ProxyOptions) {
    this.#options = { ...options, httpProxy: checked(options.httpProxy), httpsProxy: checked(options.httpsProxy) }
    for (const entry of (options.noProxy ?? '').split(',')) this.#add(entry.trim().toLowerCase())
  }

  for(url: URL): string | undefined {
    const proxy = url.protocol === 'https:' ? this.#options.httpsProxy : this.#options.httpProxy
    return proxy === undefined || this.#isDirect(url) ? undefined : proxy
  }

  #add(entry: string): void {
    const [address = '', prefix] = entry.split('/')
    const family = isIP(address)
    if (entry === '') return
    if (family) this.#networks.addSubnet(address, Math.min(Number(prefix ?? 128) || 0, family === 6 ? 128 : 32), family === 6 ? 'ipv6' : 'ipv4')
    else {
      const [, name = '', port = ''] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? []
      this.#names.push({ name: name.replace(/^\*?\./, '').replace(/^\[|\]$/g, ''), port, onlyBelow: /^\*?\./.test(name) })
    }
  }

  #isDirect({ hostname, port, protocol }: URL): boolean {
    const host = hostname.replace(/^\[|\]$/g, '').toLowerCase()
    const family = isIP(host)
    if (host === 'localhost' || host === '::1' || (family === 4 && host.startsWith('127.'))) return true
    if (family && this.#networks.check(host, family === 6 ? 'ipv6' : 'ipv4')) return true
    const actual = port || (protocol === 'https:' ? '443' : '80')
    return this.#names.some((entry) => {
      if (entry.port && entry.port !== actual) return false
      return entry.name === '*' || (!entry.onlyBelow && host === entry.name) || (!family && host.endsWith(`.${entry.name}`))
    })
  }
}

function checked(proxy: string | undefined): string | undefined {
  if (!proxy) return undefined
  const url = URL.parse(proxy.includes('://') ? proxy : `http://${proxy}`)
  if (url && ['http:', 'https:'].includes(url.protocol)) return url.href
  throw new BerthError('invalid-argument', 'PROXY_INVALID', 'an HTTP proxy is given that is not the URL of one, as http://proxy:3128')
}
