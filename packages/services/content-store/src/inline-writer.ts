import { createHash, type Hash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import type { DigestAlgorithm } from './content-store.ts'
import type { IngestWriter, IngestWriterOptions } from './ingest-writer.ts'

/** Writes a few bytes without a thread: for those, handing them over would take longer than the work. */
export class InlineWriter implements IngestWriter {
  bytes: number
  readonly #handle: FileHandle
  readonly #algorithm: DigestAlgorithm
  readonly #onWritten: (bytes: number) => void
  /** Of everything in the file; undefined when a part of it is from an earlier session. */
  readonly #hash: Hash | undefined

  constructor(handle: FileHandle, { bytes, algorithm, onWritten }: IngestWriterOptions) {
    this.#handle = handle
    this.bytes = bytes
    this.#algorithm = algorithm
    this.#onWritten = onWritten
    this.#hash = bytes === 0 ? createHash(algorithm) : undefined
  }

  async write(chunk: Uint8Array): Promise<void> {
    try {
      for (let written = 0; written < chunk.length; ) {
        written += (await this.#handle.write(chunk, written, chunk.length - written, this.bytes + written)).bytesWritten
      }
    } catch (error) {
      await this.#handle.truncate(this.bytes)
      throw error
    }
    this.#hash?.update(chunk)
    this.bytes += chunk.length
    this.#onWritten(this.bytes)
  }

  async flush(): Promise<void> {}

  async digest(algorithm: DigestAlgorithm): Promise<string> {
    if (this.#hash && algorithm === this.#algorithm) return this.#hash.copy().digest('hex')
    const content = Buffer.alloc(this.bytes)
    const { bytesRead } = await this.#handle.read(content, 0, content.length, 0)
    return createHash(algorithm).update(content.subarray(0, bytesRead)).digest('hex')
  }

  async sync(): Promise<void> {
    await this.#handle.sync()
  }

  async close(): Promise<void> {}
}
