import type { HostConfig, Resources, RestartPolicy } from '@berth/api-types'
import { BerthError, messageOf } from '@berth/core'
import type { Container } from '../container.ts'
import { type Context, emit } from '../context.ts'
import { limitsOf } from '../spec/index.ts'
import { invalid, validateRestartPolicy } from './validate-config.ts'
import { validateResources } from './validate-resources.ts'

type UpdateRequest = Resources & { RestartPolicy?: RestartPolicy }

/** What an existing control group can be told. */
const changeable = [
  'Memory', 'MemorySwap', 'MemoryReservation', 'MemorySwappiness', 'OomKillDisable', 'KernelMemoryTCP', 'CpuShares', 'NanoCpus', 'CpuPeriod', 'CpuQuota',
  'CpuRealtimePeriod', 'CpuRealtimeRuntime', 'CpusetCpus', 'CpusetMems', 'PidsLimit', 'BlkioWeight', 'BlkioWeightDevice', 'BlkioDeviceReadBps',
  'BlkioDeviceWriteBps', 'BlkioDeviceReadIOps', 'BlkioDeviceWriteIOps',
] as const satisfies (keyof Resources)[] // prettier-ignore

/** Of Windows: checked, and warned of as at creation. */
const foreign = ['CpuCount', 'CpuPercent', 'IOMaximumIOps', 'IOMaximumBandwidth'] as const satisfies (keyof Resources)[]

const known: ReadonlySet<string> = new Set([...changeable, ...foreign])

/** Whether a member says something: zero and empty lists are what clients send for nothing. Zero processes is the exception: it takes the limit away. */
function isGiven([name, value]: [string, unknown]): boolean {
  return Array.isArray(value) ? value.length > 0 : Boolean(value) || (name === 'PidsLimit' && value === 0)
}

/** Refuses what would undo what was asked for otherwise. Throws `conflict`, in Docker's words. */
function checkAgainst(current: HostConfig, changes: Resources): void {
  const conflict = (message: string): never => {
    throw new BerthError('conflict', 'UPDATE_CONFLICT', message)
  }
  const { Memory = 0, MemorySwap = 0, NanoCpus = 0, CpuPeriod = 0, CpuQuota = 0 } = changes
  if (NanoCpus && current.CpuPeriod) conflict('Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set')
  if (NanoCpus && current.CpuQuota) conflict('Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set')
  if (CpuPeriod && current.NanoCpus) conflict('Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set')
  if (CpuQuota && current.NanoCpus) conflict('Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set')
  if (Memory > (current.MemorySwap ?? 0) && MemorySwap === 0) {
    conflict('Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time')
  }
}

/** Throws `conflict` for a container that goes once it has ended. */
function checkPolicy(current: HostConfig, policy: RestartPolicy | undefined): void {
  if (!policy?.Name) return
  if (current.AutoRemove && policy.Name !== 'no') {
    throw new BerthError('conflict', 'UPDATE_CONFLICT', 'Restart policy cannot be updated because AutoRemove is enabled for the container')
  }
  validateRestartPolicy(policy, false)
}

/**
 * Changes limits and the restart policy, of a running container at once. What is absent or zero stays as it is.
 * @throws `invalid-argument` for limits that cannot be, and for members that only a new container can have; `conflict` for what its other settings rule out
 */
export async function updateContainer(ctx: Context, container: Container, request: UpdateRequest): Promise<{ Warnings: string[] }> {
  return ctx.locks.run(container.id, async () => {
    const { record } = container
    const cannot = (error: unknown): unknown => {
      if (!(error instanceof BerthError) || error.kind !== 'conflict') return error
      return new BerthError(error.kind, error.code, `Cannot update container ${container.id}: ${error.message}`, { cause: error })
    }
    if (container.isRemoving || record.phase === 'removing') {
      throw cannot(new BerthError('conflict', 'CONTAINER_REMOVED', 'container is marked for removal and cannot be "update"'))
    }
    const { RestartPolicy: policy, ...asked } = request
    const given = Object.entries(asked).filter(isGiven)
    const fixed = given.find(([name]) => !known.has(name))
    if (fixed) throw invalid(`${fixed[0]} cannot be updated: it belongs to a container from its creation`)
    const { resources: changes, warnings } = validateResources<Resources>(Object.fromEntries(given), ctx.machine, { isUpdate: true })
    const current = record.definition.host
    try {
      checkAgainst(current, changes)
      checkPolicy(current, policy)
    } catch (error) {
      throw cannot(error)
    }
    const host = { ...current, ...changes, ...(policy?.Name ? { RestartPolicy: { Name: policy.Name, MaximumRetryCount: policy.MaximumRetryCount ?? 0 } } : {}) }
    // Changed limits must go with those that stay.
    validateResources(host, ctx.machine)
    if (container.run && Object.keys(changes).length > 0) {
      try {
        await container.run.task.update(limitsOf(host, ctx.machine))
      } catch (error) {
        throw new BerthError('internal', 'UPDATE_FAILED', `Cannot update container ${container.id}: ${messageOf(error)}`, { cause: error })
      }
    }
    record.definition = { ...record.definition, host }
    ctx.records.saveDefinition(record)
    emit(ctx, container, 'update')
    return { Warnings: warnings }
  })
}
