import { BerthError, formatNano, messageOf, nowNano } from '@berth/core'
import type { Exit, Task } from '@berth/oci-runtime'
import { engineAnnotations } from '../annotations.ts'
import type { Container, Run } from '../container.ts'
import { bundleOf, type Context, emit, noteState } from '../context.ts'
import { endRun } from './end-run.ts'
import type { Execs } from '../execs/execs.ts'
import { healthCommand, HealthMonitor } from './health.ts'
import { beginLog, endLog } from '../logs/container-log.ts'
import { Removals, type RemoveOptions } from './removals.ts'
import { removeBundle } from './remove-bundle.ts'
import { nextDelay, shouldRestart, shouldRestartUnhealthy } from './restart-policy.ts'
import { exitCodeOfStartError, startError } from './start-error.ts'
import { outputOf } from '../streams/container-streams.ts'
import { prepareLog } from '../logs/log-driver.ts'
import { makeTask } from './make-task.ts'
import type { ContainerState } from '../records.ts'
import { endsWithin } from './within.ts'
import { stopSignalOf, stopTimeoutOf } from './signals.ts'

const createErrorPrefix = 'failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: '

/** Brings containers from one state to the next; each container's transitions happen one at a time. */
export class Lifecycle {
  readonly #ctx: Context
  readonly #execs: Execs
  readonly #removals: Removals

  constructor(ctx: Context, execs: Execs) {
    this.#ctx = ctx
    this.#execs = execs
    this.#removals = new Removals(ctx, execs)
  }

