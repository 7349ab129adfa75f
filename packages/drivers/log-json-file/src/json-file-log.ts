import { closeSync, constants, existsSync, fstatSync, ftruncateSync, mkdirSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { BerthError, formatNano, isErrno, nowNano } from '@berth/core'
import { LineSplitter, type Log, type LogEntry, type LoggedContainer, type LogStream, type ReadLogOptions } from '@berth/log-driver'
import { decodeRecord, encodeEntry, encodeLines } from './json-record.ts'
import type { JsonFileOptions } from './options.ts'
import { PendingLines } from './pending-lines.ts'
import { findTail, RecordReader } from './record-reader.ts'

/** A reader that follows: files that came after the one it reads, and how to wake it. */
interface Follower {
  next: number[]
  wake: () => void
}

const { O_APPEND, O_CREAT, O_RDWR } = constants

export class JsonFileLog implements Log {
  readonly path: string
  readonly #options: JsonFileOptions
  readonly #splitters = { stdout: new LineSplitter(), stderr: new LineSplitter() }
  readonly #pending: PendingLines
  readonly #followers = new Set<Follower>()
  /** Undefined once closed. */
  #fd: number | undefined
  #size: number

  constructor(container: LoggedContainer, options: JsonFileOptions) {
    this.#options = options
    mkdirSync(container.directory, { recursive: true, mode: 0o710 })
    this.path = join(container.directory, `${container.id}-json.log`)
    this.#pending = new PendingLines(`${this.path}.pending`)
    this.#fd = openSync(this.path, O_RDWR | O_CREAT | O_APPEND, 0o640)
    this.#size = removeTornRecord(this.#fd)
    const unfinished = this.#pending.load(this.#fd)
    if (!unfinished) return
    this.#splitters.stdout.pending = unfinished.stdout
    this.#splitters.stderr.pending = unfinished.stderr
  }

  write(stream: LogStream, chunk: Uint8Array): void {
    if (this.#fd === undefined) throw new BerthError('conflict', 'LOG_CLOSED', 'the log is closed')
    const splitter = this.#splitters[stream]
    const time = formatNano(nowNano())
    const lines = splitter.takeLines(chunk)
    const records = lines && encodeLines(stream, time, lines)
    if (records !== undefined && this.#size + records.length < (this.#options.maxSize ?? Infinity)) this.#append(records)
    else this.#appendEntries(stream, time, lines ? new LineSplitter().split(lines) : splitter.split(chunk))
    this.#savePending()
  }

  async *read({ stdout, stderr, since, until, tail, follow = false, signal }: ReadLogOptions): AsyncIterable<LogEntry> {
    const files = this.#openAll()
    const start = tail === undefined ? { file: 0, offset: 0 } : findTail(files, tail)
    const follower: Follower = { next: files.splice(start.file + 1), wake: () => {} }
    for (const skipped of files.splice(0, start.file)) closeSync(skipped)
    let reader = files[0] === undefined ? undefined : new RecordReader(files[0], start.offset)
    if (follow) this.#followers.add(follower)
    const onAbort = () => follower.wake()
    signal?.addEventListener('abort', onAbort)
    try {
      while (reader && !signal?.aborted) {
        const wasClosed = this.#fd === undefined
        const hasNext = follower.next.length > 0
        const records = await reader.next()
        for (const record of records) {
          const entry = decodeRecord(record)
          if (!entry) continue
          if (until !== undefined && entry.time > until) return
          if ((since === undefined || entry.time >= since) && (entry.stream === 'stdout' ? stdout : stderr)) yield entry
          if (signal?.aborted) return
        }
        if (records.length) continue
        if (hasNext) {
          // Only now is the file known to have been complete when its end was seen.
          reader.close()
          reader = new RecordReader(follower.next.shift()!)
        } else if (!follow || wasClosed) return
        else await this.#more(follower, reader, signal)
      }
    } finally {
      this.#followers.delete(follower)
      signal?.removeEventListener('abort', onAbort)
      reader?.close()
      for (const fd of follower.next) closeSync(fd)
    }
  }

  close(): void {
    if (this.#fd === undefined) return
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#splitters[stream].flush()
      if (rest.length) this.#appendEntries(stream, formatNano(nowNano()), [rest])
    }
    this.#pending.remove()
    closeSync(this.#fd)
    this.#fd = undefined
    for (const follower of this.#followers) follower.wake()
  }

  remove(): void {
    this.close()
    for (let index = 0; index < this.#options.maxFile; index++) rmSync(this.#rotated(index), { force: true })
  }

  #appendEntries(stream: LogStream, time: string, entries: Buffer[]): void {
    const { maxSize = Infinity } = this.#options
    let batch = ''
    for (const entry of entries) {
      if (this.#size + batch.length >= maxSize) {
        this.#append(batch)
        batch = ''
        if (this.#size >= maxSize) this.#rotate()
      }
      batch += encodeEntry(stream, time, entry)
    }
    this.#append(batch)
  }

  #append(records: string): void {
    if (records === '') return
    const bytes = Buffer.from(records)
    try {
      for (let written = 0; written < bytes.length; ) written += writeSync(this.#fd!, bytes, written)
    } catch (error) {
      ftruncateSync(this.#fd!, this.#size) // a full disk may have taken a part
      throw error
    }
    this.#size += bytes.length
    for (const follower of this.#followers) follower.wake()
  }

  #savePending(): void {
    const { stdout, stderr } = this.#splitters
    if (stdout.pending.length || stderr.pending.length) this.#pending.save(this.#fd!, { stdout: stdout.pending, stderr: stderr.pending })
  }

  #rotate(): void {
    closeSync(this.#fd!)
    rmSync(this.#rotated(this.#options.maxFile - 1), { force: true })
    for (let index = this.#options.maxFile - 2; index >= 0; index--) {
      if (existsSync(this.#rotated(index))) renameSync(this.#rotated(index), this.#rotated(index + 1))
    }
    this.#fd = openSync(this.path, O_RDWR | O_CREAT | O_APPEND, 0o640)
    this.#size = 0
    for (const follower of this.#followers) {
      follower.next.push(openSync(this.path, 'r'))
      // Who reads too slowly skips what has been deleted, rather than keep it on the disk.
      while (follower.next.length > this.#options.maxFile) closeSync(follower.next.shift()!)
    }
  }

  /** Descriptors of all files, oldest first; they stay valid when the files are rotated. */
  #openAll(): number[] {
    const fds: number[] = []
    for (let index = this.#options.maxFile - 1; index >= 0; index--) {
      try {
        fds.push(openSync(this.#rotated(index), 'r'))
      } catch (error) {
        if (!isErrno(error, 'ENOENT')) throw error
      }
    }
    return fds
  }

  /** Waits until there may be more to read than `reader` has seen. */
  async #more(follower: Follower, reader: RecordReader, signal: AbortSignal | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      follower.wake = resolve
      // What happened while the last read was under way woke nobody.
      if (reader.hasMore() || follower.next.length || this.#fd === undefined || signal?.aborted) resolve()
    })
  }

  #rotated(index: number): string {
    return index === 0 ? this.path : `${this.path}.${index}`
  }
}

/** Cuts off what a write that was interrupted left behind the last whole record. @returns the size of the file then */
function removeTornRecord(fd: number): number {
  const { size } = fstatSync(fd)
  const block = Buffer.alloc(64 * 1024)
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - block.length)
    const bytes = block.subarray(0, readSync(fd, block, 0, end - start, start))
    const whole = start + bytes.lastIndexOf(0x0a) + 1
    if (whole > start) {
      if (whole < size) ftruncateSync(fd, whole)
      return whole
    }
    end = start
  }
  if (size > 0) ftruncateSync(fd, 0)
  return 0
}
