import { BerthError, isKind, messageOf } from '@berth/core'
import type { Container, WaitResult } from '../container.ts'
import { bundleOf, type Context, emit } from '../context.ts'
import { patienceOf } from './end-run.ts'
import type { Execs } from '../execs/execs.ts'
import { releaseContainer } from './release.ts'
import { findRuntime } from './runtime-by-name.ts'
import { endsWithin } from './within.ts'

export interface RemoveOptions {
  /** Also while it runs; succeeds whatever stands against it. */
  force: boolean
  /** Its anonymous volumes too. */
  volumes: boolean
}

/** Takes containers away. From the moment that a removal is recorded, it is only a question of time, and the name is free. */
export class Removals {
  readonly #ctx: Context
  readonly #execs: Execs

  constructor(ctx: Context, execs: Execs) {
    this.#ctx = ctx
    this.#execs = execs
  }

  /**
   * Throws `conflict` while it runs (unless `force`) or when its removal is under way, `internal` when something of it cannot be given back; it is `dead` then,
   * and tried again in the background. By force it is gone for clients even so.
   */
  async remove(container: Container, { force, volumes }: RemoveOptions): Promise<void> {
    const { leftovers } = this.#ctx
    const { id, name } = container
    if (container.isRemoving) throw new BerthError('conflict', 'REMOVAL_IN_PROGRESS', `removal of container ${name} is already in progress`)
    container.isRemoving = true
    try {
      // Copies from a process may wait for that very process (a file system that it serves): they end after it.
      if (!container.run && (force || !container.isRunning)) await this.#ctx.files.end(id)
      // A start under way ends first; no other can begin now.
      const unfinished = await this.#awaitStart(container, force)
      if (container.isRunning && !force) throw this.#stillRunning(container)
      if (!this.#ctx.containers.get(id)) throw new BerthError('not-found', 'CONTAINER_NOT_FOUND', `No such container: ${id}`)
      leftovers.forget(container)
      this.#record(container, volumes)
      if (container.isRunning || container.run) await this.#end(container)
      this.#ctx.failPoint('remove.ended')
      if (container.run || unfinished) this.#acknowledge(container, unfinished?.work)
      else await this.#release(container, force)
    } finally {
      container.isRemoving = false
    }
  }

  /** The removal of a container that asked for it with `--rm` and could not be started. A failure is told in the log. */
  async removeUnstarted(container: Container): Promise<void> {
    if (container.isRemoving || container.record.phase !== 'ready') return
    await this.remove(container, { force: false, volumes: true }).catch((error: unknown) => this.#tellFailure(container, error))
  }

  /**
   * The removal of a container that asked for it with `--rm`, after its end; `takeDown` removes its task. It is marked as being removed already. Who waits for it
   * is answered when its name, addresses, ports and volumes are free; a container without volumes holds no more than its own files then, which go beside the answer.
   */
  async removeEnded(container: Container, takeDown: () => Promise<void>): Promise<void> {
    const { deps, leftovers, locks } = this.#ctx
    const { id } = container
    try {
      this.#record(container, true, 'removed')
      this.#ctx.failPoint('remove.ended')
      const network = deps.networks.release(id)
      const released = locks.run(id, async () => {
        await Promise.allSettled([network, takeDown()])
        await this.#giveUp(container)
      })
      if (deps.volumes.mountPoints(id).length > 0) await released
      else await network
      this.#ctx.containers.delete(container)
      leftovers.add(container, released)
      void released.then(() => leftovers.forget(container), () => {}) // prettier-ignore
      emit(this.#ctx, container, 'destroy')
      container.settleWaiters('removal', this.#result(container))
    } catch (error) {
      this.#tellFailure(container, this.#fail(container, error))
    } finally {
      container.isRemoving = false
    }
  }

  /**
   * Waits for what is being done to a container. By force it does not wait long: the supervisor is ended, and what goes on even then is given back, as work that
   * was not waited for.
   */
  async #awaitStart(container: Container, force: boolean): Promise<{ work: Promise<void> } | undefined> {
    const work = this.#ctx.locks.run(container.id, async () => {})
    const patience = patienceOf(this.#ctx)
    if (!force) await work
    if (await endsWithin(work, patience)) return undefined
    const { id, record } = container
    const destroyed = findRuntime(this.#ctx, record.definition.runtime)?.destroy({ id, bundle: bundleOf(this.#ctx, id) })
    destroyed?.catch((error: unknown) => this.#tell(container, error))
    return (await endsWithin(work, patience)) ? undefined : { work }
  }

  #tellFailure({ id }: Container, error: unknown): void {
    this.#ctx.logger.error('a container could not be removed after its end', { container: id, error: messageOf(error) })
  }

  #record(container: Container, volumes: boolean, phase: 'removing' | 'removed' = 'removing'): void {
    const { record } = container
    record.phase = phase
    record.state.removesVolumes = volumes
    if (container.isRunning) record.state.manuallyStopped = true
    this.#ctx.records.saveRemoval(record)
    this.#ctx.containers.freeName(container)
    this.#ctx.failPoint('remove.recorded')
  }

  /** Ends its process; one that does not end stays. */
  async #end(container: Container): Promise<void> {
    const { run, state, id, record } = container
    if (container.pendingRestart) {
      clearTimeout(container.pendingRestart.timer)
      container.pendingRestart = undefined
      container.become('exited')
      container.settleWaiters('exit', { StatusCode: state.exitCode })
    }
    const patience = patienceOf(this.#ctx)
    const runtime = findRuntime(this.#ctx, record.definition.runtime)
    const destroy = async (): Promise<void> => runtime?.destroy({ id, bundle: bundleOf(this.#ctx, id) })
    if (!run) {
      // It runs, but its supervisor was not to be reached when the engine started.
      if (!container.isRunning) return
      const destroyed = destroy()
      if (await endsWithin(destroyed, patience)) await destroyed.catch((error: unknown) => this.#tell(container, error))
      return container.become('exited', { pid: 0 })
    }
    const signal = async (): Promise<void> => {
      await run.task.kill(9, { all: true }).catch((error: unknown) => {
        if (!isKind(error, 'not-found')) throw error
      })
      if (state.status === 'paused') await run.task.resume().catch(() => {})
      emit(this.#ctx, container, 'kill', { signal: '9' })
    }
    const sent = signal()
    run.signalled = sent.catch(() => {})
    const killed = sent.then(() => run.ended)
    const tell = (error: unknown): void => this.#tell(container, error)
    if (await endsWithin(killed, patience)) return killed.catch(tell)
    // Its supervisor may be what does not answer.
    run.signalled = Promise.resolve()
    const destroyed = destroy().then(() => run.ended)
    if (await endsWithin(destroyed, patience)) await destroyed.catch(tell)
  }

  #tell({ id }: Container, error: unknown): void {
    this.#ctx.logger.warn('the process of a container could not be ended', { container: id, error: messageOf(error) })
  }

  async #release(container: Container, force: boolean): Promise<void> {
    const released = this.#ctx.locks.run(container.id, () => this.#giveUp(container))
    if (force && !(await endsWithin(released, patienceOf(this.#ctx)))) return this.#acknowledge(container, released)
    try {
      await released
    } catch (error) {
      if (isKind(error, 'not-found')) throw error
      if (force) return this.#acknowledge(container)
      throw this.#fail(container, error)
    }
    emit(this.#ctx, container, 'destroy')
    container.settleWaiters('removal', this.#result(container))
  }

  async #giveUp(container: Container): Promise<void> {
    this.#letGo(container)
    // What was being opened when the removal began.
    await this.#ctx.files.end(container.id)
    await releaseContainer(this.#ctx, container, { removeAnonymous: container.state.removesVolumes ?? false })
  }

  #letGo(container: Container): void {
    this.#execs.forgetAll(container)
    container.streams?.end()
  }

  /** It is gone for clients; what cannot be given back now is recorded and given back later. */
  #acknowledge(container: Container, underWay?: Promise<unknown>): void {
    const { record } = container
    record.phase = 'removed'
    this.#ctx.records.saveRemoval(record)
    this.#ctx.containers.delete(container)
    if (container.run) this.#letGo(container)
    this.#ctx.logger.warn('a container was removed by force, and something of it is left', { container: container.id })
    // Its addresses and ports are others' to use whatever its process does.
    void this.#ctx.deps.networks.release(container.id).catch(() => {})
    this.#ctx.leftovers.add(container, underWay)
    emit(this.#ctx, container, 'destroy')
    container.settleWaiters('exit', this.#result(container))
    container.settleWaiters('removal', this.#result(container))
  }

  #fail(container: Container, cause: unknown): BerthError {
    const message = `container ${container.id}: could not be removed: ${messageOf(cause)}`
    container.become('dead')
    container.record.phase = 'removing'
    try {
      this.#ctx.records.saveRemoval(container.record)
    } catch {
      // What is recorded already says that it is to be removed.
    }
    this.#ctx.leftovers.add(container)
    container.settleWaiters('removal', { ...this.#result(container), Error: { Message: message } })
    return new BerthError('internal', 'REMOVAL_FAILED', message, { cause })
  }

  #result({ state }: Container): WaitResult {
    return { StatusCode: state.exitCode }
  }

  #stillRunning({ name, state }: Container): BerthError {
    const what = state.status === 'paused' ? 'container is paused and must be unpaused first' : `container is ${state.status}: stop the container before removing or force remove`
    return new BerthError('conflict', 'CONTAINER_RUNNING', `cannot remove container "/${name}": ${what}`)
  }
}
