import { BerthError } from '@berth/core'

/** A clock that is wound up again by each sign of life, and aborts when it runs down. */
export class Silence {
  readonly #abort = new AbortController()
  readonly #message: string
  #timer: NodeJS.Timeout | undefined

  constructor(message: string) {
    this.#message = message
  }

  /** Aborted with `deadline-exceeded`. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** The next sign of life must come within so many milliseconds. */
  within(milliseconds: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#abort.abort(new BerthError('deadline-exceeded', 'REGISTRY_TIMEOUT', this.#message)), milliseconds)
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}
