import { BlockList, isIP } from 'node:net'
import { BerthError } from '@berth/core'
import { connectionError } from './registry-error.ts'
import type { Transport } from './transport.ts'

/** Finds out where a registry is reached, and whether it may be spoken to without encryption. */
export class Endpoints {
  readonly #transport: Transport
  readonly #insecure: ReadonlySet<string>
  readonly #insecureNetworks = new BlockList()
  readonly #known = new Map<string, Promise<string>>()

  /** `insecure`: hosts, with their port if they have one, and networks as CIDR. */
  constructor(transport: Transport, insecure: readonly string[]) {
    this.#transport = transport
    for (const entry of insecure.filter((text) => text.includes('/'))) {
      const [address = '', prefix = ''] = entry.split('/')
      const family = isIP(address)
      if (!family || !/^\d{1,3}$/.test(prefix)) throw new BerthError('invalid-argument', 'INSECURE_REGISTRY', `insecure registry ${entry} is not valid: it is neither a host nor a network`)
      this.#insecureNetworks.addSubnet(address, Number(prefix), family === 6 ? 'ipv6' : 'ipv4')
    }
    this.#insecureNetworks.addSubnet('127.0.0.0', 8, 'ipv4')
    this.#insecureNetworks.addAddress('::1', 'ipv6')
    this.#insecure = new Set(insecure)
  }

  /** The origin of a registry by its domain in references. */
  async originOf(domain: string, signal: AbortSignal): Promise<string> {
    const host = domain === 'docker.io' ? 'registry-1.docker.io' : domain
    if (!this.#mayBePlain(host)) return `https://${host}`
    const known = this.#known.get(host) ?? this.#probe(host, signal)
    this.#known.set(host, known)
    try {
      return await known
    } catch (error) {
      this.#known.delete(host)
      throw error
    }
  }

  #mayBePlain(host: string): boolean {
    const name = URL.parse(`http://${host}`)?.hostname.replace(/^\[|\]$/g, '') ?? ''
    const family = isIP(name)
    return name === 'localhost' || this.#insecure.has(host) || this.#insecure.has(name) || (family > 0 && this.#insecureNetworks.check(name, family === 6 ? 'ipv6' : 'ipv4'))
  }

  async #probe(host: string, signal: AbortSignal): Promise<string> {
    let last: unknown
    for (const origin of [`https://${host}`, `http://${host}`]) {
      try {
        const response = await this.#transport.send(`${origin}/v2/`, { method: 'GET', signal })
        await response.body?.cancel()
        return origin
      } catch (error) {
        if (signal.aborted) throw error
        last = error
      }
    }
    if (last instanceof BerthError) throw last
    throw connectionError('GET', `http://${host}/v2/`, last)
  }
}
