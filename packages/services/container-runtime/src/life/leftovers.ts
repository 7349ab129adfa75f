import { messageOf } from '@berth/core'
import type { Container } from '../container.ts'
import { bundleOf, type Context, emit } from '../context.ts'
import { releaseContainer } from './release.ts'
import { endsWithin } from './within.ts'
import { findRuntime } from './runtime-by-name.ts'

const firstDelay = 1000
const longestDelay = 60_000

interface Leftover {
  container: Container
  delay: number
  timer: NodeJS.Timeout | undefined
  /** Settles when the last attempt has ended; a new one does not begin before. */
  attempt: Promise<void>
}

/**
 * Containers whose removal was recorded but could not be finished: a process that cannot be killed, a file system that cannot be unmounted, a driver
 * that fails. What is left of them is tried again until nothing is, after 1 s at first and every minute in the end, and at the start of the next engine.
 */
export class Leftovers implements Disposable {
  readonly #ctx: Context
  readonly #byId = new Map<string, Leftover>()

  constructor(ctx: Context) {
    this.#ctx = ctx
  }

  /** Containers that may still have what was given to them, their processes too. */
  get containers(): Container[] {
    return [...this.#byId.values()].map(({ container }) => container)
  }

  /** IDs of containers that clients do not see any more. */
  get hidden(): string[] {
    return [...this.#byId.values()].filter(({ container }) => container.record.phase === 'removed').map(({ container }) => container.id)
  }

  /** Takes over a container; `under way` is an attempt that has not ended. */
  add(container: Container, underWay: Promise<unknown> = Promise.resolve()): void {
    if (this.#byId.has(container.id)) return
    const leftover: Leftover = { container, delay: firstDelay, timer: undefined, attempt: underWay.then(() => {}, () => {}) } // prettier-ignore
    this.#byId.set(container.id, leftover)
    // The end of its process is the best time.
    void container.run?.ended.then(() => this.#attempt(leftover))
    this.#schedule(leftover)
  }

  /** Waits for what is being given back, at most so many milliseconds. */
  async settle(milliseconds: number): Promise<void> {
    await endsWithin(Promise.all([...this.#byId.values()].map(({ attempt }) => attempt)), milliseconds)
  }

  /** Somebody else has finished it, or does it now. */
  forget({ id }: Container): void {
    clearTimeout(this.#byId.get(id)?.timer)
    this.#byId.delete(id)
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#byId.values()) clearTimeout(timer)
    this.#byId.clear()
  }

  #schedule(leftover: Leftover): void {
    clearTimeout(leftover.timer)
    leftover.timer = setTimeout(() => void this.#attempt(leftover), leftover.delay)
    leftover.timer.unref()
    leftover.delay = Math.min(leftover.delay * 2, longestDelay)
  }

  async #attempt(leftover: Leftover): Promise<void> {
    const { container } = leftover
    await leftover.attempt
    const isOver = (): boolean => this.#ctx.closed.aborted || this.#byId.get(container.id) !== leftover
    if (isOver()) return
    leftover.attempt = this.#finish(container).catch((error: unknown) => {
      if (isOver()) return
      this.#ctx.logger.warn('a removed container could not be cleaned up yet', { container: container.id, error: messageOf(error) })
      this.#schedule(leftover)
    })
    await leftover.attempt
  }

  async #finish(container: Container): Promise<void> {
    const { run, record } = container
    if (run) {
      // Its end, if this brings it, comes back here.
      await run.task.kill(9, { all: true }).catch(() => {})
      if (container.run) throw new Error('its process has not ended')
    } else {
      await findRuntime(this.#ctx, record.definition.runtime)?.destroy({ id: container.id, bundle: bundleOf(this.#ctx, container.id) })
    }
    await this.#ctx.locks.run(container.id, async () => {
      if (!this.#byId.has(container.id)) return
      // A start that nobody could wait for came to its end after all.
      if (container.run) throw new Error('its process has just begun')
      await releaseContainer(this.#ctx, container, { removeAnonymous: record.state.removesVolumes ?? false })
      this.forget(container)
      if (record.phase === 'removing') emit(this.#ctx, container, 'destroy')
      this.#ctx.logger.info('what was left of a removed container is gone', { container: container.id })
    })
  }
}
