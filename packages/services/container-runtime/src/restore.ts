import { formatNano, messageOf, nowNano } from '@berth/core'
import type { Task } from '@berth/oci-runtime'
import { Container } from './container.ts'
import { bundleOf, type Context } from './context.ts'
import type { Lifecycle } from './lifecycle.ts'
import { zeroTime } from './records.ts'
import { releaseContainer } from './release.ts'
import { shouldStartWithEngine } from './restart-policy.ts'

/** Exit code of a container whose end nobody saw. */
const unknownExit = 255

/**
 * After a start of the engine: finds the tasks of running containers again, ends what was half done, and applies restart policies.
 * One container's failure does not keep the others.
 */
export async function restoreContainers(ctx: Context, lifecycle: Lifecycle): Promise<void> {
  const { records, containers, deps, logger } = ctx
  for (const record of records.all()) containers.add(new Container(record))
  const tasks = new Map<Container, Task>()
  await Promise.all(containers.all().map(async (container) => {
    try {
      const task = await findTask(ctx, container)
      if (task) tasks.set(container, task)
    } catch (error) {
      logger.error('a container could not be found again', { container: container.id, error: messageOf(error) })
    }
  })) // prettier-ignore
  const running = new Set([...tasks.keys()].map(({ id }) => id))
  await deps.networks.restore(running)
  await deps.volumes.restore(running)

  const attempt = async (container: Container, what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      logger.error(what, { container: container.id, error: messageOf(error) })
    }
  }
  await Promise.all(containers.all().map(async (container) => {
    const { record, state } = container
    const task = tasks.get(container)
    if (record.phase !== 'ready') {
      await attempt(container, 'what a crash left of a container could not be removed', async () => {
        await task?.kill(9, { all: true }).catch(() => {})
        await task?.wait()
        await task?.delete()
        await releaseContainer(ctx, container, { removeAnonymous: record.phase === 'creating' })
      })
    } else if (task) {
      await attempt(container, 'a container could not be taken over', () => lifecycle.adopt(container, task))
    } else if (container.isRunning || state.status === 'starting') {
      // The machine was restarted, or the crash came before the task was there: then what ended last is the run before, if there was one.
      const hasRun = state.status !== 'starting' && state.status !== 'restarting'
      Object.assign(state, { status: hasRun || state.startedAt !== zeroTime ? 'exited' : 'created', pid: 0 })
      if (hasRun) Object.assign(state, { exitCode: unknownExit, finishedAt: formatNano(nowNano()) })
      records.saveState(record)
    }
  })) // prettier-ignore

  // In the order of creation, so that containers that others join come first.
  const idle = containers.all().filter((container) => !container.run && container.record.phase === 'ready')
  for (const container of idle.toSorted((a, b) => (a.record.definition.createdAt < b.record.definition.createdAt ? -1 : 1))) {
    const { host } = container.record.definition
    if (container.state.status !== 'exited') continue
    if (host.AutoRemove) {
      await attempt(container, 'a container could not be removed after its end', () => lifecycle.remove(container, { force: false, volumes: true }))
    } else if (shouldStartWithEngine(host.RestartPolicy, container.state)) {
      await attempt(container, 'a container could not be started again', () => lifecycle.resume(container))
    }
  }
}

async function findTask(ctx: Context, container: Container): Promise<Task | undefined> {
  const { id, record, state } = container
  const { config, runtime } = record.definition
  if (!container.isRunning && state.status !== 'starting' && record.phase === 'ready') return undefined
  if (state.status === 'restarting') return undefined
  const execs = ctx.records.execsOf(id).map((exec) => ({ id: exec.id, stdio: { terminal: exec.config.Tty ?? false, stdin: exec.openStdin } }))
  const stdio = { terminal: config.Tty ?? false, stdin: config.OpenStdin ?? false }
  const task = await ctx.deps.runtimes.get(runtime)?.reconnect({ id, bundle: bundleOf(ctx, id), stdio, execs })
  if (!task || state.status !== 'starting') return task
  // A start that was not finished: either the process runs, or it is undone.
  if ((await task.status()) === 'running') return task
  await task.delete()
  return undefined
}
