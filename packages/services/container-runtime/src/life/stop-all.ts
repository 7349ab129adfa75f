import { isKind, messageOf } from '@berth/core'
import type { Container } from '../container.ts'
import type { Context } from '../context.ts'
import { stopContainer } from './control.ts'
import type { Lifecycle } from './lifecycle.ts'
import { stopTimeoutOf } from './signals.ts'

/** Those whose namespaces or volumes a container uses, and those it is linked to. */
function dependenciesOf({ record }: Container): string[] {
  const { NetworkMode, PidMode, IpcMode, VolumesFrom, Links } = record.definition.host
  const joined = [NetworkMode, PidMode, IpcMode].filter((mode) => mode?.startsWith('container:')).map((mode) => (mode ?? '').slice('container:'.length))
  return [...joined, ...(VolumesFrom ?? []).map((spec) => spec.split(':')[0] ?? ''), ...(Links ?? []).map((link) => link.split(':')[0] ?? '')]
}

/** Stops all that run within `timeout` seconds: each in its own time, and what others depend on after these. One's failure does not keep the others. */
export async function stopAll(ctx: Context, lifecycle: Lifecycle, timeout: number): Promise<void> {
  const running = ctx.containers.all().filter(({ isRunning }) => isRunning)
  const deadline = Date.now() + timeout * 1000
  const ends = new Map<Container, Promise<void>>()
  const end = (container: Container): Promise<void> => {
    const known = ends.get(container)
    if (known) return known
    // Known before its dependents are asked: two that are linked to each other do not wait for each other.
    const { promise, resolve } = Promise.withResolvers<void>()
    ends.set(container, promise)
    const dependents = running.filter((other) => other !== container && dependenciesOf(other).some((ref) => ref === container.id || ref.replace(/^\//, '') === container.name))
    void Promise.all(dependents.map(end)).then(() => stop(container)).then(resolve)
    return promise
  }
  const stop = async (container: Container): Promise<void> => {
    const left = Math.max(0, (deadline - Date.now()) / 1000)
    const own = stopTimeoutOf(container.record.definition.config)
    try {
      await stopContainer(ctx, lifecycle, container, { timeout: own < 0 ? left : Math.min(own, left), byEngine: true })
    } catch (error) {
      if (!isKind(error, 'not-modified')) ctx.logger.error('a container could not be stopped', { container: container.id, error: messageOf(error) })
    }
  }
  await Promise.all(running.map(end))
}
