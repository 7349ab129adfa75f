import { BerthError, nowNano } from '@berth/core'
import { attributesOf, checkOptions, LineSplitter, type Log, type LogDriver, type LogEntry, type LogStream, type ReadLogOptions } from './index.ts'
import { LineCounter } from './line-counter.ts'

interface Kept {
  entries: LogEntry[]
  splitters: Record<LogStream, LineSplitter>
}

/** A {@link LogDriver} that keeps entries in memory, by the container's directory. Beside the options of all drivers it takes `max-file`, which it ignores. */
export function memoryLogDriver(): LogDriver {
  const kept = new Map<string, Kept>()
  const driver: LogDriver = {
    name: 'memory',
    canRead: true,
    validate(options) {
      checkOptions('memory', options, ['max-file'])
    },
    open(container, options) {
      driver.validate(options)
      const log = kept.get(container.directory) ?? { entries: [], splitters: { stdout: new LineSplitter(), stderr: new LineSplitter() } }
      kept.set(container.directory, log)
      return new MemoryLog(log, attributesOf(container, options), () => kept.delete(container.directory))
    },
  }
  return driver
}

class MemoryLog implements Log {
  readonly path = undefined
  readonly #kept: Kept
  readonly #attributes: Pick<LogEntry, 'attributes'>
  readonly #forget: () => void
  readonly #wakers = new Set<() => void>()
  #closed = false

  constructor(kept: Kept, attributes: Record<string, string>, forget: () => void) {
    this.#kept = kept
    this.#attributes = Object.keys(attributes).length > 0 ? { attributes } : {}
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
    for (let index = tail === undefined ? 0 : startOfTail(entries, tail); !signal?.aborted; ) {
      const entry = entries[index]
      if (!entry) {
        if (!follow || this.#closed || (until !== undefined && nowNano() > until)) return
        await this.#more(signal, until)
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
    for (const line of lines) this.#kept.entries.push({ stream, time, line: Buffer.from(line), ...this.#attributes })
    this.#wake()
  }

  #more(signal: AbortSignal | undefined, until: bigint | undefined): Promise<void> {
    return new Promise((resolve) => {
      this.#wakers.add(resolve)
      if (until !== undefined) setTimeout(resolve, Number((until - nowNano()) / 1_000_000n) + 1)
      signal?.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  #wake(): void {
    for (const wake of this.#wakers) wake()
    this.#wakers.clear()
  }
}

function startOfTail(entries: readonly LogEntry[], count: number): number {
  const counter = new LineCounter(count)
  let start = entries.length
  while (start > 0 && counter.takes(entries[start - 1]!)) start--
  return start
}
