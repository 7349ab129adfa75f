import { BerthError } from '@berth/core'
import { activeOn, type Context, driverOf, type Filters, invalid, tell } from './context.ts'
import { findNetwork } from './find.ts'
import { matchesLabel } from './list-networks.ts'
import type { NetworkRecord } from './network-records.ts'

/** Removes a network that no running container is on. */
export async function removeNetwork(ctx: Context, ref: string): Promise<void> {
  const network = findNetwork(ctx, ref)
  const { id, name } = network
  if (network.isPredefined) throw new BerthError('permission-denied', 'NETWORK_PREDEFINED', `${name} is a pre-defined network and cannot be removed`)
  if (activeOn(ctx, id).length > 0) throw new BerthError('permission-denied', 'NETWORK_IN_USE', `error while removing network: network ${name} id ${id} has active endpoints`)
  // From here on nobody finds it, so nobody joins it.
  network.phase = 'removing'
  ctx.records.putNetwork(network)
  try {
    await driverOf(ctx, network.driver).removeNetwork(id)
  } catch (error) {
    network.phase = 'ready'
    ctx.records.putNetwork(network)
    throw error
  }
  ctx.records.deleteNetwork(id)
  ctx.addresses.forget(id)
  tell(ctx, 'destroy', network)
}

/** A time as Docker's filters have it: seconds since the epoch, RFC 3339, or a duration before now (`24h`). */
function parseUntil(text: string): number {
  if (/^\d{1,12}(\.\d{1,9})?$/.test(text)) return Number(text) * 1000
  const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
  if (/^(\d{1,9}(?:\.\d{1,9})?(ms|s|m|h))+$/.test(text)) {
    return Date.now() - [...text.matchAll(/([\d.]+)(ms|s|m|h)/g)].reduce((sum, [, amount, unit = '']) => sum + Number(amount) * (units[unit] ?? 0), 0)
  }
  const time = Date.parse(text)
  if (Number.isNaN(time)) throw invalid('FILTER_INVALID', `invalid filter 'until=${text}'`)
  return time
}

/** Removes every network of the user's own that no running container is on. */
export async function pruneNetworks(ctx: Context, filters: Filters): Promise<{ NetworksDeleted: string[] }> {
  for (const key of filters.keys()) if (!['until', 'label', 'label!'].includes(key)) throw invalid('FILTER_INVALID', `invalid filter '${key}'`)
  const until = (filters.get('until') ?? []).map(parseUntil)
  const isChosen = (network: NetworkRecord): boolean =>
    !network.isPredefined &&
    network.phase === 'ready' &&
    activeOn(ctx, network.id).length === 0 &&
    until.every((time) => Date.parse(network.createdAt) < time) &&
    (filters.get('label') ?? []).every((label) => matchesLabel(network, label)) &&
    !(filters.get('label!') ?? []).some((label) => matchesLabel(network, label))
  const deleted: string[] = []
  for (const network of [...ctx.records.networks.values()].filter(isChosen)) {
    try {
      await removeNetwork(ctx, network.id)
      deleted.push(network.name)
    } catch (error) {
      ctx.logger.warn('a network could not be pruned', { network: network.name, error }) // taken into use meanwhile
    }
  }
  return { NetworksDeleted: deleted }
}
