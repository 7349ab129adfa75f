import { randomBytes } from 'node:crypto'
import { BerthError, newId } from '@berth/core'
import type { EndpointDefinition } from '@berth/network-driver'
import { poolFor, withPrefix } from './allocate-addresses.ts'
import { type Address, formatAddress, parseAddress, parseCidr } from './cidr.ts'
import { type Context, driverOf, invalid } from './context.ts'
import { findNetwork } from './find.ts'
import type { ActiveEndpoint, ContainerRecord, EndpointRecord, NetworkRecord } from './network-records.ts'

/** Ours to follow; other options are the driver's. */
const interfaceNameOption = 'com.docker.network.endpoint.ifname'

const withoutPrefix = (address: string): string => address.split('/')[0] ?? ''

/** Random, with the bits of one interface and of local administration. @see IEEE 802, section 8.2 */
function randomMac(): string {
  const bytes = randomBytes(6)
  bytes[0] = ((bytes[0] ?? 0) & 0xfe) | 0x02
  return bytes.toString('hex').replace(/(..)(?=.)/g, '$1:')
}

/** Addresses that endpoints have; with `isChosen`, those too that containers which do not run have asked for. */
function takenOn({ records }: Context, networkId: string, { isChosen }: { isChosen: boolean }): Set<string> {
  const taken = new Set<string>()
  for (const { endpoints } of records.containers.values()) {
    for (const { networkId: id, active, wanted } of endpoints) {
      if (id !== networkId) continue
      for (const address of [active?.ipv4, active?.ipv6]) if (address) taken.add(withoutPrefix(address))
      if (isChosen) for (const address of [wanted.IPAMConfig?.IPv4Address, wanted.IPAMConfig?.IPv6Address]) if (address) taken.add(formatAddress(parseAddress(address) as Address))
    }
  }
  return taken
}

function addressOf(ctx: Context, network: NetworkRecord, family: 4 | 6, wanted: string | undefined): string | undefined {
  const pools = network.pools.filter(({ subnet }) => parseCidr(subnet)?.family === family)
  if (pools.length === 0) return undefined
  if (wanted) {
    const address = formatAddress(parseAddress(wanted) as Address)
    const pool = poolFor(pools, address)
    if (!pool) throw invalid('ADDRESS_OUTSIDE', `no configured subnet contains IP address ${wanted}`)
    const reserved = [pool.gateway, ...Object.values(pool.auxiliary)]
    if (reserved.includes(address) || takenOn(ctx, network.id, { isChosen: false }).has(address)) throw new BerthError('conflict', 'ADDRESS_IN_USE', 'Address already in use')
    return withPrefix(pool, address)
  }
  const taken = takenOn(ctx, network.id, { isChosen: true })
  for (const pool of pools) {
    const address = ctx.addresses.choose(network.id, pool, taken)
    if (address !== undefined) return withPrefix(pool, address)
  }
  throw new BerthError('resource-exhausted', 'ADDRESSES_EXHAUSTED', `no available IPv${family} addresses on this network's address pools: ${network.name} (${network.id})`)
}

/** `eth0` and so on, or what the endpoint's options say. */
function interfaceNameOf(endpoint: EndpointRecord, taken: ReadonlySet<string>): string {
  const asked = endpoint.wanted.DriverOpts?.[interfaceNameOption]
  if (asked !== undefined) {
    if (!/^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$/.test(asked) || asked === 'lo') throw invalid('INTERFACE_NAME_INVALID', `invalid interface name: ${JSON.stringify(asked)}`)
    if (taken.has(asked)) throw new BerthError('conflict', 'INTERFACE_NAME_TAKEN', `interface name ${asked} is in use`)
    return asked
  }
  for (let index = 0; ; index++) if (!taken.has(`eth${index}`)) return `eth${index}`
}

/**
 * Gives an endpoint what it has while its container runs. The caller records it before it awaits anything, so that nobody else is given the
 * same addresses. The network may have been made anew since the container was created.
 */
export function activateEndpoint(ctx: Context, container: ContainerRecord, endpoint: EndpointRecord): EndpointRecord {
  const known = ctx.records.networks.get(endpoint.networkId)
  const network = known?.phase === 'ready' ? known : findNetwork(ctx, endpoint.networkName)
  const { IPAMConfig, MacAddress } = endpoint.wanted
  const { hasAddresses } = driverOf(ctx, network.driver)
  const taken = new Set(container.endpoints.flatMap(({ active }) => (active ? [active.interfaceName] : [])))
  const active: ActiveEndpoint = {
    id: newId(),
    interfaceName: container.mode.kind === 'own' ? interfaceNameOf(endpoint, taken) : '',
    macAddress: hasAddresses ? MacAddress || randomMac() : '',
    ipv4: addressOf(ctx, network, 4, IPAMConfig?.IPv4Address),
    ipv6: addressOf(ctx, network, 6, IPAMConfig?.IPv6Address),
    isDefaultRoute: false,
    published: [],
  }
  return { ...endpoint, networkId: network.id, networkName: network.name, active }
}

/** The endpoint that traffic to elsewhere leaves by: of the highest priority, then of the first network by name. */
export function chooseDefaultRoute({ records, drivers }: Context, { endpoints }: ContainerRecord): EndpointRecord | undefined {
  const candidates = endpoints.filter(({ active, networkId }) => {
    const network = records.networks.get(networkId)
    return active && network && !network.isInternal && drivers.get(network.driver)?.hasAddresses && network.pools.some(({ gateway }) => gateway)
  })
  const priority = ({ wanted }: EndpointRecord): number => wanted.GwPriority ?? 0
  return candidates.toSorted((a, b) => priority(b) - priority(a) || (a.networkName < b.networkName ? -1 : 1))[0]
}

/** An endpoint as its driver knows it. */
export function endpointDefinition({ networkId, wanted }: EndpointRecord, active: ActiveEndpoint, sandbox: string): EndpointDefinition {
  const { [interfaceNameOption]: _name, ...options } = wanted.DriverOpts ?? {}
  return {
    id: active.id,
    networkId,
    sandbox,
    interfaceName: active.interfaceName,
    macAddress: active.macAddress,
    addresses: [active.ipv4, active.ipv6].filter((address) => address !== undefined),
    isDefaultRoute: active.isDefaultRoute,
    ...(Object.keys(options).length > 0 ? { options } : {}),
  }
}

/** An endpoint's addresses without their prefix lengths. */
export function addressesOf({ active }: EndpointRecord): string[] {
  return [active?.ipv4, active?.ipv6].flatMap((address) => (address ? [withoutPrefix(address)] : []))
}
