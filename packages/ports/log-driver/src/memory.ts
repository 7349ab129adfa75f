import { BerthError, nowNano } from '@berth/core'
import { LineSplitter, type Log, type LogDriver, type LogEntry, type LogStream, type ReadLogOptions } from './index.ts'

interface Kept {
  entries: LogEntry[]
  splitters: Record<LogStream, LineSplitter>
}

/** A {@link LogDriver} that keeps entries in memory, by the container's directory. Its only option is `max-file`, which it ignores. */
export function memoryLogDriver(): LogDriver {
  const kept = new Map<string, Kept>()
  const driver: LogDriver = {
    name: 'memory',
    canRead: true,
    validate(options) {
      const unknown = Object.keys(options).find((name) => name !== 'max-file')
      if (unknown !== undefined) throw new BerthError('invalid-argument', 'LOG_OPTION_UNKNOWN', `unknown log opt '${unknown}' for memory log driver`)
    },
    open({ directory }, options) {
      driver.validate(options)
      const log = kept.get(directory) ?? { entries: [], splitters: { stdout: new LineSplitter(), stderr: new LineSplitter() } }
      kept.set(directory, log)
      return new MemoryLog(log, () => kept.delete(directory))
    },
  }
  return driver
}

class MemoryLog implements Log {
  readonly path = undefined
  readonly #kept: Kept
  readonly #forget: () => void
  readonly #wakers = new Set<() => void>()
  #closed = false

  constructor(kept: Kept, forget: () => void) {
    this.#kept = kept
    this.#forget = forget
  }

  unfinished(stream: LogStream): Uint8Array {
    return this.#kept.splitters[stream].pending
  }

  write(stream: LogStream, chunk: Uint8Array): void {
    if (this.#closed) throw new BerthError('conflict', 'LOG_CLOSED', 'the log is closed')
    this.#append(stream, this.#kept.splitters[stream].split(chunk))
  }

  async *read({ stdout, stderr, since, until, tail, follow = false, signal }: ReadLogOptions): AsyncIterable<LogEntry> {
    const entries = this.#kept.entries
    for (let index = tail === undefined ? 0 : Math.max(0, entries.length - tail); !signal?.aborted; ) {
      const entry = entries[index]
      if (!entry) {
        if (!follow || this.#closed) return
        await this.#more(signal)
        continue
      }
      index++
      if (until !== undefined && entry.time > until) return
      if ((since === undefined || entry.time >= since) && (entry.stream === 'stdout' ? stdout : stderr)) yield entry
    }
  }

  close(): void {
    if (this.#closed) return
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#kept.splitters[stream].flush()
      if (rest.length) this.#append(stream, [rest])
    }
    this.#closed = true
    this.#wake()
  }

  remove(): void {
    this.close()
    this.#kept.entries.length = 0
    this.#forget()
  }

  #append(stream: LogStream, lines: Buffer[]): void {
    const time = nowNano()
    for (const line of lines) this.#kept.entries.push({ stream, time, line: Buffer.from(line) })
    this.#wake()
  }

  #more(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      this.#wakers.add(resolve)
      signal?.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  #wake(): void {
    for (const wake of this.#wakers) wake()
    this.#wakers.clear()
  }
}
