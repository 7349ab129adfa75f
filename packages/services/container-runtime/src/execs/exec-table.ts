import { BerthError } from '@berth/core'
import type { Container } from '../container.ts'
import type { Context } from '../context.ts'
import { Exec } from './exec-process.ts'
import type { ExecDefinition } from '../records.ts'

/** How long the exit code of an exec that has ended can be asked for, in milliseconds, and of how many. */
const keptFor = 5 * 60_000
const mostEnded = 1000
/** Execs of one container that were made and never started; the oldest is forgotten for one more. */
const mostCreated = 1000

/** Execs by ID: those that can run, and for a while those that have ended. */
export class ExecTable {
  readonly #ctx: Context
  readonly #byId = new Map<string, Exec>()
  readonly #ended = new Map<Exec, NodeJS.Timeout>()

  constructor(ctx: Context) {
    this.#ctx = ctx
    ctx.closed.addEventListener('abort', () => {
      for (const timer of this.#ended.values()) clearTimeout(timer)
    })
  }

  /** Throws `not-found`. */
  get(id: string): Exec {
    const exec = this.#byId.get(id)
    if (!exec) throw new BerthError('not-found', 'EXEC_NOT_FOUND', `No such exec instance: ${id}`)
    return exec
  }

  add(container: Container, definition: ExecDefinition): Exec {
    if (container.execs.size >= mostCreated) {
      const oldest = container.execs.values().find(({ status }) => status === 'created')
      if (oldest) this.forget(oldest)
    }
    const { backlog, logger } = this.#ctx
    const onCutOff = (reason: Error): void => logger.warn('a client of an exec was cut off', { container: container.id, exec: definition.id, reason: reason.message })
    const exec = new Exec(definition, { backlog, onCutOff })
    this.#byId.set(exec.id, exec)
    container.execs.set(exec.id, exec)
    return exec
  }

  /** It can be inspected for a while. */
  ended(container: Container, exec: Exec): void {
    container.execs.delete(exec.id)
    if (this.#ctx.closed.aborted || !this.#byId.has(exec.id)) return
    this.#ended.set(exec, setTimeout(() => this.forget(exec), keptFor).unref())
    const oldest = this.#ended.size > mostEnded ? this.#ended.keys().next().value : undefined
    if (oldest) this.forget(oldest)
  }

  forget(exec: Exec): void {
    clearTimeout(this.#ended.get(exec))
    this.#ended.delete(exec)
    this.#byId.delete(exec.id)
    this.#ctx.containers.get(exec.definition.containerId)?.execs.delete(exec.id)
  }

  forgetAll(container: Container): void {
    for (const exec of this.#byId.values()) if (exec.definition.containerId === container.id) this.forget(exec)
  }
}
