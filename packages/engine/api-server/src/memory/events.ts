import type { EngineEvent } from '@berth/core'

/** Keeps what happened and tells it to those who listen. */
export class MemoryEvents {
  readonly #past: EngineEvent[] = []
  readonly #listeners = new Set<() => void>()

  emit(type: EngineEvent['type'], action: string, id: string, attributes: Record<string, string> = {}): void {
    this.#past.push({ type, action, id, attributes, timeNano: BigInt(Date.now()) * 1_000_000n + 1n })
    for (const wake of this.#listeners) wake()
    this.#listeners.clear()
  }

  async *listen({ since, until, signal }: { since?: bigint; until?: bigint; signal: AbortSignal }): AsyncIterable<EngineEvent> {
    let next = since === undefined ? this.#past.length : 0
    for (;;) {
      for (; next < this.#past.length; next++) {
        const event = this.#past[next]
        if (event && event.timeNano >= (since ?? 0n)) yield event
      }
      if (signal.aborted || until !== undefined) return
      await new Promise<void>((resolve) => {
        this.#listeners.add(resolve)
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
  }
}
