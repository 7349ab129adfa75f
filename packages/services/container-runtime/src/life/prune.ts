import { isKind, messageOf } from '@berth/core'
import { type Context } from '../context.ts'
import type { Lifecycle } from './lifecycle.ts'
import { type Filters, matchesLabel } from '../look/list-filters.ts'
import { invalid } from '../create/validate-config.ts'

const units: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 }

/** `10m`, `24h`, seconds since the epoch, or RFC 3339, as milliseconds since the epoch. Throws `invalid-argument`. */
export function parseUntil(text: string, now: number): number {
  if (/^\d{1,12}(\.\d+)?$/.test(text)) return Number(text) * 1000
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)]
  if (parts.length > 0 && parts.map(([part]) => part).join('') === text) return now - parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (units[unit ?? ''] ?? 0), 0)
  const time = Date.parse(text)
  if (Number.isNaN(time)) throw invalid(`failed to parse value as time or duration: "${text}"`)
  return time
}

/** Removes containers that do not run. */
export async function pruneContainers(ctx: Context, lifecycle: Lifecycle, filters: Filters): Promise<{ ContainersDeleted: string[]; SpaceReclaimed: number }> {
  const unknown = [...filters.keys()].find((key) => !['label', 'label!', 'until'].includes(key))
  if (unknown !== undefined) throw invalid(`invalid filter '${unknown}'`)
  const until = filters.get('until')
  if (until && until.length > 1) throw invalid('more than one until filter specified')
  const before = until?.[0] === undefined ? Infinity : parseUntil(until[0], Date.now())
  const deleted: string[] = []
  let reclaimed = 0
  for (const container of ctx.containers.all()) {
    const { config, createdAt } = container.record.definition
    if (container.isRunning || container.state.status === 'starting' || container.record.phase !== 'ready') continue
    if (Date.parse(createdAt) >= before) continue
    if (!(filters.get('label') ?? []).every((label) => matchesLabel(config.Labels, label))) continue
    if ((filters.get('label!') ?? []).some((label) => matchesLabel(config.Labels, label))) continue
    try {
      const { bytes } = await ctx.deps.snapshotter.usage(container.id)
      await lifecycle.remove(container, { force: false, volumes: false })
      deleted.push(container.id)
      reclaimed += bytes
    } catch (error) {
      // Started or removed by somebody else meanwhile. One that cannot be removed does not keep the others.
      if (!isKind(error, 'conflict', 'not-found')) ctx.logger.warn('a container could not be pruned', { container: container.id, error: messageOf(error) })
    }
  }
  return { ContainersDeleted: deleted, SpaceReclaimed: reclaimed }
}
