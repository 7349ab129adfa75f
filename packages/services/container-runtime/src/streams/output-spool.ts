import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { BerthError, isErrno, messageOf, newId } from '@berth/core'

/** What is kept for slow clients of all processes. */
export interface BacklogLimits {
  /** Bytes that wait in memory for one stream of one client; what is more goes to a file. */
  clientMemory: number
  /** Bytes that wait in memory for all of them together. */
  memory: number
  /** Bytes that wait in files for one stream of one client; a client that is further behind is cut off. */
  clientDisk: number
}

const defaultBacklogLimits: BacklogLimits = { clientMemory: 1 << 20, memory: 64 << 20, clientDisk: 1 << 30 }

/** A file is given back when all of it was read, so that a client that is always a little behind needs no more than that. */
const segmentSize = 16 << 20
/** Bytes that may wait to be written before the source has to wait for the disk. */
const writeBacklog = 4 << 20
const readSize = 256 << 10

/** Where the output that clients have not taken yet is kept. */
export class Backlog {
  readonly limits: BacklogLimits
  readonly #directory: string
  #isReady = false
  #memory = 0

  /** @param directory its own; made when the first file is needed, and emptied of what a crash left */
  constructor(directory: string, limits: Partial<BacklogLimits> = {}) {
    this.#directory = directory
    this.limits = { ...defaultBacklogLimits, ...limits }
  }

  /** Whether so many more bytes may wait in memory; if so they count until they are {@link forget forgotten}. */
  remember(bytes: number): boolean {
    if (this.#memory + bytes > this.limits.memory) return false
    this.#memory += bytes
    return true
  }

  forget(bytes: number): void {
    this.#memory -= bytes
  }

  /** A file without a name: it is gone with its last descriptor, however this process ends. */
  async openFile(): Promise<FileHandle> {
    if (!this.#isReady) {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
      for (const left of readdirSync(this.#directory)) rmSync(join(this.#directory, left))
      this.#isReady = true
    }
    const path = join(this.#directory, newId())
    const file = await open(path, 'wx+', 0o600)
    try {
      await unlink(path)
      return file
    } catch (error) {
      await file.close()
      throw error
    }
  }
}

interface Segment {
  file: FileHandle
  written: number
  taken: number
}

/** Bytes on the disk that come out as they went in. Nothing of it holds up the event loop. */
export class OutputSpool {
  readonly #backlog: Backlog
  readonly #onFailure: (reason: BerthError) => void
  readonly #onRoom: () => void
  readonly #segments: Segment[] = []
  #waiting: Uint8Array[] = []
  #waitingSize = 0
  #size = 0
  #work: Promise<void> = Promise.resolve()
  #isWriting = false
  #isClosed = false

  /** @param options `onFailure` hears why no more can be kept; `onRoom` that the source need not wait any more. */
  constructor(backlog: Backlog, options: { onFailure: (reason: BerthError) => void; onRoom: () => void }) {
    this.#backlog = backlog
    this.#onFailure = options.onFailure
    this.#onRoom = options.onRoom
  }

  /** More comes than the disk takes. */
  get isBusy(): boolean {
    return this.#waitingSize > writeBacklog && !this.#isClosed
  }

  get isEmpty(): boolean {
    return this.#size === 0
  }

  append(chunk: Uint8Array): void {
    if (this.#isClosed) return
    this.#size += chunk.length
    if (this.#size > this.#backlog.limits.clientDisk) return this.#fail(`it has not taken ${this.#backlog.limits.clientDisk} bytes of output`)
    this.#waiting.push(chunk)
    this.#waitingSize += chunk.length
    if (this.#isWriting) return
    this.#isWriting = true
    void this.#queue(() => this.#write())
  }

  /** The next bytes; undefined when all of them were read. */
  async read(): Promise<Buffer | undefined> {
    let bytes: Buffer | undefined
    await this.#queue(async () => {
      bytes = await this.#readNext()
    })
    return bytes
  }

  /** Gives back the files. Idempotent. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#waiting = []
    this.#waitingSize = 0
    void this.#work.then(async () => {
      for (const { file } of this.#segments.splice(0)) await file.close().catch(() => {})
    })
    this.#onRoom()
  }

  /** Reads and writes happen one after the other. */
  #queue(work: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(async () => {
      if (this.#isClosed) return
      try {
        await work()
      } catch (error) {
        this.#fail(isErrno(error, 'ENOSPC', 'EDQUOT') ? 'the disk has no room for the output that it has not taken' : `the output that it has not taken could not be kept: ${messageOf(error)}`)
      }
    })
    return this.#work
  }

  #fail(reason: string): void {
    if (this.#isClosed) return
    this.close()
    this.#onFailure(new BerthError('resource-exhausted', 'CLIENT_TOO_SLOW', `the client is too slow: ${reason}`))
  }

  async #write(): Promise<void> {
    const last = this.#segments.at(-1)
    const segment = last && last.written < segmentSize ? last : { file: await this.#backlog.openFile(), written: 0, taken: 0 }
    if (segment !== last) this.#segments.push(segment)
    const [chunks, size] = [this.#waiting, this.#waitingSize]
    this.#waiting = []
    const { bytesWritten } = await segment.file.writev(chunks, segment.written)
    segment.written += bytesWritten
    if (this.#isClosed) return
    if (bytesWritten < size) this.#waiting = [Buffer.concat(chunks).subarray(bytesWritten), ...this.#waiting]
    const wasBusy = this.isBusy
    this.#waitingSize -= bytesWritten
    this.#isWriting = this.#waiting.length > 0
    // A reader has its turn in between.
    if (this.#isWriting) void this.#queue(() => this.#write())
    if (wasBusy && !this.isBusy) this.#onRoom()
  }

  async #readNext(): Promise<Buffer | undefined> {
    for (;;) {
      const segment = this.#segments[0]
      if (!segment) return undefined
      if (segment.taken < segment.written) {
        const wanted = Math.min(readSize, segment.written - segment.taken)
        const { bytesRead, buffer } = await segment.file.read(Buffer.allocUnsafe(wanted), 0, wanted, segment.taken)
        if (bytesRead === 0) throw new Error('the file is shorter than what was written')
        segment.taken += bytesRead
        this.#size -= bytesRead
        return buffer.subarray(0, bytesRead)
      }
      this.#segments.shift()
      await segment.file.close()
    }
  }
}
