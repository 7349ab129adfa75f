import type { EndpointSettings } from '@berth/api-types'
import { BerthError, messageOf } from '@berth/core'
import { activateEndpoint, chooseDefaultRoute } from './activate-endpoint.ts'
import { joinEndpoint, networkOfEndpoint, publishPorts } from './attach.ts'
import { checkEndpoint } from './check-endpoint.ts'
import { publishNames, serveNames } from './container-names.ts'
import { type Context, driverOf, tell } from './context.ts'
import { leaveEndpoint } from './detach.ts'
import type { ContainerRecord, EndpointRecord, NetworkRecord } from './network-records.ts'
import { changeHosts, entriesOf, refreshResolvConf } from './sandbox-files.ts'

const conflict = (message: string): BerthError => new BerthError('conflict', 'NETWORK_CONFLICT', message)

/** Whether a container may be connected to another network at all. */
function checkConnectable({ records }: Context, network: NetworkRecord, { mode, endpoints }: ContainerRecord): void {
  if (mode.kind === 'host' || (network.isPredefined && network.name === 'host')) throw conflict('container cannot be disconnected from host network or connected to host network')
  if (mode.kind === 'container') throw conflict('container sharing network namespace with another container or host cannot be connected to any other network')
  const isNone = (candidate: NetworkRecord | undefined): boolean => candidate?.isPredefined === true && candidate.name === 'none'
  if (endpoints.some(({ networkId }) => isNone(records.networks.get(networkId))) || (endpoints.length > 0 && isNone(network))) {
    throw conflict('container cannot be connected to multiple networks with one of the networks in private (none) mode')
  }
}

/** Lets the endpoint that should have the default route have it, and the published ports with it. */
async function moveDefaultRoute(ctx: Context, container: ContainerRecord): Promise<void> {
  const wanted = chooseDefaultRoute(ctx, container)
  const current = container.endpoints.find(({ active }) => active?.isDefaultRoute)
  if (wanted === current) return
  if (current?.active) {
    const driver = driverOf(ctx, networkOfEndpoint(ctx, current).driver)
    await driver.unpublish(current.networkId, current.active.id)
    await driver.setDefaultRoute(current.networkId, current.active.id, false)
    Object.assign(current.active, { isDefaultRoute: false, published: [] })
  }
  if (!wanted?.active) return
  await driverOf(ctx, networkOfEndpoint(ctx, wanted).driver).setDefaultRoute(wanted.networkId, wanted.active.id, true)
  wanted.active.isDefaultRoute = true
  await publishPorts(ctx, container)
}

/** Connects a container, running or not, to a network. All or nothing. */
export async function connectContainer(ctx: Context, network: NetworkRecord, container: ContainerRecord, settings: EndpointSettings | undefined): Promise<void> {
  checkConnectable(ctx, network, container)
  if (container.endpoints.some(({ networkId }) => networkId === network.id)) {
    throw new BerthError('permission-denied', 'ENDPOINT_EXISTS', `endpoint with name ${container.name} already exists in network ${network.name}`)
  }
  const before = container.endpoints
  const planned = checkEndpoint(ctx, network, settings)
  const endpoint = container.sandbox ? activateEndpoint(ctx, container, planned) : planned
  container.endpoints = [...before, endpoint]
  ctx.records.putContainer(container)
  if (!container.sandbox) return
  try {
    await joinEndpoint(ctx, container, endpoint)
    await moveDefaultRoute(ctx, container)
    changeHosts(ctx, container.id, { add: entriesOf(container, endpoint) })
    await serveNames(ctx, container)
  } catch (error) {
    await undoConnect(ctx, container, endpoint)
    throw error
  }
  refreshResolvConf(ctx, container)
  publishNames(ctx, container)
  ctx.records.putContainer(container)
  tell(ctx, 'connect', network, { container: container.id })
}

async function undoConnect(ctx: Context, container: ContainerRecord, endpoint: EndpointRecord): Promise<void> {
  try {
    await dropEndpoint(ctx, container, endpoint)
  } catch (error) {
    // It stays recorded, and is taken down with the container.
    ctx.logger.error('an endpoint that was half made could not be removed', { container: container.id, error: messageOf(error) })
  }
  ctx.records.putContainer(container)
}

async function dropEndpoint(ctx: Context, container: ContainerRecord, endpoint: EndpointRecord): Promise<void> {
  const entries = entriesOf(container, endpoint)
  await leaveEndpoint(ctx, endpoint)
  container.endpoints = container.endpoints.filter((other) => other !== endpoint)
  if (!container.sandbox) return
  changeHosts(ctx, container.id, { remove: entries })
  await moveDefaultRoute(ctx, container)
  await serveNames(ctx, container)
}

/** Takes a container, running or not, off a network. */
export async function disconnectContainer(ctx: Context, network: NetworkRecord, container: ContainerRecord): Promise<void> {
  if (container.mode.kind === 'host') throw conflict('container cannot be disconnected from host network or connected to host network')
  const endpoint = container.endpoints.find(({ networkId }) => networkId === network.id)
  if (!endpoint) throw conflict(`container ${container.id} is not connected to network ${network.name}`)
  try {
    await dropEndpoint(ctx, container, endpoint)
  } finally {
    ctx.records.putContainer(container)
  }
  if (endpoint.active) tell(ctx, 'disconnect', network, { container: container.id })
}
