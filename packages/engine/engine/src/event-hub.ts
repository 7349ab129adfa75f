import { type EngineEvent, nowNano } from '@berth/core'
import { type Filters, matchesEvent } from './event-filters.ts'
import { EventJournal, type EventJournalOptions, type Reader } from './event-journal.ts'

export interface EventsOptions {
  /** Nanoseconds since the epoch; without it nothing that was. */
  since?: bigint
  /** The iteration ends then; without it, with `signal`. */
  until?: bigint
  filters: Filters
  signal: AbortSignal
}

/** Passes events on to who listens, each at their own pace, and tells what was to who comes later. */
export class EventHub implements Disposable {
  readonly #journal: EventJournal
  readonly #listeners = new Set<() => void>()

  constructor(options: EventJournalOptions) {
    this.#journal = new EventJournal(options)
  }

  get listenerCount(): number {
    return this.#listeners.size
  }

  /** Never throws and never waits. */
  readonly emit = (event: EngineEvent): void => {
    this.#journal.append(event)
    for (const wake of this.#listeners) wake()
  }

  /**
   * What was since `since`, then what comes, every event once and in order, however slowly it is read. Listening begins with the call. Only who is
   * hundreds of thousands of events behind is let go: then the iteration throws `resource-exhausted`.
   */
  listen({ since, until, filters, signal }: EventsOptions): AsyncIterable<EngineEvent> {
    const journal = this.#journal
    const listeners = this.#listeners
    const begin = journal.next
    const reader: Reader = { number: since === undefined ? begin : journal.firstSince(since) }
    // Of what comes, `since` leaves nothing out: clocks may be set back.
    const isWanted = (number: number, event: EngineEvent): boolean =>
      (number >= begin || since === undefined || event.timeNano >= since) && (until === undefined || event.timeNano <= until) && matchesEvent(event, filters)
    let end = Infinity
    let wake = (): void => {}
    const notify = (): void => wake()
    const finish = (): void => {
      end = Math.min(end, journal.next)
      wake()
    }
    const cancel = until === undefined ? () => {} : atTime(until, finish)
    listeners.add(notify)
    journal.hold(reader)
    signal.addEventListener('abort', notify, { once: true })
    const leave = (): void => {
      cancel()
      listeners.delete(notify)
      journal.release(reader)
      signal.removeEventListener('abort', notify)
    }
    // Who never begins to read leaves, too.
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave, { once: true })
    return (async function* () {
      try {
        while (!signal.aborted && reader.number < end) {
          if (reader.number >= journal.next) {
            await new Promise<void>((resolve) => (wake = resolve))
            continue
          }
          for (const { number, event } of await journal.read(reader)) {
            if (number >= end || signal.aborted) break
            reader.number = number + 1
            if (isWanted(number, event)) yield event
          }
        }
      } finally {
        leave()
        signal.removeEventListener('abort', leave)
      }
    })()
  }

  [Symbol.dispose](): void {
    this.#journal[Symbol.dispose]()
  }
}

const longestTimer = 2 ** 31 - 1

/** Calls `action` at a time in nanoseconds since the epoch, at once when it has passed. @returns what takes that back */
function atTime(time: bigint, action: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const wait = (): void => {
    const milliseconds = Number((time - nowNano() + 999_999n) / 1_000_000n)
    if (milliseconds <= 0) action()
    else timer = setTimeout(wait, Math.min(milliseconds, longestTimer))
  }
  wait()
  return () => clearTimeout(timer)
}
