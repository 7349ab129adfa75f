import { isIP } from 'node:net'
import type { EndpointSettings, HostConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'
import { checkEndpoint, checkHostName, checkWord, networkRef, parseExtraHost, parseLink } from './check-endpoint.ts'
import { type Context, driverOf, invalid } from './context.ts'
import { findContainer, findNetwork } from './find.ts'
import type { ContainerRecord, EndpointRecord, NetworkRecord, SandboxMode } from './network-records.ts'
import { parsePorts } from './parse-ports.ts'

/** What a container asks of its network at creation. */
export interface NetworkRequest {
  containerId: string
  containerName: string
  hostname: string
  domainname: string
  /** `default`, `host`, `none`, `container:` with a full ID, or a network's name or ID. */
  networkMode: string
  /** By network name or ID. */
  endpoints: Readonly<Record<string, EndpointSettings | null>>
  host: Pick<HostConfig, 'PortBindings' | 'PublishAllPorts' | 'Dns' | 'DnsOptions' | 'DnsSearch' | 'ExtraHosts' | 'Links'>
  /** `80/tcp` */
  exposedPorts: readonly string[]
  macAddress?: string | undefined
}

const joined = 'container:'

function planEndpoints(ctx: Context, main: NetworkRecord, { endpoints, macAddress }: NetworkRequest): EndpointRecord[] {
  const wanted = new Map<NetworkRecord, EndpointSettings | null>([[main, null]])
  for (const [ref, settings] of Object.entries(endpoints)) wanted.set(findNetwork(ctx, networkRef(ref)), settings)
  const given = wanted.get(main)
  if (macAddress && !given?.MacAddress) wanted.set(main, { ...given, MacAddress: macAddress })
  const others = [...wanted.keys()].filter((network) => network !== main)
  const isLone = (network: NetworkRecord): boolean => network.isPredefined && network.name !== 'bridge'
  if (wanted.size > 1 && isLone(main)) throw new BerthError('conflict', 'NETWORK_CONFLICT', `conflicting options: a container of the network ${main.name} cannot be connected to another network`)
  const lone = others.find(isLone)
  if (lone) throw new BerthError('conflict', 'NETWORK_CONFLICT', `conflicting options: a container cannot be connected to the network ${lone.name} and to another one`)
  return [main, ...others.toSorted((a, b) => (a.name < b.name ? -1 : 1))].map((network) => checkEndpoint(ctx, network, wanted.get(network)))
}

function checkHost({ Dns, DnsOptions, DnsSearch, ExtraHosts }: NetworkRequest['host']): void {
  for (const server of Dns ?? []) if (isIP(server) === 0 || server.includes('%')) throw invalid('DNS_SERVER_INVALID', `bad nameserver address ${server}`)
  for (const option of DnsOptions ?? []) checkWord(option, 'DNS option')
  for (const domain of DnsSearch ?? []) checkWord(domain, 'DNS search domain')
  for (const host of ExtraHosts ?? []) parseExtraHost(host)
}

function checkLinks(ctx: Context, links: readonly string[]): void {
  for (const link of links) {
    const { container } = parseLink(link)
    try {
      findContainer(ctx, container)
    } catch (error) {
      throw new BerthError('invalid-argument', 'LINK_INVALID', `could not get container for ${container}: No such container: ${container}`, { cause: error })
    }
  }
}

/** Checks what a container wants of its networks; nothing is made in the kernel yet. */
export function planContainer(ctx: Context, request: NetworkRequest): ContainerRecord {
  const { containerId: id, containerName: name, hostname, domainname, networkMode, host } = request
  checkHost(host)
  checkHostName(hostname, 'hostname')
  checkHostName(domainname, 'domain name')
  let mode: SandboxMode = { kind: 'own' }
  let endpoints: EndpointRecord[] = []
  let links: string[] = []
  if (networkMode.startsWith(joined)) {
    mode = { kind: 'container', id: findContainer(ctx, networkMode.slice(joined.length)).id }
  } else {
    const main = findNetwork(ctx, networkRef(networkMode))
    if (driverOf(ctx, main.driver).sandbox === 'host') mode = { kind: 'host' }
    endpoints = planEndpoints(ctx, main, request)
    // Elsewhere links are of endpoints, and clients send these as well.
    if (main.isPredefined) links = host.Links ?? []
    checkLinks(ctx, links)
  }
  const { requests, exposed } = parsePorts(host, request.exposedPorts)
  const { Dns, DnsOptions, DnsSearch, ExtraHosts } = host
  return {
    id, name, hostname, domainname, mode, endpoints, host: { Dns, DnsOptions, DnsSearch, ExtraHosts, Links: links },
    ports: mode.kind === 'own' ? requests : [], exposedPorts: mode.kind === 'own' ? exposed : [], sandbox: undefined,
  } // prettier-ignore
}
