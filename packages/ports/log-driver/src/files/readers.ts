import { fstatSync } from 'node:fs'
import { nowNano } from '@berth/core'
import type { LogEntry, ReadLogOptions } from '../index.ts'
import type { FileSet } from './file-set.ts'
import { findTail } from './find-tail.ts'
import { type FileEnd, LogSource } from './log-source.ts'
import type { RecordFormat } from './record-format.ts'

/** A file that is written to. */
export interface LiveFile extends FileEnd {
  readonly ino: number
}

/** One that follows: what it reads now, and what comes after that. */
interface Follower {
  queue: LogSource[]
  wake(): void
}

/** The clock of file times is a little behind the one of entries. */
const timeMargin = 2000
const longestTimer = 2 ** 31 - 1

/** Those who read the files of one log, while its writer goes on. */
export class LogReaders {
  readonly #files: FileSet
  readonly #format: RecordFormat
  readonly #maxFile: number
  readonly #followers = new Set<Follower>()
  #live: LiveFile | undefined
  #changes = 0
  #isEnded = false

  constructor(files: FileSet, format: RecordFormat, maxFile: number) {
    this.#files = files
    this.#format = format
    this.#maxFile = maxFile
  }

  /** Output goes to another file from now on, which is the one at the log's path. */
  goOnWith(live: LiveFile): void {
    this.#live = live
    for (const { queue } of this.#followers) {
      const opened = this.#files.openCurrent()
      if (opened !== undefined) queue.push(new LogSource({ fd: opened, isCompressed: false }, this.#format, { end: live }))
      // Who reads too slowly skips what has been deleted, rather than keep it on the disk.
      while (queue.length - 1 > this.#maxFile) queue.splice(1, 1)[0]?.close()
    }
  }

  /** There is more to read. */
  wake(): void {
    this.#changes++
    for (const follower of this.#followers) follower.wake()
  }

  /** Nothing more comes. */
  end(): void {
    this.#isEnded = true
    this.wake()
  }

  async *read({ stdout, stderr, since, until, tail, follow = false, signal }: ReadLogOptions): AsyncGenerator<LogEntry[]> {
    const sources = this.#openAll(follow)
    const follower: Follower = { queue: [...sources], wake() {} }
    const { queue } = follower
    if (follow) this.#followers.add(follower)
    const onAbort = () => follower.wake()
    signal?.addEventListener('abort', onAbort)
    try {
      let skip = tail === undefined ? 0 : await this.#skipToTail(sources, queue, tail)
      while (!signal?.aborted) {
        const [changes, wasEnded, isComplete] = [this.#changes, this.#isEnded, queue.length > 1]
        const source = queue[0]
        const isOld = isComplete && since !== undefined && source !== undefined && BigInt(Math.trunc(source.lastWrite) + timeMargin) * 1_000_000n < since
        const entries = isOld ? undefined : await source?.next()
        if (signal?.aborted) return
        if (entries) {
          const wanted = entries.filter(({ stream, time }) => --skip < 0 && (stream === 'stdout' ? stdout : stderr) && (since === undefined || time >= since) && (until === undefined || time <= until))
          skip = Math.max(0, skip)
          if (wanted.length > 0) yield wanted
          if (until !== undefined && entries.at(-1)!.time > until) return
        } else if (isComplete) {
          queue.shift()?.close()
          skip = 0
        } else {
          if (!follow || wasEnded || (until !== undefined && nowNano() > until)) return
          const { promise, resolve } = Promise.withResolvers<void>()
          follower.wake = resolve
          const timer = until === undefined ? undefined : setTimeout(resolve, Math.min(Number((until - nowNano()) / 1_000_000n) + 1, longestTimer))
          // What happened while the last read was under way woke nobody.
          if (this.#changes !== changes || signal?.aborted) resolve()
          await promise
          clearTimeout(timer)
        }
      }
    } finally {
      this.#followers.delete(follower)
      signal?.removeEventListener('abort', onAbort)
      for (const source of queue) source.close()
    }
  }

  #openAll(follow: boolean): LogSource[] {
    return this.#files.openAll().map((file) => {
      const live = this.#live
      if (live === undefined || file.isCompressed || fstatSync(file.fd).ino !== live.ino) return new LogSource(file, this.#format)
      // Who does not follow reads what is there now, however fast more comes.
      return new LogSource(file, this.#format, { end: follow ? live : { size: live.size } })
    })
  }

  /** Drops what comes before the tail from the queue. @returns how many entries of its first file come before it too */
  async #skipToTail(sources: LogSource[], queue: LogSource[], count: number): Promise<number> {
    const { index, offset, skip } = await findTail(sources, this.#format, count)
    const first = sources[index]
    while (queue.length > 0 && queue[0] !== first && sources.includes(queue[0]!)) queue.shift()?.close()
    // Where a slow reader's first file was dropped meanwhile, it begins with the next one.
    if (first === undefined || queue[0] !== first) return 0
    first.offset = offset
    return skip
  }
}
