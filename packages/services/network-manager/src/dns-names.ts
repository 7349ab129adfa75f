import { addressData, nameData, recordTypes } from './dns-message.ts'

/** A container on a network, as names lead to it. */
export interface NamedEndpoint {
  id: string
  networkId: string
  /** What a reverse look-up gives, `web.front`. */
  fullName: string
  /** Every name that leads here; letter case means nothing. */
  names: readonly string[]
  /** Without prefix lengths. */
  ipv4: string | undefined
  ipv6: string | undefined
}

/** What a sandbox sees: the networks it is on, and names of its own for containers there. */
export interface NameScope {
  networks: readonly { id: string; name: string }[]
  links: readonly { networkId: string; alias: string; name: string }[]
}

/** Names of containers by network. */
export class DnsNames {
  readonly #endpoints = new Map<string, NamedEndpoint>()
  /** By network and name. */
  readonly #byName = new Map<string, Map<string, NamedEndpoint[]>>()
  /** By network and address. */
  readonly #byAddress = new Map<string, Map<string, NamedEndpoint>>()
  #turn = 0

  put(endpoint: NamedEndpoint): void {
    this.delete(endpoint.id)
    this.#endpoints.set(endpoint.id, endpoint)
    const names = mapOf(this.#byName, endpoint.networkId)
    for (const name of namesOf(endpoint)) names.set(name, [...(names.get(name) ?? []), endpoint])
    const addresses = mapOf(this.#byAddress, endpoint.networkId)
    for (const address of [endpoint.ipv4, endpoint.ipv6]) if (address) addresses.set(reverseName(address), endpoint)
  }

  delete(id: string): void {
    const endpoint = this.#endpoints.get(id)
    if (!endpoint) return
    this.#endpoints.delete(id)
    const names = mapOf(this.#byName, endpoint.networkId)
    for (const name of namesOf(endpoint)) {
      const others = (names.get(name) ?? []).filter((other) => other !== endpoint)
      if (others.length > 0) names.set(name, others)
      else names.delete(name)
    }
    const addresses = mapOf(this.#byAddress, endpoint.networkId)
    for (const [address, other] of addresses) if (other === endpoint) addresses.delete(address)
    if (names.size === 0) this.#byName.delete(endpoint.networkId)
    if (addresses.size === 0) this.#byAddress.delete(endpoint.networkId)
  }

  /**
   * The data of the records that a query asks for, none where the name has no record of the type; undefined where the name is none of ours.
   * Containers that share a name take turns in being first.
   */
  resolve({ networks, links }: NameScope, name: string, type: number): Buffer[] | undefined {
    if (name.endsWith('.arpa')) return this.#reverse(networks, name, type)
    const endpoints = this.#find({ networks, links }, name)
    if (!endpoints) return undefined
    if (type !== recordTypes.A && type !== recordTypes.AAAA) return []
    const addresses = endpoints.map((endpoint) => (type === recordTypes.A ? endpoint.ipv4 : endpoint.ipv6)).filter((address) => address !== undefined)
    const first = addresses.length > 1 ? this.#turn++ % addresses.length : 0
    return [...addresses.slice(first), ...addresses.slice(0, first)].map(addressData)
  }

  #find({ networks, links }: NameScope, name: string): NamedEndpoint[] | undefined {
    for (const network of networks) {
      const dot = name.lastIndexOf('.')
      const isQualified = dot > 0 && name.slice(dot + 1) === network.name.toLowerCase()
      for (const wanted of isQualified ? [name, name.slice(0, dot)] : [name]) {
        const linked = links.find(({ networkId, alias }) => networkId === network.id && alias.toLowerCase() === wanted)
        const names = this.#byName.get(network.id)
        const found = (linked && names?.get(linked.name.toLowerCase())) ?? names?.get(wanted)
        if (found) return found
      }
    }
    return undefined
  }

  #reverse(networks: NameScope['networks'], name: string, type: number): Buffer[] | undefined {
    for (const { id } of networks) {
      const endpoint = this.#byAddress.get(id)?.get(name)
      if (!endpoint) continue
      const data = type === recordTypes.PTR ? nameData(endpoint.fullName) : undefined
      return data ? [data] : []
    }
    return undefined
  }
}

function mapOf<T>(maps: Map<string, Map<string, T>>, key: string): Map<string, T> {
  let map = maps.get(key)
  if (!map) maps.set(key, (map = new Map()))
  return map
}

function namesOf({ names }: NamedEndpoint): Set<string> {
  return new Set(names.map((name) => name.toLowerCase()))
}

/** @see RFC 1035, section 3.5; RFC 3596, section 2.5 */
function reverseName(address: string): string {
  const data = addressData(address)
  return data.length === 4 ? `${[...data].toReversed().join('.')}.in-addr.arpa` : `${data.toString('hex').split('').toReversed().join('.')}.ip6.arpa`
}
