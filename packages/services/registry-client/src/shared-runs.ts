interface Run<T> {
  promise: Promise<T>
  abort: AbortController
  waiting: number
}

/** Lets callers that ask for the same thing at the same time share one run. Each may leave; when the last has left, the run is aborted. */
export class SharedRuns<T> {
  readonly #runs = new Map<string, Run<T>>()

  /** @throws what the work throws, or the reason of the caller's own signal. */
  async run(key: string, work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted()
    const run = this.#runs.get(key) ?? this.#start(key, work)
    run.waiting++
    const left = Promise.withResolvers<never>()
    const leave = (): void => left.reject(signal.reason)
    signal.addEventListener('abort', leave, { once: true })
    try {
      return await Promise.race([run.promise, left.promise])
    } finally {
      signal.removeEventListener('abort', leave)
      if (--run.waiting === 0) {
        if (this.#runs.get(key) === run) this.#runs.delete(key)
        run.abort.abort()
      }
    }
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): Run<T> {
    const abort = new AbortController()
    const run: Run<T> = { promise: work(abort.signal), abort, waiting: 0 }
    // Nobody may be left to hear of it.
    run.promise.catch(() => {})
    this.#runs.set(key, run)
    return run
  }
}
