import { formatNano, newId, nowNano } from '@berth/core'
import { type Cidr, formatAddress, formatCidr, overlaps, parseCidr } from './cidr.ts'
import { activeOn, type Context, defaultBridge, defaultBridgeOf, definitionOf, invalid } from './context.ts'
import type { NetworkRecord, Pool } from './network-records.ts'
import { freePool } from './parse-ipam.ts'

export interface DefaultBridgeOptions {
  /** Address of the host on the default bridge with the prefix length of its subnet; 172.17.0.1/16, or another subnet where that is taken. */
  bip?: string
  /** Name of the link. */
  name?: string
}

const usualBip = '172.17.0.1/16'
const prefix = 'com.docker.network.'
/** Docker's, which its clients show; they say what holds without them too. */
const usualOptions = {
  [`${prefix}bridge.default_bridge`]: 'true',
  [`${prefix}bridge.enable_icc`]: 'true',
  [`${prefix}bridge.enable_ip_masquerade`]: 'true',
  [`${prefix}bridge.host_binding_ipv4`]: '0.0.0.0',
  [`${prefix}driver.mtu`]: '1500',
}

function poolOf(bip: string): Pool {
  const address = parseCidr(bip)
  if (address?.family !== 4 || address.address === address.first || address.address === address.last) throw invalid('BIP_INVALID', `invalid bip: ${bip} is not an address of IPv4 with its prefix length`)
  return { subnet: formatCidr(address), range: undefined, gateway: formatAddress({ family: 4, value: address.address }), auxiliary: {} }
}

function chooseBridgePool(ctx: Context): Pool {
  const usual = parseCidr(usualBip) as Cidr
  return ctx.host.routes().some((route) => overlaps(route, usual)) ? freePool(ctx) : poolOf(usualBip)
}

/** Those of the usual options that the driver takes, which may be any that calls itself `bridge`. */
function knownOptions({ drivers }: Context): Record<string, string> {
  const takes = (option: string, value: string): boolean => {
    try {
      drivers.get(defaultBridge)?.check({ id: '0'.repeat(64), name: defaultBridge, isInternal: false, subnets: [], options: { [option]: value } })
      return true
    } catch {
      return false
    }
  }
  return Object.fromEntries(Object.entries(usualOptions).filter(([option, value]) => takes(option, value)))
}

/** Makes the records of the networks that are always there, those whose drivers there are, or brings them up to date. */
export function definePredefined(ctx: Context, { bip, name }: DefaultBridgeOptions): void {
  const wanted = bip === undefined ? undefined : poolOf(bip)
  const options: Record<string, string> = { ...knownOptions(ctx), ...(name === undefined ? {} : { [`${prefix}bridge.name`]: name }) }
  const known = new Map([...ctx.records.networks.values()].filter(({ isPredefined }) => isPredefined).map((network) => [network.name, network]))
  const define = (network: string, driver: string, more: Partial<NetworkRecord>): void => {
    if (known.has(network) || !ctx.drivers.has(driver)) return
    ctx.records.putNetwork({
      id: newId(), name: network, driver, createdAt: formatNano(nowNano()), phase: 'ready', isPredefined: true, isInternal: false, isAttachable: false,
      hasIpv4: true, hasIpv6: false, pools: [], hasChosenSubnet: false, ipamOptions: null, options: {}, labels: {}, ...more,
    }) // prettier-ignore
  }
  const bridge = defaultBridgeOf(ctx)
  if (!bridge) {
    if (ctx.drivers.has('bridge')) define(defaultBridge, 'bridge', { pools: [wanted ?? chooseBridgePool(ctx)], options })
  } else if ((wanted && JSON.stringify(wanted) !== JSON.stringify(bridge.pools[0])) || JSON.stringify(options) !== JSON.stringify(bridge.options)) {
    if (activeOn(ctx, bridge.id).length > 0) ctx.logger.warn('the default bridge keeps its old settings until no container runs on it', { wanted: bip ?? name })
    else ctx.records.putNetwork({ ...bridge, pools: wanted ? [wanted] : bridge.pools, options })
  }
  define('host', 'host', {})
  define('none', 'null', {})
  const defined = defaultBridgeOf(ctx)
  if (defined) ctx.drivers.get('bridge')?.check(definitionOf(defined))
}
