import type { FileHandle } from 'node:fs/promises'

/** Bytes gathered before they are written. Sockets give 64 KiB at a time, and a write costs a turn of the thread pool each. */
const batchSize = 512 * 1024

/** Appends chunks to a file in large writes, one in flight while the next is gathered. */
export class BatchedWriter {
  readonly #handle: FileHandle
  #position: number
  #chunks: Uint8Array[] = []
  #gathered = 0
  #inFlight: Promise<void> = Promise.resolve()

  constructor(handle: FileHandle, position: number) {
    this.#handle = handle
    this.#position = position
  }

  /** Settles when there is room for more. */
  async write(chunk: Uint8Array): Promise<void> {
    this.#chunks.push(chunk)
    this.#gathered += chunk.length
    if (this.#gathered >= batchSize) await this.#send()
  }

  /** Settles when all is written. */
  async flush(): Promise<void> {
    await this.#send()
    await this.#inFlight
  }

  async #send(): Promise<void> {
    await this.#inFlight
    if (this.#gathered === 0) return
    const chunks = this.#chunks
    const position = this.#position
    this.#chunks = []
    this.#position += this.#gathered
    this.#gathered = 0
    this.#inFlight = writeAll(this.#handle, chunks, position)
    // Its failure is thrown by the next call, which always comes.
    this.#inFlight.catch(() => {})
  }
}

async function writeAll(handle: FileHandle, chunks: Uint8Array[], position: number): Promise<void> {
  const total = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  const { bytesWritten } = await handle.writev(chunks, position)
  if (bytesWritten === total) return
  const rest = Buffer.concat(chunks).subarray(bytesWritten)
  for (let written = 0; written < rest.length; ) {
    written += (await handle.write(rest, written, rest.length - written, position + bytesWritten + written)).bytesWritten
  }
}
