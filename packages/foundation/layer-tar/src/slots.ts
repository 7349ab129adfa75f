/** So many at a time; the others wait in their order. */
export class Slots {
  #free: number
  #closed: { reason: unknown } | undefined
  readonly #waiting: PromiseWithResolvers<void>[] = []

  constructor(count: number) {
    this.#free = count
  }

  /** A slot, to be disposed. An abort ends the wait. */
  async take(signal?: AbortSignal): Promise<Disposable> {
    signal?.throwIfAborted()
    if (this.#closed) throw this.#closed.reason
    if (this.#free > 0) this.#free--
    else await this.#wait(signal)
    return { [Symbol.dispose]: () => this.#give() }
  }

  /** Whoever waits gets `reason`. */
  close(reason: unknown): void {
    this.#closed = { reason }
    for (const { reject } of this.#waiting.splice(0)) reject(reason)
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    const turn = Promise.withResolvers<void>()
    const leave = () => {
      this.#waiting.splice(this.#waiting.indexOf(turn), 1)
      turn.reject(signal?.reason)
    }
    this.#waiting.push(turn)
    signal?.addEventListener('abort', leave)
    try {
      await turn.promise
    } finally {
      signal?.removeEventListener('abort', leave)
    }
  }

  #give(): void {
    const next = this.#waiting.shift()
    if (next) next.resolve()
    else this.#free++
  }
}
