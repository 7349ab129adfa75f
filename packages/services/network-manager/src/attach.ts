import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { BerthError, messageOf, newId, shortId } from '@berth/core'
import { activateEndpoint, chooseDefaultRoute, endpointDefinition } from './activate-endpoint.ts'
import { publishNames, serveNames } from './container-names.ts'
import { type Context, driverOf, tell } from './context.ts'
import { takeDown } from './detach.ts'
import type { ContainerRecord, EndpointRecord } from './network-records.ts'
import { onHostAddresses } from './parse-ports.ts'
import { changeHosts, filesOf, linkEntries, linksOf, writeFiles } from './sandbox-files.ts'

export interface NetworkSandbox {
  /** File of the network namespace to join; `host` for the host's own. */
  netns: string
  /** Files to bind over /etc/hosts and /etc/resolv.conf. */
  hostsPath: string | undefined
  resolvConfPath: string | undefined
}

function sandboxOf(ctx: Context, { id, sandbox }: ContainerRecord): NetworkSandbox {
  const { hosts, resolvConf } = filesOf(ctx, id)
  return { netns: sandbox?.netns ?? '', hostsPath: hosts, resolvConfPath: resolvConf }
}

/** The sandbox of the container whose network another one joins. */
function joinedSandbox(ctx: Context, id: string): NetworkSandbox {
  const other = ctx.records.containers.get(id)
  if (other?.mode.kind === 'container') return joinedSandbox(ctx, other.mode.id)
  if (!other?.sandbox) throw new BerthError('conflict', 'JOINED_NOT_RUNNING', `cannot join network of a non running container: ${id}`)
  return sandboxOf(ctx, other)
}

export function networkOfEndpoint({ records }: Context, { networkId, networkName }: EndpointRecord) {
  const network = records.networks.get(networkId)
  if (!network) throw new BerthError('not-found', 'NETWORK_NOT_FOUND', `network ${networkName} not found`)
  return network
}

/** Gives a container its sandbox and its endpoints in the records, before anything is made. */
function activate(ctx: Context, container: ContainerRecord): void {
  for (const { alias, target } of linksOf(ctx, container)) {
    if (!target.sandbox) throw new BerthError('conflict', 'LINK_NOT_RUNNING', `Cannot link to a non running container: /${target.name} AS /${container.name}/${alias}`)
  }
  const before = container.endpoints
  try {
    // One after the other: each has its addresses and its name before the next one chooses.
    for (const [index, endpoint] of before.entries()) container.endpoints = container.endpoints.with(index, activateEndpoint(ctx, container, endpoint))
  } catch (error) {
    container.endpoints = before
    throw error
  }
  const route = chooseDefaultRoute(ctx, container)
  if (route?.active) route.active.isDefaultRoute = true
  const id = newId()
  container.sandbox = { id, netns: container.mode.kind === 'host' ? 'host' : join(ctx.execDir, 'netns', shortId(id)), resolvConfDigest: '' }
  ctx.records.putContainer(container)
}

/** Joins an endpoint's interface to its sandbox. */
export async function joinEndpoint(ctx: Context, container: ContainerRecord, endpoint: EndpointRecord): Promise<void> {
  const driver = driverOf(ctx, networkOfEndpoint(ctx, endpoint).driver)
  if (driver.sandbox === 'host' || !endpoint.active || !container.sandbox) return
  await driver.join(endpointDefinition(endpoint, endpoint.active, container.sandbox.netns))
}

/** Publishes a container's ports at the endpoint of its default route. */
export async function publishPorts(ctx: Context, container: ContainerRecord): Promise<void> {
  const route = container.endpoints.find(({ active }) => active?.isDefaultRoute)
  if (!route?.active || container.ports.length === 0) return
  const { driver, options } = networkOfEndpoint(ctx, route)
  const requests = onHostAddresses(container.ports, { hasIpv6: ctx.host.hasIpv6(), options })
  route.active.published = await driverOf(ctx, driver).publish(route.networkId, route.active.id, requests)
}

async function make(ctx: Context, container: ContainerRecord, namespace: string | undefined): Promise<void> {
  const { sandbox, mode, endpoints } = container
  if (!sandbox) return
  if (mode.kind === 'own') {
    mkdirSync(join(ctx.execDir, 'netns'), { recursive: true, mode: 0o700 })
    if (namespace === undefined) await ctx.namespaces.create(sandbox.netns)
    else await ctx.namespaces.adopt(sandbox.netns, namespace)
    for (const endpoint of endpoints) await joinEndpoint(ctx, container, endpoint)
    await publishPorts(ctx, container)
  }
  sandbox.resolvConfDigest = writeFiles(ctx, container)
  await serveNames(ctx, container)
  ctx.records.putContainer(container)
}

/** Tells containers that are linked to one where it is now. */
function greetLinked(ctx: Context, container: ContainerRecord): void {
  for (const other of ctx.records.containers.values()) {
    if (!other.sandbox || !other.host.Links?.length) continue
    const mine = linksOf(ctx, other).filter(({ target }) => target === container)
    changeHosts(ctx, other.id, { add: mine.flatMap((link) => linkEntries(ctx, link)) })
  }
}

/** Makes a container's sandbox with all its endpoints and published ports, or nothing. */
export async function attach(ctx: Context, container: ContainerRecord, { namespace }: { namespace?: string } = {}): Promise<NetworkSandbox> {
  if (container.mode.kind === 'container') return joinedSandbox(ctx, container.mode.id)
  if (container.sandbox) await takeDown(ctx, container) // of a start that did not end
  activate(ctx, container)
  try {
    await make(ctx, container, namespace)
  } catch (error) {
    await takeDown(ctx, container, { isSilent: true }).catch((failure: unknown) => ctx.logger.error('a network that was half made could not be taken down', { container: container.id, error: messageOf(failure) }))
    throw error
  }
  publishNames(ctx, container)
  greetLinked(ctx, container)
  for (const endpoint of container.endpoints) tell(ctx, 'connect', networkOfEndpoint(ctx, endpoint), { container: container.id })
  return sandboxOf(ctx, container)
}
