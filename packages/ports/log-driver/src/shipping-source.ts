import { batchesOf, type Log, type LogEntry } from './index.ts'
import { nextPosition, type Position } from './shipping-cursor.ts'

const everything = { stdout: true, stderr: true }

/** What an entry with a text of so many bytes takes in a cache, at most. */
export const costOf = (bytes: number): number => bytes + 128

/** The same of the entries of a chunk. */
export function costOfChunk(chunk: Uint8Array): number {
  let cost = chunk.length
  for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, at + 1)) cost += costOf(0)
  return cost
}

export interface EntriesAfterOptions {
  signal: AbortSignal
  /** Told once, what the log has already of what is to come takes in a cache. */
  onBacklog(cost: number): void
}

/** What a log has after a position, or all when the position is not there any more, and then what comes. Entries are known by their place: clocks may be set back. */
export async function* entriesAfter(log: Log, position: Position | undefined, { signal, onBacklog }: EntriesAfterOptions): AsyncGenerator<readonly LogEntry[]> {
  for (;;) {
    const { count, first, backlog } = await find(log, position, signal)
    let seen = 0
    let isStale = false
    for await (const batch of batchesOf(log, { ...everything, follow: true, signal })) {
      // The oldest entries were deleted since they were counted.
      isStale = seen === 0 && first !== undefined && batch[0] !== undefined && !isSame(batch[0], first)
      if (isStale) break
      if (seen === 0) onBacklog(backlog)
      if (seen + batch.length > count) yield seen < count ? batch.slice(count - seen) : batch
      seen += batch.length
    }
    if (!isStale) return
  }
}

/** What is written to a log from the call on. */
export function entriesFromNow(log: Log, signal: AbortSignal): AsyncGenerator<readonly LogEntry[]> {
  const batches = batchesOf(log, { ...everything, follow: true, tail: 0, signal })
  // A log is followed from the moment that its first entry is asked for.
  const first = batches.next()
  return (async function* () {
    try {
      for (let next = await first; !next.done; next = await batches.next()) yield next.value
    } finally {
      await batches.return(undefined)
    }
  })()
}

interface Found {
  /** Entries up to the one at the position, that one included; 0 when there is no such. */
  count: number
  /** The oldest, when there is one at the position. */
  first: LogEntry | undefined
  backlog: number
}

async function find(log: Log, position: Position | undefined, signal: AbortSignal): Promise<Found> {
  let first: LogEntry | undefined
  let last: Position | undefined
  let [index, count, backlog] = [0, 0, 0]
  for await (const batch of batchesOf(log, { ...everything, signal })) {
    for (const entry of batch) {
      first ??= entry
      last = nextPosition(last, entry)
      index++
      backlog += costOf(entry.line.length)
      if (count > 0 || last.time !== position?.time || last.ordinal !== position.ordinal) continue
      count = index
      backlog = 0
    }
  }
  return { count, first: count > 0 ? first : undefined, backlog }
}

const isSame = (one: LogEntry, other: LogEntry): boolean => one.time === other.time && one.stream === other.stream && Buffer.compare(one.line, other.line) === 0
