import type { EndpointSettings, NetworkSettings, PortBinding } from '@berth/api-types'
import { dnsNamesOf } from './container-names.ts'
import { type Context, defaultBridgeOf, hasNames } from './context.ts'
import { parseCidr } from './cidr.ts'
import type { ContainerRecord, EndpointRecord } from './network-records.ts'

function split(address: string | undefined): [address: string, prefix: number] {
  const [text = '', prefix = '0'] = (address ?? '').split('/')
  return [text, Number(prefix)]
}

function describeEndpoint(ctx: Context, container: ContainerRecord, endpoint: EndpointRecord): EndpointSettings {
  const { wanted, active, networkId } = endpoint
  const network = ctx.records.networks.get(networkId)
  const gateway = (family: 4 | 6): string => (active && network?.pools.find(({ subnet }) => parseCidr(subnet)?.family === family)?.gateway) || ''
  const [ipv4, ipv4Prefix] = split(active?.ipv4)
  const [ipv6, ipv6Prefix] = split(active?.ipv6)
  // Docker has null for what was not given, which the types leave out.
  return {
    IPAMConfig: wanted.IPAMConfig ?? null,
    Links: wanted.Links ?? null,
    Aliases: wanted.Aliases ?? null,
    MacAddress: active?.macAddress ?? '',
    DriverOpts: wanted.DriverOpts ?? null,
    GwPriority: wanted.GwPriority ?? 0,
    NetworkID: networkId,
    EndpointID: active?.id ?? '',
    Gateway: network?.isInternal ? '' : gateway(4),
    IPAddress: ipv4,
    IPPrefixLen: ipv4Prefix,
    IPv6Gateway: network?.isInternal ? '' : gateway(6),
    GlobalIPv6Address: ipv6,
    GlobalIPv6PrefixLen: ipv6Prefix,
    DNSNames: network && hasNames(ctx, network) ? dnsNamesOf(container, endpoint) : null,
  } as EndpointSettings
}

/** Published ports with where they are, and the others that the container tells of with null. */
function portsOf({ sandbox, exposedPorts, endpoints }: ContainerRecord): Record<string, PortBinding[] | null> {
  if (!sandbox) return {}
  const ports: Record<string, PortBinding[] | null> = Object.fromEntries(exposedPorts.map((port) => [port, null]))
  for (const { protocol, containerPort, hostAddress, hostPort } of endpoints.flatMap(({ active }) => active?.published ?? [])) {
    ;(ports[`${containerPort}/${protocol}`] ??= []).push({ HostIp: hostAddress, HostPort: String(hostPort) })
  }
  return ports
}

const nothing = {
  Bridge: '', SandboxID: '', SandboxKey: '', Ports: {}, HairpinMode: false, LinkLocalIPv6Address: '', LinkLocalIPv6PrefixLen: 0,
  SecondaryIPAddresses: null, SecondaryIPv6Addresses: null, EndpointID: '', Gateway: '', GlobalIPv6Address: '', GlobalIPv6PrefixLen: 0,
  IPAddress: '', IPPrefixLen: 0, IPv6Gateway: '', MacAddress: '', Networks: {},
} satisfies NetworkSettings // prettier-ignore

/** The network of a container as inspect shows it, running or not; empty for a container that is not known. */
export function settingsOf(ctx: Context, containerId: string): NetworkSettings {
  const container = ctx.records.containers.get(containerId)
  if (!container) return { ...nothing, Ports: {}, Networks: {} }
  const { sandbox, endpoints } = container
  const networks = endpoints.map((endpoint): [string, EndpointSettings] => [endpoint.networkName, describeEndpoint(ctx, container, endpoint)])
  const bridge = defaultBridgeOf(ctx)
  const legacy = networks.find(([, { NetworkID }]) => bridge && NetworkID === bridge.id)?.[1]
  const { EndpointID, Gateway, GlobalIPv6Address, GlobalIPv6PrefixLen, IPAddress, IPPrefixLen, IPv6Gateway, MacAddress } = legacy ?? nothing
  return {
    ...nothing,
    SandboxID: sandbox?.id ?? '',
    SandboxKey: sandbox && sandbox.netns !== 'host' ? sandbox.netns : '',
    Ports: portsOf(container),
    EndpointID, Gateway, GlobalIPv6Address, GlobalIPv6PrefixLen, IPAddress, IPPrefixLen, IPv6Gateway, MacAddress,
    Networks: Object.fromEntries(networks),
  } // prettier-ignore
}
