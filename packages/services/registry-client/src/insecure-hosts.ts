import { BlockList, isIP } from 'node:net'
import { BerthError } from '@berth/core'

/** The registries that may be spoken to without a certificate that is known, or without encryption: loopback, and those that were named. */
export class InsecureHosts {
  readonly #hosts = new Set<string>()
  readonly #networks = new BlockList()
  readonly #loopback = new BlockList()

  /**
   * @param entries Hosts, with their port if only that port is meant, and networks as CIDR.
   * @throws `invalid-argument` for what is neither.
   */
  constructor(entries: readonly string[]) {
    this.#loopback.addSubnet('127.0.0.0', 8, 'ipv4')
    this.#loopback.addAddress('::1', 'ipv6')
    for (const entry of entries) {
      const [address = '', prefix] = entry.split('/')
      const family = isIP(address)
      const bits = /^\d{1,3}$/.test(prefix ?? '') ? Number(prefix) : Infinity
      if (family && bits <= (family === 6 ? 128 : 32)) this.#networks.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4')
      else if (prefix === undefined && URL.parse(`http://${entry}`)?.host) this.#hosts.add(entry.toLowerCase())
      else throw new BerthError('invalid-argument', 'INSECURE_REGISTRY', `insecure registry ${entry} is not valid: it is neither a host nor a network`)
    }
  }

  /** Asks for a host as it stands in references and URLs: `registry:5000`, `10.0.0.1`, `[::1]:5000`. */
  has(host: string): boolean {
    return this.isNamed(host) || hostnameOf(host) === 'localhost' || isIn(this.#loopback, host)
  }

  /** The same, of what was named alone. */
  isNamed(host: string): boolean {
    return this.#hosts.has(host.toLowerCase()) || this.#hosts.has(hostnameOf(host)) || isIn(this.#networks, host)
  }
}

function hostnameOf(host: string): string {
  return URL.parse(`http://${host}`)?.hostname ?? ''
}

function isIn(networks: BlockList, host: string): boolean {
  const address = hostnameOf(host).replace(/^\[|\]$/g, '')
  const family = isIP(address)
  return family > 0 && networks.check(address, family === 6 ? 'ipv6' : 'ipv4')
}
