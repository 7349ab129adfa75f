import type { Resources, RestartPolicy } from '@berth/api-types'
import { BerthError, messageOf } from '@berth/core'
import type { Container } from './container.ts'
import { type Context, emit } from './context.ts'
import { resourcesOf } from './spec/index.ts'
import { validateResources, validateRestartPolicy } from './validate-config.ts'

const cpuTime = ['NanoCpus', 'CpuPeriod', 'CpuQuota'] as const

/** Changes limits and the restart policy, of a running container at once. What is absent or zero stays as it is. */
export async function updateContainer(ctx: Context, container: Container, request: Resources & { RestartPolicy?: RestartPolicy }): Promise<{ Warnings: string[] }> {
  return ctx.locks.run(container.id, async () => {
    const { record } = container
    if (container.isRemoving || record.phase === 'removing') {
      throw new BerthError('conflict', 'CONTAINER_REMOVED', `Cannot update container ${container.id}: Container is marked for removal and cannot be "update".`)
    }
    const { RestartPolicy: policy, ...limits } = request
    const changes = Object.fromEntries(Object.entries(limits).filter(([, value]) => (Array.isArray(value) ? value.length > 0 : Boolean(value))))
    const current = record.definition.host
    const host = { ...current, ...changes, ...(policy?.Name ? { RestartPolicy: { Name: policy.Name, MaximumRetryCount: policy.MaximumRetryCount ?? 0 } } : {}) }
    // The two ways to say how much processor time replace each other.
    if (request.NanoCpus) for (const field of cpuTime.slice(1)) if (!request[field]) delete host[field]
    if (request.CpuPeriod || request.CpuQuota) if (!request.NanoCpus) delete host.NanoCpus
    if (policy) validateRestartPolicy(host.RestartPolicy, host.AutoRemove ?? false)
    const warnings = validateResources(host, ctx.machine)
    if (container.run && Object.keys(changes).length > 0) {
      try {
        const { devices: _devices, ...resources } = resourcesOf(host, ctx.machine)
        await container.run.task.update(resources)
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
