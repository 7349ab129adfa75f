import { isIP } from 'node:net'
import type { EndpointSettings } from '@berth/api-types'
import { poolFor } from './allocate-addresses.ts'
import { type Context, defaultBridge, hasNames, invalid } from './context.ts'
import type { EndpointRecord, NetworkRecord } from './network-records.ts'

const hostName = /^[a-zA-Z0-9_]([a-zA-Z0-9_.-]{0,252}[a-zA-Z0-9_])?$/

/** What a container asks for on a network, checked. */
export function checkEndpoint(ctx: Context, network: NetworkRecord, settings: EndpointSettings | null | undefined): EndpointRecord {
  const { IPAMConfig, Links, Aliases, DriverOpts, GwPriority, MacAddress } = settings ?? {}
  const isNamed = hasNames(ctx, network)
  if (Aliases?.length && !isNamed) throw invalid('NETWORK_ALIAS_UNSUPPORTED', 'invalid endpoint settings:\nnetwork-scoped alias is supported only for containers in user defined networks')
  for (const [family, address] of [[4, IPAMConfig?.IPv4Address], [6, IPAMConfig?.IPv6Address]] as const) if (address) checkAddress(network, isNamed, family, address) // prettier-ignore
  if (IPAMConfig?.LinkLocalIPs?.length) throw invalid('ADDRESS_UNSUPPORTED', 'invalid endpoint settings:\nlink-local addresses are not supported')
  if (MacAddress && !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(MacAddress)) throw invalid('MAC_ADDRESS_INVALID', `invalid MAC address: ${MacAddress}`)
  for (const link of Links ?? []) parseLink(link)
  return { networkId: network.id, networkName: network.name, wanted: { IPAMConfig: IPAMConfig ?? null, Links, Aliases, DriverOpts, GwPriority, MacAddress: MacAddress?.toLowerCase() }, active: undefined }
}

function checkAddress(network: NetworkRecord, isNamed: boolean, family: 4 | 6, address: string): void {
  if (isIP(address) !== family) throw invalid('ADDRESS_INVALID', `invalid endpoint settings:\ninvalid IPv${family} address: ${address}`)
  if (!isNamed) throw invalid('ADDRESS_UNSUPPORTED', 'invalid endpoint settings:\nuser specified IP address is supported on user defined networks only')
  if (!network.hasChosenSubnet) throw invalid('ADDRESS_UNSUPPORTED', 'invalid endpoint settings:\nuser specified IP address is supported only when connecting to networks with user configured subnets')
  if (!poolFor(network.pools, address)) throw invalid('ADDRESS_OUTSIDE', `invalid endpoint settings:\nno configured subnet contains IP address ${address}`)
}

/** `container:alias`, `container`, or as inspect shows it, `/container:/this/alias`. */
export function parseLink(link: string): { container: string; alias: string } {
  const [name = '', given = name, ...rest] = link.split(':')
  const [container, alias] = [name.replace(/^\//, ''), given.split('/').at(-1) ?? '']
  if (rest.length > 0 || container === '' || !hostName.test(alias)) throw invalid('LINK_INVALID', `invalid link format: ${link}`)
  return { container, alias }
}

/** `name:address`, the address of IPv6 perhaps in brackets; `host-gateway` stands for the host. */
export function parseExtraHost(text: string): { name: string; address: string } {
  const at = text.search(/[:=]/)
  const [name, address] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1).replace(/^\[(.*)\]$/, '$1')]
  if (!hostName.test(name)) throw invalid('EXTRA_HOST_INVALID', `bad format for add-host: "${text}"`)
  if (address !== 'host-gateway' && (isIP(address) === 0 || address.includes('%'))) throw invalid('EXTRA_HOST_INVALID', `invalid IP address in add-host: "${address}"`)
  return { name, address }
}

/** Refuses what would write lines of its own into a file. */
export function checkWord(text: string, what: string): void {
  if (!/^[!-~]+$/.test(text) || text.includes('#')) throw invalid('RESOLVER_OPTION_INVALID', `invalid ${what}: ${JSON.stringify(text)}`)
}

export function checkHostName(text: string, what: string): void {
  if (text !== '' && !hostName.test(text)) throw invalid('HOST_NAME_INVALID', `invalid ${what}: ${JSON.stringify(text)}`)
}

/** `default` and, in every version of the API, `bridge`. */
export function networkRef(mode: string): string {
  return mode === '' || mode === 'default' ? defaultBridge : mode
}
