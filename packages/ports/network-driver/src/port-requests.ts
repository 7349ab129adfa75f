import type { PortRequest, PublishedPort } from './index.ts'

/**
 * Sorts requests into groups that each get one host port, whatever their host addresses: those of one protocol, container port and range, as
 * Docker publishes on `0.0.0.0` and `::`. A host address that comes again begins another group. Each entry is an index into `requests`.
 */
export function groupPortRequests(requests: readonly PortRequest[]): number[][] {
  const groups: { key: string; addresses: Set<string>; members: number[] }[] = []
  for (const [index, { protocol, containerPort, hostPorts, hostAddress }] of requests.entries()) {
    const key = `${protocol} ${containerPort} ${hostPorts?.first}-${hostPorts?.last}`
    let group = groups.find((other) => other.key === key && !other.addresses.has(hostAddress))
    if (!group) groups.push((group = { key, addresses: new Set(), members: [] }))
    group.addresses.add(hostAddress)
    group.members.push(index)
  }
  return groups.map(({ members }) => members)
}

/** Finds for each request the port that is published for it already; `missing` has the indexes of the others. */
export function matchPublished(requests: readonly PortRequest[], existing: readonly PublishedPort[]): { published: (PublishedPort | undefined)[]; missing: number[] } {
  const left = [...existing]
  const published = requests.map(({ protocol, containerPort, hostAddress, hostPorts }) => {
    const at = left.findIndex((port) => {
      if (port.protocol !== protocol || port.containerPort !== containerPort || port.hostAddress !== hostAddress) return false
      return !hostPorts || (port.hostPort >= hostPorts.first && port.hostPort <= hostPorts.last)
    })
    return at < 0 ? undefined : left.splice(at, 1)[0]
  })
  return { published, missing: published.flatMap((port, index) => (port ? [] : [index])) }
}

/** Whether two published ports cannot be had at once: one protocol, one port, and one address or all of its family. */
export function isSameHostPort(one: HostPort, other: HostPort): boolean {
  if (one.protocol !== other.protocol || one.hostPort !== other.hostPort || one.hostAddress.includes(':') !== other.hostAddress.includes(':')) return false
  return one.hostAddress === other.hostAddress || isUnspecified(one.hostAddress) || isUnspecified(other.hostAddress)
}

type HostPort = Pick<PublishedPort, 'protocol' | 'hostAddress' | 'hostPort'>

function isUnspecified(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}
