import { randomBytes } from 'node:crypto'
import { BerthError } from '@berth/core'
import { type Cidr, cidrOf, formatCidr, overlaps, parseCidr } from './cidr.ts'

/** A range that subnets of one size are cut from. */
export interface AddressPool {
  /** In CIDR notation. */
  base: string
  /** Prefix length of the subnets. */
  size: number
}

/** Docker's own. */
export const defaultPools: readonly AddressPool[] = [
  ...Array.from({ length: 15 }, (_, index) => ({ base: `172.${17 + index}.0.0/16`, size: 16 })),
  { base: '192.168.0.0/16', size: 20 },
]

/** The first subnet of the pools that overlaps none of `taken`. Throws `resource-exhausted` when there is none. */
export function chooseSubnet(pools: readonly AddressPool[], taken: readonly Cidr[]): string {
  for (const { base, size } of pools) {
    const range = parseCidr(base)
    if (!range) throw new BerthError('invalid-argument', 'ADDRESS_POOL_INVALID', `invalid address pool: ${base}`)
    let next = range.first
    while (next <= range.last) {
      const subnet = cidrOf({ family: range.family, value: next }, size)
      const obstacle = taken.find((other) => overlaps(subnet, other))
      if (!obstacle) return formatCidr(subnet)
      next = (obstacle.last > subnet.last ? obstacle.last : subnet.last) + 1n
    }
  }
  throw new BerthError('resource-exhausted', 'ADDRESS_POOLS_EXHAUSTED', 'all predefined address pools have been fully subnetted')
}

/** A subnet that nobody else has, in all probability. @see RFC 4193, section 3.2.2 */
export function chooseUniqueLocalSubnet(): string {
  const value = BigInt(`0xfd${randomBytes(5).toString('hex')}`) << 80n
  return formatCidr(cidrOf({ family: 6, value }, 64))
}
