/** Runs at most `width` pieces of work at a time, in the order of the calls. */
export class Limiter {
  readonly width: number
  #running = 0
  readonly #waiting: (() => void)[] = []

  constructor(width: number) {
    this.width = width
  }

  /** Throws the signal's reason if that comes before the turn of the work. */
  async run<T>(work: () => Promise<T>, { signal }: { signal: AbortSignal }): Promise<T> {
    signal.throwIfAborted()
    if (this.#running >= this.width) await this.#turn(signal)
    else this.#running++
    try {
      return await work()
    } finally {
      // A place is handed on, not given back, so that nobody overtakes.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running--
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const take = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(take), 1)
        reject(signal.reason as Error)
      }
      this.#waiting.push(take)
      signal.addEventListener('abort', leave, { once: true })
    })
  }
}
