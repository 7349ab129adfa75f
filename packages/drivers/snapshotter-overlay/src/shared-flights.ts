/**
 * Lets callers that ask for the same key while it is worked on share one result. Unlike core's SingleFlight it knows who still waits:
 * the work is aborted only when each of its callers has been.
 */
export class SharedFlights<T> {
  readonly #flights = new Map<string, { result: Promise<T>; control: AbortController; waiting: number; listeners: Set<(bytes: number) => void> }>()

  /** Whether there is work for a key that is not being given up. */
  has(key: string): boolean {
    return this.#flights.get(key)?.control.signal.aborted === false
  }

  /** An aborted caller that was the last one is answered when the work has ended, so that nothing goes on behind its back. */
  async join(
    key: string,
    { signal, onProgress }: { signal?: AbortSignal | undefined; onProgress?: ((bytes: number) => void) | undefined },
    work: (options: { signal: AbortSignal; onProgress: (bytes: number) => void }) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted()
    // What was given up is over soon; its result is not for who comes now.
    for (let dying = this.#flights.get(key); dying?.control.signal.aborted; dying = this.#flights.get(key)) await dying.result.catch(() => {})
    const flight = this.#flights.get(key) ?? this.#start(key, work)
    flight.waiting++
    if (onProgress) flight.listeners.add(onProgress)
    const { promise: left, reject: leave } = Promise.withResolvers<never>()
    const abort = () => {
      if (flight.waiting > 1) leave(signal?.reason)
      else flight.control.abort(signal?.reason)
    }
    signal?.addEventListener('abort', abort)
    try {
      return await Promise.race([flight.result, left])
    } finally {
      signal?.removeEventListener('abort', abort)
      if (onProgress) flight.listeners.delete(onProgress)
      flight.waiting--
    }
  }

  /** Aborts all work; settles when it has ended. */
  async stop(reason: unknown): Promise<void> {
    const flights = [...this.#flights.values()]
    for (const { control } of flights) control.abort(reason)
    await Promise.allSettled(flights.map(({ result }) => result))
  }

  #start(key: string, work: (options: { signal: AbortSignal; onProgress: (bytes: number) => void }) => Promise<T>) {
    const control = new AbortController()
    const listeners = new Set<(bytes: number) => void>()
    const onProgress = (bytes: number) => {
      for (const listener of listeners) listener(bytes)
    }
    const result = work({ signal: control.signal, onProgress }).finally(() => this.#flights.delete(key))
    // Each caller hears of a failure by itself.
    result.catch(() => {})
    const flight = { result, control, waiting: 0, listeners }
    this.#flights.set(key, flight)
    return flight
  }
}
