import type { IPAMConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'
import { chooseSubnet, chooseUniqueLocalSubnet } from './choose-subnet.ts'
import { type Cidr, contains, formatAddress, formatCidr, overlaps, parseAddress, parseCidr } from './cidr.ts'
import { type Context, invalid } from './context.ts'
import type { Pool } from './network-records.ts'

const wrong = (message: string): BerthError => invalid('NETWORK_CONFIG_INVALID', `invalid network config:\n${message}`)

function addressIn(subnet: Cidr, text: string, what: string): string {
  const address = parseAddress(text)
  if (!address) throw wrong(`invalid ${what} ${text}: invalid address`)
  if (!contains(subnet, address)) throw wrong(`invalid ${what} ${text}: parent subnet ${formatCidr(subnet)} does not contain it`)
  return formatAddress(address)
}

/** A subnet as asked for; the gateway is its first address unless another is given. */
function parsePool({ Subnet, Gateway, IPRange, AuxiliaryAddresses }: IPAMConfig): Pool {
  const subnet = parseCidr(Subnet ?? '')
  if (!subnet) throw wrong(`invalid subnet ${Subnet}: invalid CIDR block notation`)
  if (subnet.address !== subnet.first) throw wrong(`invalid subnet ${Subnet}: it should be ${formatCidr(subnet)}`)
  const auxiliary = Object.fromEntries(Object.entries(AuxiliaryAddresses ?? {}).map(([name, address]) => [name, addressIn(subnet, address, 'auxiliary address')]))
  const range = IPRange ? parseCidr(IPRange) : undefined
  if (IPRange && !range) throw wrong(`invalid ip-range ${IPRange}: invalid CIDR block notation`)
  if (range && (range.family !== subnet.family || range.first < subnet.first || range.last > subnet.last)) throw wrong(`invalid ip-range ${IPRange}: parent subnet ${Subnet} does not contain it`)
  const first = subnet.last - subnet.first < 2n ? subnet.first : subnet.first + 1n
  const gateway = Gateway ? addressIn(subnet, Gateway, 'gateway') : formatAddress({ family: subnet.family, value: first })
  return { subnet: formatCidr(subnet), range: range && formatCidr(range), gateway, auxiliary }
}

/** Subnets of our networks. */
function takenSubnets({ records }: Context): Cidr[] {
  return [...records.networks.values()].flatMap(({ pools }) => pools.map(({ subnet }) => parseCidr(subnet)!))
}

/** A subnet of the address pools that overlaps neither a network nor a route of the host. */
export function freePool(ctx: Context): Pool {
  return parsePool({ Subnet: chooseSubnet(ctx.pools, [...takenSubnets(ctx), ...ctx.host.routes()]) })
}

/**
 * The subnets of a new network: as asked for, or chosen. Throws `invalid-argument` for one that makes no sense or, as Docker does, `permission-denied` for one that
 * overlaps another network's.
 */
export function planPools(ctx: Context, configs: readonly IPAMConfig[], { hasIpv4, hasIpv6 }: { hasIpv4: boolean; hasIpv6: boolean }): { pools: Pool[]; hasChosenSubnet: boolean } {
  const taken = takenSubnets(ctx)
  const isWanted = ({ family }: Cidr): boolean => (family === 4 ? hasIpv4 : hasIpv6)
  const given = configs.filter(({ Subnet, Gateway, IPRange }) => Subnet || Gateway || IPRange)
  const pools: Pool[] = []
  for (const pool of given.map(parsePool)) {
    const subnet = parseCidr(pool.subnet)!
    if (!isWanted(subnet)) continue
    if (taken.some((other) => overlaps(subnet, other))) throw new BerthError('permission-denied', 'POOL_OVERLAPS', 'invalid pool request: Pool overlaps with other one on this address space')
    taken.push(subnet)
    pools.push(pool)
  }
  const hasChosenSubnet = pools.length > 0
  const has = (family: 4 | 6): boolean => pools.some(({ subnet }) => parseCidr(subnet)!.family === family)
  if (hasIpv4 && !has(4)) pools.unshift(freePool(ctx))
  if (hasIpv6 && !has(6)) pools.push(parsePool({ Subnet: chooseUniqueLocalSubnet() }))
  return { pools, hasChosenSubnet }
}
