import type { LogEntry, LogStream } from './index.ts'

/** Counts the lines of entries that are shown to it from the last on. */
export class LineCounter {
  isFull = false
  readonly #limit: number
  readonly #seen = new Set<LogStream>()
  #count = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Whether the entry belongs to the lines that are wanted. */
  takes({ stream, line }: LogEntry): boolean {
    if (this.isFull) return false
    if (line.at(-1) === 0x0a || !this.#seen.has(stream)) this.#count++
    this.#seen.add(stream)
    this.isFull = this.#count > this.#limit
    return !this.isFull
  }
}