  /**
   * Throws `not-modified` when it runs already, `invalid-argument` for a command that cannot be run.
   * @param checkpoint directory of what it goes on from
   */
  async start(container: Container, checkpoint?: string): Promise<void> {
    let isTried = false
    try {
      await this.#ctx.locks.run(container.id, async () => {
        await this.#ctx.files.drained(container.id)
        this.#checkStartable(container)
        isTried = true
        await prepareLog(this.#ctx, container)
        Object.assign(container.state, { restartCount: 0, restartDelay: undefined, manuallyStopped: false })
        await this.#launch(container, checkpoint)
      })
    } catch (error) {
      if (isTried && container.record.definition.host.AutoRemove && !container.isRunning) await this.#removals.removeUnstarted(container)
      throw error
    }
  }

  /** Starts as the restart policy does when the engine starts. */
  async resume(container: Container): Promise<void> {
    await this.#ctx.locks.run(container.id, async () => {
      await this.#ctx.files.drained(container.id)
      this.#checkStartable(container)
      await this.#launch(container)
    })
  }

  /** Takes over a task that was started earlier: it may run or have ended. */
  async adopt(container: Container, task: Task): Promise<void> {
    const { state } = container
    const streams = outputOf(this.#ctx, container)
    streams.log = beginLog(this.#ctx, container)
    streams.connect(task)
    const status = await task.status()
    // Its start was cut off between the process's and the record's.
    const cutOff = state.status === 'starting' ? { exitCode: 0, error: '', startedAt: formatNano(nowNano()), health: undefined } : {}
    container.become(status === 'paused' ? 'paused' : 'running', { ...cutOff, pid: task.pid })
    // The kernel has told how a pause went.
    if (state.intent?.kind === 'pause' || state.intent?.kind === 'unpause') state.intent = undefined
    this.#ctx.records.saveState(container.record)
    this.#execs.adopt(container, task.execs())
    this.#follow(container, this.#runOf(container, task))
  }

  /** Goes on with a start that the restart policy had put off when the engine ended. */
  resumeRestart(container: Container): void {
    this.#restartAt(container, container.state.restartAt ?? 0)
  }

  /** Cancels a start that the restart policy has put off. Whether there was one. */
  async cancelRestart(container: Container): Promise<boolean> {
    return this.#ctx.locks.run(container.id, async () => {
      if (!container.pendingRestart) return false
      clearTimeout(container.pendingRestart.timer)
      container.pendingRestart = undefined
      container.become('exited', { restartAt: undefined, ...(container.isRestarted ? {} : { intent: undefined }) })
      noteState(this.#ctx, container)
      container.settleWaiters('exit', { StatusCode: container.state.exitCode })
      return true
    })
  }

  /** @see Removals.remove */
  remove(container: Container, options: RemoveOptions): Promise<void> {
    return this.#removals.remove(container, options)
  }

  #checkStartable(container: Container): void {
    const { state, record } = container
    if (container.isRemoving || record.phase !== 'ready' || state.status === 'dead') {
      throw new BerthError('conflict', 'CONTAINER_REMOVED', 'container is marked for removal and cannot be started')
    }
    if (state.status === 'paused') throw new BerthError('conflict', 'CONTAINER_PAUSED', 'cannot start a paused container, try unpause instead')
    if (container.isRunning) throw new BerthError('not-modified', 'CONTAINER_RUNNING', `container ${container.id} is already running`)
  }

  async #launch(container: Container, checkpoint?: string): Promise<void> {
    const { closed, records } = this.#ctx
    const { state, record } = container
    const wasRestarting = state.status === 'restarting'
    const before = wasRestarting ? 'exited' : state.status
    // What a client has asked for since the restart policy began with this start is not done by it.
    const intent = wasRestarting ? state.intent : undefined
    container.become('starting', { restartAt: undefined, oomKilled: false })
    records.saveState(record)
    this.#ctx.failPoint('start.recorded')
    try {
      const run = await this.#begin(container, checkpoint)
      this.#ctx.failPoint('start.started')
      if (closed.aborted) throw new BerthError('cancelled', 'RUNTIME_DISPOSED', `container ${container.id} was started while the runtime let go of it`)
      const changes = { pid: run.task.pid, exitCode: 0, error: '', startedAt: formatNano(nowNano()), intent, health: this.#freshHealth(container) }
      container.become('running', changes)
      // It runs: what cannot be recorded now is found out by the next engine, as `starting` says.
      noteState(this.#ctx, container)
      this.#ctx.failPoint('start.running')
      emit(this.#ctx, container, 'start')
      this.#follow(container, run)
    } catch (error) {
      // What there is of it is the next engine's, which finds it as `starting`.
      if (closed.aborted) throw error
      const failure = startError(error, createErrorPrefix)
      await this.#giveBack(container)
      container.streams?.end()
      container.streams = undefined
      container.become(before, { pid: 0, error: failure.message, exitCode: exitCodeOfStartError(error), intent })
      noteState(this.#ctx, container)
      if (wasRestarting) container.settleWaiters('exit', { StatusCode: state.exitCode, Error: { Message: failure.message } })
      throw failure
    }
  }

  async #begin(container: Container, checkpoint: string | undefined): Promise<Run> {
    const task = await makeTask(this.#ctx, container, checkpoint)
    this.#ctx.failPoint('start.task-made')
    const run = this.#runOf(container, task)
    try {
      // A removal by force does not wait for ever.
      if (container.record.phase !== 'ready') throw new BerthError('conflict', 'CONTAINER_REMOVED', `container ${container.id} was removed while it was started`)
      await task.start()
      return run
    } catch (error) {
      await task.delete().catch(() => {})
      endLog(container)
      throw error
    }
  }

  #runOf(container: Container, task: Task): Run {
    task.onOom(() => {
      container.state.oomKilled = true
      noteState(this.#ctx, container)
      emit(this.#ctx, container, 'oom')
    })
    return { task, isUnhealthy: false, isLeaving: false, ended: Promise.resolve(), over: Promise.resolve(), signalled: Promise.resolve() }
  }

  /** What it has been probed for in its runs before stays to be read, as in Docker. */
  #freshHealth({ record: { definition, state } }: Container): ContainerState['health'] {
    const { Healthcheck, Shell } = definition.config
    return healthCommand(Healthcheck, Shell ?? []) && { Status: 'starting', FailingStreak: 0, Log: state.health?.Log ?? [] }
  }

  #follow(container: Container, run: Run): void {
    container.run = run
    run.ended = this.#watch(container, run)
    run.over = run.ended.then(() => this.#removeAtEnd(container, run))
    const { state, record } = container
    const { Healthcheck, Shell } = record.definition.config
    const shell = Shell?.length ? Shell : ['/bin/sh', '-c']
    const health = state.health ?? this.#freshHealth(container)
    if (!Healthcheck || !health) return
    state.health = health
    container.health = new HealthMonitor({
      config: Healthcheck,
      shell,
      health,
      startedAt: Date.parse(state.startedAt),
      probe: (command, signal) => this.#execs.probe(container, command, signal),
      isPaused: () => state.status === 'paused' || state.intent?.kind === 'pause',
      onProbed: (health) => {
        state.health = health
        noteState(this.#ctx, container)
      },
      onStatus: (status) => {
        emit(this.#ctx, container, `health_status: ${status}`)
        if (status === 'unhealthy') this.#endUnhealthy(container, run)
      },
    })
    // The engine ended before it could do what this asks for.
    if (container.health.status === 'unhealthy') this.#endUnhealthy(container, run)
  }

  /** Stops a container that asks for it, so that it is started again as after a failure. */
  #endUnhealthy(container: Container, run: Run): void {
    const { config, host } = container.record.definition
    if (!engineAnnotations(host).restartUnhealthy || container.isStopping || container.isRemoving) return
    run.isUnhealthy = true
    container.health?.[Symbol.dispose]()
    void endRun(this.#ctx, container, run, { signal: stopSignalOf(config), timeout: stopTimeoutOf(config) }).catch((error: unknown) => {
      this.#ctx.logger.error('an unhealthy container could not be stopped', { container: container.id, error: messageOf(error) })
    })
  }

  async #watch(container: Container, run: Run): Promise<void> {
    const { closed, locks, logger } = this.#ctx
    try {
      const exit = await run.task.wait()
      if (closed.aborted) return
      this.#ctx.failPoint('end.seen')
      await container.streams?.drain()
      if (closed.aborted) return
      await endsWithin(run.signalled, 1000)
      await locks.run(container.id, () => this.#recordEnd(container, run, exit))
    } catch (error) {
      if (!closed.aborted) logger.error('the end of a container could not be handled', { container: container.id, error: messageOf(error) })
    }
  }

  /** A client that stops it is told of that first. */
  async #removeAtEnd(container: Container, run: Run): Promise<void> {
    if (!run.isLeaving || this.#ctx.closed.aborted) return
    await new Promise(setImmediate)
    await this.#removals.removeEnded(container, () => this.#takeDown(container.id, run.task))
  }

  async #recordEnd(container: Container, run: Run, exit: Exit): Promise<void> {
    const { closed } = this.#ctx
    if (closed.aborted) return
    const { state, record } = container
    const { RestartPolicy } = record.definition.host
    const ranFor = Math.max(0, exit.at.getTime() - Date.parse(state.startedAt))
    endLog(container)
    container.run = undefined
    container.streams = undefined
    container.health?.[Symbol.dispose]()
    const ended = { ...state, exitCode: exit.status }
    const isWanted = record.phase === 'ready' && !container.isRemoving && !container.isStopping
    const isRestarting = isWanted && (shouldRestart(RestartPolicy, ended) || (run.isUnhealthy && shouldRestartUnhealthy(RestartPolicy, ended)))
    const restartDelay = isRestarting ? nextDelay(state.restartDelay ?? 0, ranFor) : state.restartDelay
    container.become(isRestarting ? 'restarting' : 'exited', {
      pid: 0,
      exitCode: exit.status,
      finishedAt: formatNano(BigInt(exit.at.getTime()) * 1_000_000n),
      restartDelay,
      restartAt: isRestarting ? Date.now() + (restartDelay ?? 0) : undefined,
      intent: container.isRestarted ? state.intent : undefined,
      // Docker's word for what nobody looks after any more.
      health: state.health && { ...state.health, Status: 'unhealthy' },
    })
    noteState(this.#ctx, container)
    this.#ctx.failPoint('end.recorded')
    if (record.phase !== 'removed') emit(this.#ctx, container, 'die', { exitCode: String(exit.status), execDuration: String(Math.floor(ranFor / 1000)) })
    run.isLeaving = Boolean(record.definition.host.AutoRemove) && record.phase === 'ready' && !container.isRemoving && !container.isRestarted && !isRestarting
    // What it holds is given back with the rest of it; nobody starts it before.
    if (run.isLeaving) container.isRemoving = true
    container.settleWaiters('exit', { StatusCode: exit.status })
    if (run.isLeaving) return
    await this.#giveBack(container, run.task)
    this.#ctx.failPoint('end.given-back')
    if (isRestarting) this.#restartAt(container, state.restartAt ?? 0)
  }

  #restartAt(container: Container, at: number): void {
    if (this.#ctx.closed.aborted) return
    // A clock that was set back does not make the wait longer.
    const wait = Math.min(at - Date.now(), container.state.restartDelay ?? 0)
    container.pendingRestart = { timer: setTimeout(() => void this.#restartNow(container), Math.max(0, wait)) }
  }

  async #restartNow(container: Container): Promise<void> {
    const { closed, files, locks, logger } = this.#ctx
    try {
      await locks.run(container.id, async () => {
        await files.drained(container.id)
        if (!container.pendingRestart || container.isRemoving || closed.aborted) return
        container.pendingRestart = undefined
        container.state.restartCount++
        noteState(this.#ctx, container)
        this.#ctx.failPoint('retry.recorded')
        await this.#launch(container)
      })
    } catch (error) {
      if (!closed.aborted) logger.error('a container could not be started again', { container: container.id, error: messageOf(error) })
    }
  }

  /** Gives back what a container holds only while it runs. What fails is logged: the next start or the removal tries again. */
  async #giveBack(container: Container, task?: Task): Promise<void> {
    const { deps, logger } = this.#ctx
    const { id } = container
    const results = await Promise.allSettled([
      this.#takeDown(id, task),
      deps.networks.detach(id),
    ])
    for (const result of results) {
      if (result.status === 'rejected') logger.error('a container did not give everything back', { container: id, error: messageOf(result.reason) })
    }
  }

  async #takeDown(id: string, task: Task | undefined): Promise<void> {
    try {
      await task?.delete()
      removeBundle(bundleOf(this.#ctx, id))
    } finally {
      // Volumes can be unmounted when the task's own mounts are gone.
      await this.#ctx.deps.volumes.detach(id)
    }
  }
}
