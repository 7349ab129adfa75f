import { existsSync } from 'node:fs'
import { formatNano, messageOf, nowNano } from '@berth/core'
import type { Task } from '@berth/oci-runtime'
import { Container } from '../container.ts'
import { bundleOf, type Context } from '../context.ts'
import { killContainer, restartContainer, stopContainer } from './control.ts'
import { patienceOf } from './end-run.ts'
import type { Lifecycle } from './lifecycle.ts'
import { resumeLog } from '../logs/log-driver.ts'
import { zeroTime } from '../records.ts'
import { releaseContainer } from './release.ts'
import { removeBundle } from './remove-bundle.ts'
import { shouldStartWithEngine } from './restart-policy.ts'
import { findRuntime } from './runtime-by-name.ts'
import { afterCrash } from './state-machine.ts'
import { endsWithin } from './within.ts'

/** Exit code of a container whose end nobody saw. */
const unknownExit = 255

/**
 * After a start of the engine: finds the tasks of running containers again, ends what was half done, and applies restart policies.
 * One container's failure does not keep the others.
 */
export async function restoreContainers(ctx: Context, lifecycle: Lifecycle): Promise<void> {
  const { records, containers, deps, logger } = ctx
  const gone: Container[] = []
  for (const record of records.all()) {
    const container = new Container(record)
    if (record.phase === 'removed') gone.push(container)
    else containers.add(container)
  }
  const all = [...containers.all(), ...gone]
  const tasks = new Map<Container, Task>()
  const unreachable = new Set<Container>()
  await Promise.all(all.map(async (container) => {
    try {
      const task = await findTask(ctx, container)
      if (task) tasks.set(container, task)
    } catch (error) {
      unreachable.add(container)
      logger.error('a container could not be found again', { container: container.id, error: messageOf(error) })
    }
  })) // prettier-ignore
  const running = new Set([...tasks.keys(), ...unreachable].map(({ id }) => id))
  await deps.networks.restore(running)
  await deps.volumes.restore(running)

  const attempt = async (container: Container, what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      if (!ctx.closed.aborted) logger.error(what, { container: container.id, error: messageOf(error) })
    }
  }
  await Promise.all(all.map(async (container) => {
    const { record } = container
    const task = tasks.get(container)
    if (record.phase !== 'ready') await finishRemoval(ctx, container, task)
    else if (task) await attempt(container, 'a container could not be taken over', () => lifecycle.adopt(container, task))
    else if (!unreachable.has(container)) await attempt(container, 'the end of a container could not be recorded', () => foundEnded(ctx, lifecycle, container))
  })) // prettier-ignore

  // In the order of creation, so that containers that others join come first.
  const idle = containers.all().filter((container) => !container.run && container.record.phase === 'ready')
  for (const container of idle) await attempt(container, 'what was not sent of a log could not be sent on', async () => resumeLog(ctx, container))
  for (const container of idle.toSorted((a, b) => (a.record.definition.createdAt < b.record.definition.createdAt ? -1 : 1))) {
    const { state } = container
    const { host } = container.record.definition
    if (state.intent?.kind === 'restart' || state.status !== 'exited') continue
    if (host.AutoRemove) {
      await attempt(container, 'a container could not be removed after its end', () => lifecycle.remove(container, { force: false, volumes: true }))
    } else if (shouldStartWithEngine(host.RestartPolicy, state)) {
      await attempt(container, 'a container could not be started again', () => lifecycle.resume(container))
    }
  }
  for (const container of containers.all()) void attempt(container, 'what a client asked for before a crash could not be completed', () => complete(ctx, lifecycle, container))
}

/** What a crash left of a container: a creation is undone, a removal completed. What cannot be done now is tried again later. */
async function finishRemoval(ctx: Context, container: Container, task: Task | undefined): Promise<void> {
  const { record, id } = container
  try {
    if (task) await findRuntime(ctx, record.definition.runtime)?.destroy({ id, bundle: bundleOf(ctx, id) })
    await releaseContainer(ctx, container, { removeAnonymous: record.phase === 'creating' || (record.state.removesVolumes ?? false) })
  } catch (error) {
    ctx.logger.error('what a crash left of a container could not be removed', { container: id, error: messageOf(error) })
    if (record.phase === 'creating') {
      record.state.removesVolumes = true
      record.phase = 'removed'
      ctx.containers.delete(container)
    } else if (record.phase === 'removing') record.state.status = 'dead'
    ctx.leftovers.add(container)
  }
}

/** A container that has no task, or one that is to be taken away: its end was recorded, and a crash came before the rest. */
async function foundEnded(ctx: Context, lifecycle: Lifecycle, container: Container): Promise<void> {
  const { state, id } = container
  const bundle = bundleOf(ctx, id)
  if (existsSync(bundle)) {
    await findRuntime(ctx, container.record.definition.runtime)?.destroy({ id, bundle })
    removeBundle(bundle)
  }
  // A start that the restart policy had put off comes when it is due.
  if (state.status === 'restarting') return lifecycle.resumeRestart(container)
  if (!container.isRunning && state.status !== 'starting') return
  // The machine was restarted, or the crash came before the task was there: then what ended last is the run before, if there was one.
  const hasRun = state.status !== 'starting'
  const ended = hasRun ? { exitCode: unknownExit, finishedAt: formatNano(nowNano()) } : {}
  const wasNew = !hasRun && state.startedAt === zeroTime
  Object.assign(state, { ...ended, status: wasNew ? 'created' : 'exited', pid: 0, ...(state.intent?.kind === 'restart' ? {} : { intent: undefined }) })
  ctx.records.saveState(container.record)
}

/** What a client had asked for and a crash cut off. */
async function complete(ctx: Context, lifecycle: Lifecycle, container: Container): Promise<void> {
  const { intent } = container.state
  if (!intent || afterCrash[intent.kind] !== 'complete') return
  const isOver = intent.kind !== 'restart' && !container.isRunning
  if (isOver || ('byEngine' in intent && intent.byEngine)) {
    container.state.intent = undefined
    return
  }
  if (intent.kind === 'kill') return killContainer(ctx, lifecycle, container, container.id, 'SIGKILL')
  const options = 'signal' in intent ? { signal: String(intent.signal), timeout: intent.timeout } : {}
  return intent.kind === 'stop' ? stopContainer(ctx, lifecycle, container, options) : restartContainer(ctx, lifecycle, container, options)
}

async function findTask(ctx: Context, container: Container): Promise<Task | undefined> {
  const { id, record, state } = container
  const { config, runtime } = record.definition
  if (!container.isRunning && state.status !== 'starting' && record.phase === 'ready') return undefined
  if (state.status === 'restarting') return undefined
  const execs = ctx.records.execsOf(id).map((exec) => ({ id: exec.id, stdio: { terminal: exec.config.Tty ?? false, stdin: exec.openStdin } }))
  const stdio = { terminal: config.Tty ?? false, stdin: config.OpenStdin ?? false }
  const found = findRuntime(ctx, runtime)?.reconnect({ id, bundle: bundleOf(ctx, id), stdio, execs })
  if (found && !(await endsWithin(found, patienceOf(ctx)))) throw new Error('the process that supervises it does not answer')
  const task = await found
  if (!task || state.status !== 'starting') return task
  // A start that was not finished: either the process runs, or it is undone.
  if ((await task.status()) === 'running') return task
  await task.delete()
  return undefined
}
