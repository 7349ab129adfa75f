import { closeSync, constants, fstatSync, ftruncateSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { BerthError, isErrno, messageOf, nowNano } from '@berth/core'
import { LineSplitter, type Log, type LogEntry, type LogStream, type ReadLogOptions } from '../index.ts'
import { compressOlder } from './compress-older.ts'
import { FileSet } from './file-set.ts'
import { PendingLines } from './pending-lines.ts'
import { type LiveFile, LogReaders } from './readers.ts'
import type { RecordFormat } from './record-format.ts'

export interface FileLogOptions {
  /** Of the current file; older ones are beside it. */
  path: string
  format: RecordFormat
  /** Bytes at which a file is full; unlimited when absent. */
  maxSize: number | undefined
  /** Files kept, the current one included. */
  maxFile: number
  compress: boolean
}

const { O_APPEND, O_CREAT, O_RDWR } = constants

/** The file that is written to. What is beyond its size belongs to a chunk that is not taken yet. */
interface Current extends LiveFile {
  fd: number
  written: number
}

/**
 * A {@link Log} in files of one's own format, for those who write a driver. When `write` returns, the chunk is in the kernel; when it throws, nothing of it is kept.
 * Files are made at the first write.
 */
export class FileLog implements Log {
  readonly path: string
  readonly #options: FileLogOptions
  readonly #files: FileSet
  readonly #splitters = { stdout: new LineSplitter(), stderr: new LineSplitter() }
  readonly #pending: PendingLines
  readonly #readers: LogReaders
  #current: Current | undefined
  /** Files that were full in the middle of the chunk that is being written. */
  readonly #filled: Current[] = []
  #compressing: Promise<void> | undefined
  #isReady = false
  #isClosed = false

  constructor(options: FileLogOptions) {
    this.#options = options
    this.path = options.path
    this.#files = new FileSet(options.path, options.maxFile)
    this.#pending = new PendingLines(`${options.path}.pending`)
    this.#readers = new LogReaders(this.#files, options.format, options.maxFile)
    this.#openCurrent(O_RDWR | O_APPEND)
  }

  write(stream: LogStream, chunk: Uint8Array): void {
    if (this.#isClosed) throw new BerthError('conflict', 'LOG_CLOSED', 'the log is closed')
    const splitter = this.#splitters[stream]
    this.#transact(() => {
      const { format, maxSize = Infinity } = this.#options
      const current = this.#writable()
      const time = nowNano()
      const lines = splitter.takeLines(chunk)
      const records = lines && format.encodeLines(stream, time, lines)
      if (records && current.written + records.length <= maxSize) this.#append(current, records)
      else this.#appendEntries(stream, time, lines ? new LineSplitter().split(lines) : splitter.split(chunk))
    })
  }

  async *read(options: ReadLogOptions): AsyncGenerator<LogEntry> {
    for await (const batch of this.readBatches(options)) yield* batch
  }

  readBatches(options: ReadLogOptions): AsyncGenerator<LogEntry[]> {
    return this.#readers.read(options)
  }

  unfinished(stream: LogStream): Uint8Array {
    return this.#splitters[stream].pending
  }

  close(): void {
    if (this.#isClosed) return
    const rests = (['stdout', 'stderr'] as const).filter((stream) => this.#splitters[stream].pending.length > 0)
    if (rests.length > 0) {
      this.#transact(() => {
        this.#writable()
        const time = nowNano()
        for (const stream of rests) this.#appendEntries(stream, time, [this.#splitters[stream].flush()])
      })
    }
    this.#isClosed = true
    if (this.#isReady) this.#pending.remove()
    if (this.#current) closeSync(this.#current.fd)
    this.#readers.end()
  }

  remove(): void {
    this.#splitters.stdout.flush()
    this.#splitters.stderr.flush()
    this.close()
    this.#files.removeAll()
  }

  /** Settles when no file is being compressed. */
  async idle(): Promise<void> {
    await this.#compressing
  }

  /** The file to write to, made when it is not there. */
  #writable(): Current {
    if (!this.#current) {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o710 })
      this.#openCurrent(O_RDWR | O_APPEND | O_CREAT)
    }
    if (!this.#isReady) this.#files.removeHalfDone()
    this.#isReady = true
    return this.#current!
  }

  #openCurrent(flags: number): void {
    let fd: number
    try {
      fd = openSync(this.path, flags, 0o640)
    } catch (error) {
      if (!(flags & O_CREAT) && isErrno(error, 'ENOENT')) return
      throw error
    }
    const { ino, size } = fstatSync(fd)
    const whole = this.#options.format.wholeSize(fd)
    if (whole < size) ftruncateSync(fd, whole)
    this.#current = { fd, ino, size: whole, written: whole }
    this.#readers.goOnWith(this.#current)
    const unfinished = this.#pending.load(stateOf(this.#current, 0))
    if (!unfinished) return
    this.#splitters.stdout.pending = unfinished.stdout
    this.#splitters.stderr.pending = unfinished.stderr
  }

  /** All of it or nothing. Throws `unavailable` when the disk has no room. */
  #transact(work: () => void): void {
    const { stdout, stderr } = this.#splitters
    const before = { stdout: stdout.pending, stderr: stderr.pending }
    try {
      work()
      for (const file of this.#touched()) file.size = file.written
      if (this.#filled.length > 0) this.#compressLater()
    } catch (error) {
      stdout.pending = before.stdout
      stderr.pending = before.stderr
      for (const file of this.#touched()) {
        ftruncateSync(file.fd, file.size)
        file.written = file.size
      }
      if (isErrno(error, 'ENOSPC', 'EDQUOT')) throw new BerthError('unavailable', 'LOG_FULL', `no room for the output of a container: ${messageOf(error)}`, { cause: error })
      throw error
    } finally {
      for (const { fd } of this.#filled.splice(0)) closeSync(fd)
    }
    this.#readers.wake()
  }

  #touched(): Current[] {
    return this.#current ? [...this.#filled, this.#current] : []
  }

  #appendEntries(stream: LogStream, time: bigint, entries: Buffer[]): void {
    const { format, maxSize = Infinity } = this.#options
    let current = this.#current!
    let batch: Buffer[] = []
    let size = 0
    for (const entry of entries) {
      if (current.written + size >= maxSize) {
        this.#write(current, Buffer.concat(batch, size))
        current = this.#rotate(current)
        batch = []
        size = 0
      }
      const record = format.encodeEntry(stream, time, entry)
      batch.push(record)
      size += record.length
    }
    this.#append(current, Buffer.concat(batch, size))
  }

  /** The end of a chunk: with it the beginning of the next line is valid, which was saved before. */
  #append(current: Current, records: Buffer): void {
    const { stdout, stderr } = this.#splitters
    if (stdout.pending.length || stderr.pending.length) this.#pending.save(stateOf(current, records.length), { stdout: stdout.pending, stderr: stderr.pending })
    this.#write(current, records)
  }

  #write(current: Current, records: Buffer): void {
    for (let written = 0; written < records.length; ) written += writeSync(current.fd, records, written)
    current.written += records.length
  }

  #rotate(current: Current): Current {
    const fd = this.#files.rotate()
    this.#filled.push(current)
    this.#current = { fd, ino: fstatSync(fd).ino, size: 0, written: 0 }
    this.#readers.goOnWith(this.#current)
    return this.#current
  }

  #compressLater(): void {
    if (!this.#options.compress) return
    // A file that could not be compressed stays as it is; the next rotation tries again.
    this.#compressing ??= compressOlder(this.#files).catch(() => {}).finally(() => (this.#compressing = undefined))
  }
}

const stateOf = ({ ino, written }: Current, growth: number) => `${ino}:${written + growth}`
