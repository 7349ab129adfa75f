import { type FileHandle, rm } from 'node:fs/promises'
import { isKind } from '@berth/core'
import { parseDigest } from '@berth/oci'
import { asStorageError, digestMismatch, ingestOver, sizeMismatch } from './content-errors.ts'
import type { BlobInfo, DigestAlgorithm } from './content-store.ts'
import type { GrowingIngest } from './growing-ingest.ts'
import type { IngestThreads } from './ingest-threads.ts'
import type { IngestWriter } from './ingest-writer.ts'
import { InlineWriter } from './inline-writer.ts'
import { ThreadWriter } from './thread-writer.ts'

/** Bytes up to which a blob is written and hashed without a thread. Measured: below it, the way to a thread and back takes longer than the work, which is in pieces too short to be felt. */
export const inlineLimit = 1024 * 1024

/** What an ingest needs of its store. */
export interface IngestPlace {
  threads: IngestThreads
  /** Calls that end the process in tests. */
  failPoint: (step: string) => void
  /** Makes the file, which is verified and synced, the blob; settles when its name is durable. */
  place(file: string, digest: string): Promise<void>
  /** The key is free again. */
  release(): void
}

export interface FileIngestOptions {
  key: string
  file: string
  handle: FileHandle
  /** Bytes in the file. */
  bytes: number
  algorithm: DigestAlgorithm
  hashNow: boolean
  /** Bytes that are expected in all, as far as is known. */
  expectedSize: number
}

/** A file in `ingest/` that one writer appends to. */
export class FileIngest implements GrowingIngest {
  readonly key: string
  readonly file: string
  onWritten: ((bytes: number) => void) | undefined
  /** Settles when its file is let go of. */
  readonly over: Promise<void>
  readonly #over = Promise.withResolvers<void>()
  readonly #handle: FileHandle
  readonly #place: IngestPlace
  readonly #options: FileIngestOptions
  #writer: IngestWriter
  #isInline: boolean
  #isOver = false

  constructor(options: FileIngestOptions, place: IngestPlace) {
    this.key = options.key
    this.file = options.file
    this.#handle = options.handle
    this.#options = options
    this.#place = place
    this.over = this.#over.promise
    this.#isInline = Math.max(options.bytes, options.expectedSize) <= inlineLimit
    this.#writer = this.#isInline ? new InlineWriter(options.handle, this.#writerOptions(options.bytes)) : this.#threadWriter(options.bytes, options.hashNow)
  }

  get bytes(): number {
    return this.#writer.bytes
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#checkOpen()
    if (this.#isInline && this.bytes + chunk.length > inlineLimit) {
      this.#isInline = false
      this.#writer = this.#threadWriter(this.bytes, true)
    }
    await stored(this.#writer.write(chunk))
  }

  async commit({ digest, size, algorithm }: { digest?: string | undefined; size?: number | undefined; algorithm?: DigestAlgorithm | undefined } = {}): Promise<BlobInfo> {
    this.#checkOpen()
    const wanted = digest === undefined ? (algorithm ?? 'sha256') : parseDigest(digest).algorithm
    await stored(this.#writer.flush())
    this.#isOver = true
    try {
      const bytes = this.#writer.bytes
      if (size !== undefined && bytes !== size) throw sizeMismatch(digest ?? this.key, bytes, size)
      const actual = `${wanted}:${await this.#writer.digest(wanted)}`
      if (digest !== undefined && actual !== digest) throw digestMismatch(digest)
      this.#place.failPoint('content.verified')
      await this.#writer.sync()
      this.#place.failPoint('content.synced')
      await this.#place.place(this.file, actual)
      return { digest: actual, size: bytes }
    } catch (error) {
      // Also after a failed sync: what the disk has of it is not known any more.
      if (!isKind(error, 'cancelled')) await rm(this.file, { force: true })
      throw asStorageError(error)
    } finally {
      await this.#end()
    }
  }

  async discard(): Promise<void> {
    this.#checkOpen()
    this.#isOver = true
    await rm(this.file, { force: true })
    await this.#end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    try {
      await stored(this.#writer.flush())
    } finally {
      if (this.#writer.bytes === 0) await rm(this.file, { force: true })
      await this.#end()
    }
  }

  async #end(): Promise<void> {
    await this.#writer.close()
    await this.#handle.close()
    this.#place.release()
    this.#over.resolve()
  }

  #threadWriter(bytes: number, hashNow: boolean): IngestWriter {
    return new ThreadWriter(this.#place.threads, { ...this.#writerOptions(bytes), descriptor: this.#handle.fd, hashNow })
  }

  #writerOptions(bytes: number) {
    return { bytes, algorithm: this.#options.algorithm, onWritten: (written: number) => this.onWritten?.(written) }
  }

  #checkOpen(): void {
    if (this.#isOver) throw ingestOver(this.key)
  }
}

async function stored<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw asStorageError(error)
  }
}
