/** Runs at most `width` pieces of work at a time, in the order of the calls. */
export class Limiter {
  readonly #width: number
  #running = 0
  readonly #waiting: (() => void)[] = []

  constructor(width: number) {
    this.#width = width
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#width) await new Promise<void>((resolve) => this.#waiting.push(resolve))
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
}
