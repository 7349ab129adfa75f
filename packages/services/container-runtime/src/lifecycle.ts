import { BerthError, formatNano, isKind, messageOf, nowNano } from '@berth/core'
import type { Exit, Task } from '@berth/oci-runtime'
import type { Container, Run } from './container.ts'
import { bundleOf, type Context, emit, noteState } from './context.ts'
import type { Execs } from './execs.ts'
import { healthCommand, HealthMonitor } from './health.ts'
import { openLog } from './log-driver.ts'
import { releaseContainer } from './release.ts'
import { removeBundle } from './remove-bundle.ts'
import { nextDelay, shouldRestart } from './restart-policy.ts'
import { exitCodeOfStartError, startError } from './start-error.ts'
import { outputOf } from './container-streams.ts'
import { makeTask } from './make-task.ts'

const createErrorPrefix = 'failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: '

/** Brings containers from one state to the next; each container's transitions happen one at a time. */
export class Lifecycle {
  readonly #ctx: Context
  readonly #execs: Execs

  constructor(ctx: Context, execs: Execs) {
    this.#ctx = ctx
    this.#execs = execs
  }

  /** Throws `not-modified` when it runs already, `invalid-argument` for a command that cannot be run. */
  async start(container: Container): Promise<void> {
    let isTried = false
    try {
      await this.#ctx.locks.run(container.id, async () => {
        await this.#ctx.files.drained(container.id)
        this.#checkStartable(container)
        isTried = true
        container.restartDelay = 0
        container.state.restartCount = 0
        container.state.manuallyStopped = false
        await this.#launch(container)
      })
    } catch (error) {
      if (isTried && container.record.definition.host.AutoRemove && !container.isRunning) await this.#autoRemove(container)
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
    const log = openLog(this.#ctx, container)
    streams.log = log
    streams.connect(task)
    const status = await task.status()
    // Its start was cut off between the process's and the record's.
    if (state.status === 'starting') Object.assign(state, { exitCode: 0, error: '', oomKilled: false, startedAt: formatNano(nowNano()) })
    if (status !== 'stopped') state.status = status === 'paused' ? 'paused' : 'running'
    state.pid = task.pid
    this.#ctx.records.saveState(container.record)
    this.#execs.adopt(container, task.execs())
    this.#follow(container, this.#runOf(container, task, log))
  }

  /** Cancels a start that the restart policy has put off. Whether there was one. */
  async cancelRestart(container: Container): Promise<boolean> {
    return this.#ctx.locks.run(container.id, async () => {
      if (!container.pendingRestart) return false
      clearTimeout(container.pendingRestart.timer)
      container.pendingRestart = undefined
      container.state.status = 'exited'
      this.#ctx.records.saveState(container.record)
      container.settleWaiters('exit', { StatusCode: container.state.exitCode })
      return true
    })
  }

  /**
   * Forgets a container and gives back what it has. Throws `conflict` while it runs (unless `force`) or when its removal is under way.
   */
  async remove(container: Container, { force, volumes }: { force: boolean; volumes: boolean }): Promise<void> {
    const { id, name } = container
    if (container.isRemoving) throw new BerthError('conflict', 'REMOVAL_IN_PROGRESS', `removal of container ${name} is already in progress`)
    container.isRemoving = true
    try {
      // Copies from a process may wait for that very process (a file system that it serves): they end after it.
      if (!container.run && (force || !container.isRunning)) await this.#ctx.files.end(id)
      // A start under way ends first; no other can begin now.
      await this.#ctx.locks.run(id, async () => {})
      if (container.isRunning && !force) throw this.#stillRunning(container)
      if (container.isRunning) await this.#end(container)
      await this.#ctx.locks.run(id, () => this.#release(container, volumes))
    } finally {
      container.isRemoving = false
    }
  }

  async #release(container: Container, volumes: boolean): Promise<void> {
    const { records, containers } = this.#ctx
    if (!containers.get(container.id)) throw new BerthError('not-found', 'CONTAINER_NOT_FOUND', `No such container: ${container.id}`)
    const { record } = container
    record.phase = 'removing'
    records.savePhase(record)
    this.#execs.forgetAll(container)
    container.streams?.end()
    // What was being opened when the removal began.
    await this.#ctx.files.end(container.id)
    try {
      await releaseContainer(this.#ctx, container, { removeAnonymous: volumes })
    } catch (error) {
      container.state.status = 'dead'
      records.saveState(record)
      const message = `container ${container.id}: could not be removed: ${messageOf(error)}`
      container.settleWaiters('removal', { StatusCode: container.state.exitCode, Error: { Message: message } })
      throw new BerthError('internal', 'REMOVAL_FAILED', message, { cause: error })
    }
    emit(this.#ctx, container, 'destroy')
    container.settleWaiters('removal', { StatusCode: container.state.exitCode })
  }

  #stillRunning({ name, state }: Container): BerthError {
    const what = state.status === 'paused' ? 'container is paused and must be unpaused first' : `container is ${state.status}: stop the container before removing or force remove`
    return new BerthError('conflict', 'CONTAINER_RUNNING', `cannot remove container "/${name}": ${what}`)
  }

  /** Kills a container for its removal. */
  async #end(container: Container): Promise<void> {
    container.state.manuallyStopped = true
    if (await this.cancelRestart(container)) return
    const { run } = container
    if (!run) return
    await run.task.kill(9, { all: true }).catch((error: unknown) => {
      if (!isKind(error, 'not-found')) throw error
    })
    if (container.state.status === 'paused') await run.task.resume().catch(() => {})
    emit(this.#ctx, container, 'kill', { signal: '9' })
    await run.ended
  }

  #checkStartable(container: Container): void {
    const { state, record } = container
    if (container.isRemoving || record.phase !== 'ready' || state.status === 'dead') {
      throw new BerthError('conflict', 'CONTAINER_REMOVED', 'container is marked for removal and cannot be started')
    }
    if (state.status === 'paused') throw new BerthError('conflict', 'CONTAINER_PAUSED', 'cannot start a paused container, try unpause instead')
    if (container.isRunning) throw new BerthError('not-modified', 'CONTAINER_RUNNING', `container ${container.id} is already running`)
  }

  async #launch(container: Container): Promise<void> {
    const { records } = this.#ctx
    const { state, record } = container
    const wasRestarting = state.status === 'restarting'
    const before = wasRestarting ? 'exited' : state.status
    state.status = 'starting'
    records.saveState(record)
    try {
      const run = await this.#begin(container)
      const { task } = run
      Object.assign(state, { status: 'running', pid: task.pid, exitCode: 0, error: '', oomKilled: false, startedAt: formatNano(nowNano()) })
      records.saveState(record)
      emit(this.#ctx, container, 'start')
      this.#follow(container, run)
    } catch (error) {
      const failure = startError(error, createErrorPrefix)
      await this.#giveBack(container)
      container.streams?.end()
      container.streams = undefined
      Object.assign(state, { status: before, pid: 0, error: failure.message, exitCode: exitCodeOfStartError(error) })
      records.saveState(record)
      if (wasRestarting) container.settleWaiters('exit', { StatusCode: state.exitCode, Error: { Message: failure.message } })
      throw failure
    }
  }

  async #begin(container: Container): Promise<Run> {
    const { task, log } = await makeTask(this.#ctx, container)
    const run = this.#runOf(container, task, log)
    try {
      await task.start()
      return run
    } catch (error) {
      await task.delete().catch(() => {})
      log?.close()
      throw error
    }
  }

  #runOf(container: Container, task: Task, log: Run['log']): Run {
    const run: Run = { task, log, oomKilled: false, ended: Promise.resolve() }
    task.onOom(() => {
      run.oomKilled = true
      emit(this.#ctx, container, 'oom')
    })
    return run
  }

  #follow(container: Container, run: Run): void {
    container.run = run
    run.ended = this.#watch(container, run)
    const { Healthcheck, Shell } = container.record.definition.config
    const shell = Shell?.length ? Shell : ['/bin/sh', '-c']
    if (!Healthcheck || !healthCommand(Healthcheck, shell)) return
    container.health = new HealthMonitor({
      config: Healthcheck,
      shell,
      probe: (command, signal) => this.#execs.probe(container, command, signal),
      isPaused: () => container.state.status === 'paused',
      onStatus: (status) => emit(this.#ctx, container, `health_status: ${status}`),
    })
  }

  async #watch(container: Container, run: Run): Promise<void> {
    const { closed, locks, logger } = this.#ctx
    try {
      const exit = await run.task.wait()
      if (closed.aborted) return
      await container.streams?.drain()
      if (closed.aborted) return
      await locks.run(container.id, () => this.#recordEnd(container, run, exit))
      const { AutoRemove } = container.record.definition.host
      if (AutoRemove && container.state.status === 'exited' && !container.isRestarted) await this.#autoRemove(container)
    } catch (error) {
      if (!closed.aborted) logger.error('the end of a container could not be handled', { container: container.id, error: messageOf(error) })
    }
  }

  async #autoRemove(container: Container): Promise<void> {
    if (container.isRemoving) return
    try {
      await this.remove(container, { force: false, volumes: true })
    } catch (error) {
      this.#ctx.logger.error('a container could not be removed after its end', { container: container.id, error: messageOf(error) })
    }
  }

  async #recordEnd(container: Container, run: Run, exit: Exit): Promise<void> {
    const { closed } = this.#ctx
    if (closed.aborted) return
    const { state, record } = container
    const ranFor = Math.max(0, exit.at.getTime() - Date.parse(state.startedAt))
    run.log?.close()
    container.run = undefined
    container.streams = undefined
    container.health?.[Symbol.dispose]()
    const ended = { ...state, exitCode: exit.status }
    const isRestarting = !container.isRemoving && !container.isStopping && shouldRestart(record.definition.host.RestartPolicy, ended)
    Object.assign(state, {
      status: isRestarting ? 'restarting' : 'exited',
      pid: 0,
      exitCode: exit.status,
      oomKilled: run.oomKilled || state.oomKilled,
      finishedAt: formatNano(BigInt(exit.at.getTime()) * 1_000_000n),
    })
    noteState(this.#ctx, container)
    emit(this.#ctx, container, 'die', { exitCode: String(exit.status), execDuration: String(Math.floor(ranFor / 1000)) })
    container.settleWaiters('exit', { StatusCode: exit.status })
    await this.#giveBack(container, run.task)
    if (isRestarting) this.#restartLater(container, ranFor)
  }

  #restartLater(container: Container, ranFor: number): void {
    if (this.#ctx.closed.aborted) return
    container.restartDelay = nextDelay(container.restartDelay, ranFor)
    const timer = setTimeout(() => void this.#restartNow(container), container.restartDelay)
    container.pendingRestart = { timer }
  }

  async #restartNow(container: Container): Promise<void> {
    const { closed, files, locks, logger } = this.#ctx
    try {
      await locks.run(container.id, async () => {
        await files.drained(container.id)
        if (!container.pendingRestart || container.isRemoving || closed.aborted) return
        container.pendingRestart = undefined
        container.state.restartCount++
        await this.#launch(container)
      })
    } catch (error) {
      logger.error('a container could not be started again', { container: container.id, error: messageOf(error) })
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
