import { close, closeSync, openSync, read } from 'node:fs'
import { promisify } from 'node:util'
import { isErrno } from '@berth/core'
import { contentNotFound } from './content-errors.ts'
import type { ReadOptions } from './content-store.ts'

const readAt = promisify(read)
const closeFile = promisify(close)
const pieceSize = 256 * 1024

/** Descriptors of readings that nobody began or ended. */
const forgotten = new FinalizationRegistry<number>((descriptor) => closeSync(descriptor))

/** Opens a blob's file in this turn of the event loop and reads it when asked. A file that is not there is said at the first piece. */
export function readBlobFile(path: string, digest: string, { offset = 0, length = Infinity, signal }: ReadOptions): AsyncIterable<Uint8Array> {
  try {
    return new FileReading(openSync(path, 'r'), { offset, end: offset + length, signal })
  } catch (error) {
    return failing(isErrno(error, 'ENOENT') ? contentNotFound(digest) : error)
  }
}

class FileReading implements AsyncIterableIterator<Uint8Array> {
  readonly #descriptor: number
  readonly #end: number
  readonly #signal: AbortSignal | undefined
  #position: number
  #isClosed = false

  constructor(descriptor: number, { offset, end, signal }: { offset: number; end: number; signal: AbortSignal | undefined }) {
    this.#descriptor = descriptor
    this.#position = offset
    this.#end = end
    this.#signal = signal
    forgotten.register(this, descriptor, this)
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#isClosed) return { done: true, value: undefined }
    try {
      this.#signal?.throwIfAborted()
      const wanted = Math.min(pieceSize, this.#end - this.#position)
      const buffer = Buffer.allocUnsafeSlow(wanted)
      const { bytesRead } = wanted > 0 ? await readAt(this.#descriptor, buffer, 0, wanted, this.#position) : { bytesRead: 0 }
      if (bytesRead === 0) return await this.return()
      this.#position += bytesRead
      return { done: false, value: bytesRead === wanted ? buffer : buffer.subarray(0, bytesRead) }
    } catch (error) {
      await this.return()
      throw error
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (!this.#isClosed) {
      this.#isClosed = true
      forgotten.unregister(this)
      await closeFile(this.#descriptor)
    }
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

// oxlint-disable-next-line require-yield -- it only fails
async function* failing(error: unknown): AsyncGenerator<Uint8Array, void, undefined> {
  throw error
}
