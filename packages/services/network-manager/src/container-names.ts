import { shortId } from '@berth/core'
import { addressesOf } from './activate-endpoint.ts'
import { parseLink } from './check-endpoint.ts'
import { type Context, hasNames } from './context.ts'
import type { DnsSandbox } from './dns-server.ts'
import type { ContainerRecord, EndpointRecord } from './network-records.ts'
import { externalServers } from './resolv-conf.ts'
import { resolverOptions } from './sandbox-files.ts'

/** By which a container is found on a network: its name, its aliases, its short ID and its host name. */
export function dnsNamesOf({ id, name, hostname }: ContainerRecord, { wanted }: EndpointRecord): string[] {
  return [...new Set([name, ...(wanted.Aliases ?? []), shortId(id), hostname])].filter((each) => each !== '')
}

const namedEndpoints = (ctx: Context, { endpoints }: ContainerRecord): EndpointRecord[] =>
  endpoints.filter(({ networkId, active }) => {
    const network = ctx.records.networks.get(networkId)
    return active && network && hasNames(ctx, network)
  })

/** Whether the embedded name server will serve a container. */
export function wantsNames(ctx: Context, { endpoints }: ContainerRecord): boolean {
  return endpoints.some(({ networkId }) => {
    const network = ctx.records.networks.get(networkId)
    return network !== undefined && hasNames(ctx, network)
  })
}

/** Lets others find a running container by its names as they are now. */
export function publishNames(ctx: Context, container: ContainerRecord): void {
  for (const endpoint of namedEndpoints(ctx, container)) {
    const { active, networkId } = endpoint
    const addresses = addressesOf(endpoint)
    ctx.dns.put({
      id: active!.id,
      networkId,
      fullName: `${container.name}.${endpoint.networkName}`,
      names: dnsNamesOf(container, endpoint),
      ipv4: active?.ipv4 && addresses[0],
      ipv6: active?.ipv6 && addresses.at(-1),
    })
  }
}

/** What the embedded name server of a running container needs to know; undefined where it has none. */
export function dnsSandboxOf(ctx: Context, container: ContainerRecord): DnsSandbox | undefined {
  const endpoints = namedEndpoints(ctx, container)
  if (!container.sandbox || endpoints.length === 0) return undefined
  const hasWayOut = container.endpoints.some(({ networkId, active }) => active && ctx.records.networks.get(networkId)?.isInternal === false)
  return {
    id: container.id,
    netns: container.sandbox.netns,
    networks: endpoints.map(({ networkId: id, networkName: name }) => ({ id, name })),
    links: endpoints.flatMap(({ networkId, wanted }) => (wanted.Links ?? []).map((link) => {
      const { container: name, alias } = parseLink(link)
      return { networkId, alias, name }
    })),
    servers: hasWayOut ? externalServers(resolverOptions(ctx, container)).map((address) => ({ address, port: 53 })) : [],
  } // prettier-ignore
}

/** Opens, changes or leaves alone the name server of a running container, as its networks want it. */
export async function serveNames(ctx: Context, container: ContainerRecord): Promise<void> {
  const sandbox = dnsSandboxOf(ctx, container)
  if (sandbox && ctx.dns.has(sandbox.id)) ctx.dns.update(sandbox)
  else if (sandbox) await ctx.dns.open(sandbox)
}
