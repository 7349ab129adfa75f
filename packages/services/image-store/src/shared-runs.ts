export interface JoinOptions<P> {
  /** Ends this caller's wait. */
  signal: AbortSignal
  onProgress?: ((progress: P) => void) | undefined
}

interface Run<T, P> {
  result: Promise<T>
  abort: AbortController
  listeners: Set<(progress: P) => void>
  waiting: number
}

/** Lets callers that want the same thing share one run of the work, which is aborted when the last of them has gone. */
export class SharedRuns<T, P> {
  readonly #runs = new Map<string, Run<T, P>>()

  has(key: string): boolean {
    return this.#runs.has(key)
  }

  async join(key: string, work: (signal: AbortSignal, report: (progress: P) => void) => Promise<T>, { signal, onProgress }: JoinOptions<P>): Promise<T> {
    signal.throwIfAborted()
    const run = this.#runs.get(key) ?? this.#start(key, work)
    run.waiting++
    if (onProgress) run.listeners.add(onProgress)
    const leaving = Promise.withResolvers<never>()
    const leave = () => leaving.reject(signal.reason)
    signal.addEventListener('abort', leave, { once: true })
    try {
      return await Promise.race([run.result, leaving.promise])
    } finally {
      signal.removeEventListener('abort', leave)
      if (onProgress) run.listeners.delete(onProgress)
      if (--run.waiting === 0) {
        run.abort.abort(signal.reason)
        // The last to go sees the work end, so that its files are closed.
        await run.result.catch(() => {})
      }
    }
  }

  #start(key: string, work: (signal: AbortSignal, report: (progress: P) => void) => Promise<T>): Run<T, P> {
    const abort = new AbortController()
    const listeners = new Set<(progress: P) => void>()
    const report = (progress: P) => {
      for (const listener of listeners) listener(progress)
    }
    const result = work(abort.signal, report).finally(() => this.#runs.delete(key))
    result.catch(() => {})
    const run: Run<T, P> = { result, abort, listeners, waiting: 0 }
    this.#runs.set(key, run)
    return run
  }
}
