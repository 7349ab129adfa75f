import type { NetworkCreateRequest } from '@berth/api-types'
import { BerthError, formatNano, newId, nowNano } from '@berth/core'
import { type Context, definitionOf, driverOf, invalid, tell } from './context.ts'
import type { NetworkRecord } from './network-records.ts'
import { planPools } from './parse-ipam.ts'

const reserved = ['bridge', 'host', 'none', 'default']

function plan(ctx: Context, request: NetworkCreateRequest): NetworkRecord {
  const { Name: name, Driver, Scope, IPAM, ConfigFrom, ConfigOnly, Ingress, Internal = false, Attachable = false, EnableIPv4: hasIpv4 = true, EnableIPv6: hasIpv6 = false } = request
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name) || name.length > 255) throw invalid('NETWORK_NAME_INVALID', `invalid network name: "${name}": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`)
  if (reserved.includes(name)) throw new BerthError('permission-denied', 'NETWORK_PREDEFINED', `operation is not permitted on predefined ${name} network`)
  if (ConfigOnly || ConfigFrom?.Network) throw new BerthError('not-implemented', 'NETWORK_CONFIG_ONLY', 'configuration-only networks are not supported')
  if (Ingress || Scope === 'swarm') throw new BerthError('unavailable', 'NOT_A_SWARM_MANAGER', 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.')
  if ([...ctx.records.networks.values()].some((other) => other.name === name)) throw new BerthError('conflict', 'NETWORK_EXISTS', `network with name ${name} already exists`)
  const driver = driverOf(ctx, Driver || 'bridge')
  if (driver.sandbox === 'host' || driver.name === 'null') throw new BerthError('permission-denied', 'NETWORK_SINGLE', `only one instance of "${driver.name}" network is allowed`)
  if (IPAM?.Driver && IPAM.Driver !== 'default') throw new BerthError('not-found', 'IPAM_DRIVER_NOT_FOUND', `could not find plugin ${IPAM.Driver} in v1 plugin registry: plugin not found`)
  if (!hasIpv4 && !hasIpv6) throw invalid('NETWORK_CONFIG_INVALID', 'IPv4 or IPv6 must be enabled')
  const { pools, hasChosenSubnet } = driver.hasAddresses ? planPools(ctx, IPAM?.Config ?? [], { hasIpv4, hasIpv6 }) : { pools: [], hasChosenSubnet: false }
  return {
    id: newId(),
    name,
    driver: driver.name,
    createdAt: formatNano(nowNano()),
    phase: 'creating',
    isPredefined: false,
    isInternal: Internal,
    isAttachable: Attachable,
    hasIpv4,
    hasIpv6,
    pools,
    hasChosenSubnet,
    ipamOptions: IPAM?.Options ?? {},
    options: request.Options ?? {},
    labels: request.Labels ?? {},
  }
}

/** Makes a network; nothing of it stays when it fails. */
export async function createNetwork(ctx: Context, request: NetworkCreateRequest): Promise<NetworkRecord> {
  const network = plan(ctx, request)
  const driver = driverOf(ctx, network.driver)
  driver.check(definitionOf(network))
  // Recorded before the first await, so that nobody else takes the name or the subnet.
  ctx.records.putNetwork(network)
  try {
    await driver.createNetwork(definitionOf(network))
  } catch (error) {
    ctx.records.deleteNetwork(network.id)
    throw error
  }
  network.phase = 'ready'
  ctx.records.putNetwork(network)
  tell(ctx, 'create', network)
  return network
}
