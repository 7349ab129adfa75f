import { BerthError, type EngineEvent, nowNano } from '@berth/core'
import { type Filters, matchesEvent } from './event-filters.ts'

/** As many as Docker keeps. */
const kept = 256
/** A listener that is this far behind is let go rather than waited for. */
const maxBehind = 10_000

export interface EventsOptions {
  /** Nanoseconds since the epoch; without it nothing that was. */
  since?: bigint
  /** The iteration ends then; without it, with `signal`. */
  until?: bigint
  filters: Filters
  signal: AbortSignal
}

/** Passes events on to who listens, and remembers the last ones for who comes later. */
export class EventHub {
  readonly #past: EngineEvent[] = []
  readonly #listeners = new Set<(event: EngineEvent) => void>()

  get listenerCount(): number {
    return this.#listeners.size
  }

  /** Never throws and never waits. */
  readonly emit = (event: EngineEvent): void => {
    this.#past.push(event)
    if (this.#past.length > kept) this.#past.shift()
    for (const listener of this.#listeners) listener(event)
  }

  /** What was since `since`, then what comes. Listening begins with the call. Throws `resource-exhausted` in the iteration of who reads too slowly. */
  listen({ since, until, filters, signal }: EventsOptions): AsyncIterable<EngineEvent> {
    const isWanted = (event: EngineEvent): boolean => (until === undefined || event.timeNano <= until) && matchesEvent(event, filters)
    const queue = since === undefined ? [] : this.#past.filter((event) => event.timeNano >= since && isWanted(event))
    let wake = (): void => {}
    let isBehind = false
    const listener = (event: EngineEvent): void => {
      if (!isWanted(event)) return
      if (queue.length >= maxBehind) isBehind = true
      else queue.push(event)
      wake()
    }
    this.#listeners.add(listener)
    const listeners = this.#listeners
    const ending = until === undefined ? signal : AbortSignal.any([signal, timeoutAt(until)])
    const end = (): void => {
      listeners.delete(listener)
      wake()
    }
    if (ending.aborted) end()
    else ending.addEventListener('abort', end, { once: true })
    return (async function* () {
      try {
        while (!signal.aborted) {
          const event = queue.shift()
          if (event) yield event
          else if (isBehind) throw new BerthError('resource-exhausted', 'EVENTS_TOO_SLOW', 'events come faster than they are read')
          else if (ending.aborted) return
          else await new Promise<void>((resolve) => (wake = resolve))
        }
      } finally {
        ending.removeEventListener('abort', end)
        listeners.delete(listener)
      }
    })()
  }
}

const longestTimer = 2 ** 31 - 1

function timeoutAt(time: bigint): AbortSignal {
  const milliseconds = Number((time - nowNano()) / 1_000_000n)
  return milliseconds <= 0 ? AbortSignal.abort() : AbortSignal.timeout(Math.min(milliseconds, longestTimer))
}
