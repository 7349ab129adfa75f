import { contains, formatAddress, parseAddress, parseCidr } from './cidr.ts'
import type { Pool } from './network-records.ts'

/**
 * Chooses free addresses of subnets, one after the other, so that one which was given back is not handed out again at once. What is taken is for
 * the caller to say: the records of endpoints are the only truth about it.
 */
export class AddressAllocator {
  /** The address chosen last, by network and subnet. */
  readonly #last = new Map<string, bigint>()

  /** Undefined when all of the subnet (or of its range for containers) is taken. */
  choose(networkId: string, pool: Pool, taken: ReadonlySet<string>): string | undefined {
    const subnet = parseCidr(pool.subnet)
    const range = parseCidr(pool.range ?? pool.subnet)
    if (!subnet || !range) return undefined
    const { family } = subnet
    // A subnet's own address and the broadcast address are nobody's; /31 and /32 (RFC 3021) have neither.
    const isPointToPoint = subnet.last - subnet.first < 2n
    let { first, last } = range
    if (!isPointToPoint && first === subnet.first) first++
    if (!isPointToPoint && family === 4 && last === subnet.last) last--
    const reserved = new Set([pool.gateway, ...Object.values(pool.auxiliary)])
    const key = `${networkId} ${pool.subnet}`
    const size = last - first + 1n
    const start = (this.#last.get(key) ?? first - 1n) + 1n
    for (let step = 0n; step < size; step++) {
      const value = first + ((start - first + step) % size)
      const address = formatAddress({ family, value })
      if (taken.has(address) || reserved.has(address)) continue
      this.#last.set(key, value)
      return address
    }
    return undefined
  }

  forget(networkId: string): void {
    for (const key of this.#last.keys()) if (key.startsWith(`${networkId} `)) this.#last.delete(key)
  }
}

/** The pool that an address can be of. */
export function poolFor(pools: readonly Pool[], address: string): Pool | undefined {
  const parsed = parseAddress(address)
  return parsed && pools.find(({ subnet }) => contains(parseCidr(subnet)!, parsed))
}

/** With the prefix length of its subnet, `172.18.0.2/16`. */
export function withPrefix(pool: Pool, address: string): string {
  return `${address}/${pool.subnet.split('/')[1]}`
}
