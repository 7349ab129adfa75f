import { messageOf } from '@berth/core'
import { type Context, tell } from './context.ts'
import type { ContainerRecord, EndpointRecord } from './network-records.ts'
import { changeHosts, linkEntries, linksOf, removeFiles } from './sandbox-files.ts'

/** Takes an endpoint's interface and published ports back. */
export async function leaveEndpoint({ records, drivers, dns }: Context, { networkId, active }: EndpointRecord): Promise<void> {
  if (!active) return
  dns.delete(active.id)
  const network = records.networks.get(networkId)
  const driver = network && drivers.get(network.driver)
  if (driver?.sandbox === 'own') await driver.leave(networkId, active.id)
}

/** Takes away what those linked to a container know of it. */
function dismissLinked(ctx: Context, container: ContainerRecord): void {
  for (const other of ctx.records.containers.values()) {
    if (!other.sandbox || other === container || !other.host.Links?.length) continue
    const mine = linksOf(ctx, other).filter(({ target }) => target === container)
    changeHosts(ctx, other.id, { remove: mine.flatMap((link) => linkEntries(ctx, link)) })
  }
}

/**
 * Takes a container's sandbox down, and frees its addresses. Everything is tried; what could not be taken down stays recorded for the next try, and the
 * first failure is thrown.
 */
export async function takeDown(ctx: Context, container: ContainerRecord, { isSilent = false }: { isSilent?: boolean } = {}): Promise<void> {
  const { sandbox } = container
  if (!sandbox) return
  ctx.dns.close(container.id)
  const failures: unknown[] = []
  try {
    dismissLinked(ctx, container)
  } catch (error) {
    // Another container's file, and perhaps a full disk.
    ctx.logger.warn('a container that is linked to one that stops could not be told', { container: container.id, error: messageOf(error) })
  }
  for (const [index, endpoint] of container.endpoints.entries()) {
    if (!endpoint.active) continue
    try {
      await leaveEndpoint(ctx, endpoint)
      container.endpoints = container.endpoints.with(index, { ...endpoint, active: undefined })
      const network = ctx.records.networks.get(endpoint.networkId)
      if (network && !isSilent) tell(ctx, 'disconnect', network, { container: container.id })
    } catch (error) {
      failures.push(error)
    }
  }
  if (sandbox.netns !== 'host') ctx.namespaces.delete(sandbox.netns)
  removeFiles(ctx, container.id)
  if (failures.length === 0) container.sandbox = undefined
  ctx.records.putContainer(container)
  if (failures.length > 0) throw failures[0]
}
