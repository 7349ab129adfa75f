import { isIP } from 'node:net'
import type { HostConfig } from '@berth/api-types'
import type { PortProtocol, PortRequest } from '@berth/network-driver'
import { invalid } from './context.ts'

/** `80`, `80/tcp`, `8000-8010/udp`. */
function parseContainerPorts(text: string): { protocol: PortProtocol; first: number; last: number } {
  const [, start = '', end = start, protocol = 'tcp'] = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(text) ?? []
  const [first, last] = [Number(start), Number(end)]
  if (start === '' || first === 0 || first > last || last > 65535) throw invalid('PORT_INVALID', `invalid port specification: "${text}"`)
  return { protocol: protocol.toLowerCase() as PortProtocol, first, last }
}

/** Empty or `0` for any; `8080`, `8000-8010`. */
function parseHostPorts(text: string): PortRequest['hostPorts'] {
  if (text === '' || text === '0') return undefined
  const [, start = '', end = start] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? []
  const [first, last] = [Number(start), Number(end)]
  if (start === '' || first === 0 || first > last || last > 65535) throw invalid('PORT_INVALID', `invalid port specification: "${text}"`)
  return { first, last }
}

function parseHostAddress(text: string): string {
  const address = text.replace(/^\[(.*)\]$/, '$1')
  if (address !== '' && (isIP(address) === 0 || address.includes('%'))) throw invalid('PORT_INVALID', `invalid IP address: ${text}`)
  return address
}

/** The ports that a container wants published, and all that it tells of, as `80/tcp`. An empty host address stands for all of the host's. */
export function parsePorts({ PortBindings, PublishAllPorts }: Pick<HostConfig, 'PortBindings' | 'PublishAllPorts'>, exposed: readonly string[]): { requests: PortRequest[]; exposed: string[] } {
  const requests: PortRequest[] = []
  const all = new Set<string>()
  for (const [key, bindings] of Object.entries(PortBindings ?? {})) {
    const { protocol, first, last } = parseContainerPorts(key)
    for (let containerPort = first; containerPort <= last; containerPort++) {
      all.add(`${containerPort}/${protocol}`)
      for (const { HostIp = '', HostPort = '' } of bindings ?? []) {
        requests.push({ protocol, containerPort, hostAddress: parseHostAddress(HostIp), hostPorts: parseHostPorts(HostPort) })
      }
    }
  }
  for (const key of exposed) {
    const { protocol, first, last } = parseContainerPorts(key)
    for (let containerPort = first; containerPort <= last; containerPort++) {
      all.add(`${containerPort}/${protocol}`)
      if (!PublishAllPorts || requests.some((request) => request.containerPort === containerPort && request.protocol === protocol)) continue
      requests.push({ protocol, containerPort, hostAddress: '', hostPorts: undefined })
    }
  }
  return { requests, exposed: [...all] }
}

/**
 * With addresses of the host in place of all of them: of both families, next to each other so that a driver gives them one port, or the
 * one address that the network's options name.
 */
export function onHostAddresses(requests: readonly PortRequest[], { hasIpv6, options }: { hasIpv6: boolean; options: Readonly<Record<string, string>> }): PortRequest[] {
  const bound = options['com.docker.network.bridge.host_binding_ipv4'] || '0.0.0.0'
  const everywhere = hasIpv6 && bound === '0.0.0.0' ? [bound, '::'] : [bound]
  return requests.flatMap((request) => (request.hostAddress === '' ? everywhere.map((hostAddress) => ({ ...request, hostAddress })) : [request]))
}
