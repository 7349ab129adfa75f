import { readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { isErrno, messageOf } from '@berth/core'
import type { RestoredNetwork } from '@berth/network-driver'
import { endpointDefinition } from './activate-endpoint.ts'
import { publishNames, serveNames } from './container-names.ts'
import { activeOn, type Context, definitionOf } from './context.ts'
import type { ContainerRecord, NetworkRecord } from './network-records.ts'
import { removeFiles } from './sandbox-files.ts'

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return []
    throw error
  }
}

/** Removes namespaces and files that no record tells of. */
function sweep(ctx: Context): void {
  const containers = [...ctx.records.containers.values()].filter(({ sandbox }) => sandbox)
  const namespaces = new Set(containers.map(({ sandbox }) => sandbox?.netns))
  const directory = join(ctx.execDir, 'netns')
  for (const name of namesIn(directory)) if (!namespaces.has(join(directory, name))) ctx.namespaces.delete(join(directory, name))
  const files = new Set(containers.map(({ id }) => id))
  for (const id of namesIn(ctx.filesDir)) if (!files.has(id)) removeFiles(ctx, id)
}

function restored(ctx: Context, network: NetworkRecord): RestoredNetwork {
  const endpoints = activeOn(ctx, network.id).flatMap(({ endpoints: all, sandbox }) =>
    all
      .filter(({ networkId }) => networkId === network.id)
      .flatMap((endpoint) => (endpoint.active && sandbox && sandbox.netns !== 'host' ? [{ endpoint: endpointDefinition(endpoint, endpoint.active, sandbox.netns), published: endpoint.active.published }] : [])),
  )
  return { network: definitionOf(network), endpoints }
}

/**
 * After a start: what was half done is undone, sandboxes of containers not in `running` are gone, the kernel has what the records say, and the name servers
 * of the others, which ended with the process before, answer again.
 */
export async function restoreNetworks(ctx: Context, running: ReadonlySet<string>): Promise<void> {
  const { records } = ctx
  for (const { id, phase } of records.networks.values()) if (phase !== 'ready') records.deleteNetwork(id)
  for (const container of records.containers.values()) {
    if (!container.sandbox || running.has(container.id)) continue
    records.putContainer({ ...container, sandbox: undefined, endpoints: container.endpoints.map((endpoint) => ({ ...endpoint, active: undefined })) })
  }
  for (const { name, driver } of records.networks.values()) if (!ctx.drivers.has(driver)) ctx.logger.warn('a network has no driver', { network: name, driver })
  for (const [name, driver] of ctx.drivers) {
    const networks = [...records.networks.values()].filter((network) => network.driver === name)
    await driver.restore(networks.map((network) => restored(ctx, network)))
  }
  sweep(ctx)
  await Promise.all([...records.containers.values()].map((container) => resumeNames(ctx, container)))
}

async function resumeNames(ctx: Context, container: ContainerRecord): Promise<void> {
  if (!container.sandbox) return
  publishNames(ctx, container)
  try {
    await serveNames(ctx, container)
  } catch (error) {
    ctx.logger.error('the name server of a container could not be opened again', { container: container.id, error: messageOf(error) })
  }
}

/** Takes the networks that no running container is on out of the kernel. Their records stay, and {@link restoreNetworks} makes them again. */
export async function shutDownNetworks(ctx: Context): Promise<void> {
  for (const { id, name, driver } of ctx.records.networks.values()) {
    if (activeOn(ctx, id).length > 0) continue
    try {
      await ctx.drivers.get(driver)?.removeNetwork(id)
    } catch (error) {
      ctx.logger.error('a network could not be taken down', { network: name, error: messageOf(error) })
    }
  }
  for (const dir of [join(ctx.execDir, 'netns'), ctx.filesDir, ctx.execDir]) {
    try {
      rmdirSync(dir)
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTEMPTY', 'EBUSY')) throw error // in use by containers that run on
    }
  }
}
