import type { ContainerInspectResponse, ContainerSummary } from '@berth/api-types'

/** Networks that are not users' have no aliases. */
const builtIn = ['default', 'bridge', 'host', 'none']

/** A container as clients of a version know it: before 1.45 its short ID and host name were among its aliases. @see Docker Engine API, version history */
export function inspectedFor(version: number, container: ContainerInspectResponse): ContainerInspectResponse {
  if (version >= 45) return container
  const Networks = Object.entries(container.NetworkSettings?.Networks ?? {}).map(([name, endpoint]): [string, typeof endpoint] => {
    if (builtIn.includes(name) || name.startsWith('container:') || !endpoint) return [name, endpoint]
    const names = [...(endpoint.Aliases ?? []), container.Id?.slice(0, 12) ?? '', container.Config?.Hostname ?? '']
    return [name, { ...endpoint, Aliases: [...new Set(names.filter((alias) => alias !== ''))] }]
  })
  return { ...container, NetworkSettings: { ...container.NetworkSettings, Networks: Object.fromEntries(Networks) } }
}

/** As {@link inspectedFor}, for a list: before 1.46 it told of no annotations. */
export function listedFor(version: number, containers: ContainerSummary[]): ContainerSummary[] {
  if (version >= 46) return containers
  return containers.map((container) => ({ ...container, ...(container.HostConfig && { HostConfig: { NetworkMode: container.HostConfig.NetworkMode } }) }))
}
