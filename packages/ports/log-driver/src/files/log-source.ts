import { closeSync, createReadStream, fstatSync, read as readCallback } from 'node:fs'
import { promisify } from 'node:util'
import { createGunzip } from 'node:zlib'
import type { LogEntry } from '../index.ts'
import type { OpenedFile } from './file-set.ts'
import type { RecordFormat } from './record-format.ts'

const readFd = promisify(readCallback)
const blockSize = 64 * 1024
/** No record is longer; a file in which one seems to be holds something else, and is passed over from there. */
const maxRecordBytes = 2 * 1024 * 1024

/** What a log has written to a file so far: nothing beyond is read, as it may be taken back. */
export interface FileEnd {
  size: number
}

/** The entries of one open file, in batches; owns the descriptor. */
export class LogSource {
  readonly fd: number
  readonly isCompressed: boolean
  readonly end: FileEnd
  /** Where in a plain file it goes on. */
  offset = 0
  readonly #format: RecordFormat
  #blockSize = blockSize
  #chunks: AsyncIterator<Buffer> | undefined
  #rest: Buffer = Buffer.alloc(0)
  #isClosed = false

  /** @param options where it ends; as it is now when absent */
  constructor({ fd, isCompressed }: OpenedFile, format: RecordFormat, options: { end?: FileEnd } = {}) {
    this.fd = fd
    this.isCompressed = isCompressed
    this.end = options.end ?? { size: fstatSync(fd).size }
    this.#format = format
  }

  /** When it was written to last, in milliseconds since the epoch. */
  get lastWrite(): number {
    return fstatSync(this.fd).mtimeMs
  }

  /** Some entries; undefined at the end, which may be moved on for a file that is written to. */
  async next(): Promise<LogEntry[] | undefined> {
    return this.isCompressed ? this.#nextCompressed() : this.#nextPlain()
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    void this.#chunks?.return?.()
    closeSync(this.fd)
  }

  async #nextPlain(): Promise<LogEntry[] | undefined> {
    for (;;) {
      const length = Math.min(this.#blockSize, this.end.size - this.offset)
      if (length <= 0) return undefined
      // A new one each time: entries are parts of it.
      const block = Buffer.allocUnsafeSlow(length)
      const { bytesRead } = await readFd(this.fd, block, 0, length, this.offset)
      const entries: LogEntry[] = []
      const used = this.#format.decode(block.subarray(0, bytesRead), entries)
      this.offset += used
      if (used > 0) {
        this.#blockSize = blockSize
        if (entries.length > 0) return entries
      } else if (bytesRead < this.#blockSize) {
        return undefined
      } else {
        this.#blockSize *= 2
        if (this.#blockSize > maxRecordBytes) return undefined
      }
    }
  }

  async #nextCompressed(): Promise<LogEntry[] | undefined> {
    this.#chunks ??= createReadStream('', { fd: this.fd, autoClose: false, start: 0, highWaterMark: blockSize })
      .pipe(createGunzip({ chunkSize: blockSize }))
      [Symbol.asyncIterator]() as AsyncIterator<Buffer>
    for (;;) {
      let chunk: IteratorResult<Buffer>
      try {
        chunk = await this.#chunks.next()
      } catch {
        return undefined // It was damaged: what came before is all there is.
      }
      if (chunk.done) return undefined
      const block = Buffer.concat([this.#rest, chunk.value])
      const entries: LogEntry[] = []
      const used = this.#format.decode(block, entries)
      this.#rest = block.subarray(used)
      if (this.#rest.length > maxRecordBytes) return undefined
      if (entries.length > 0) return entries
    }
  }
}
