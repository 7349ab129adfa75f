import { read as readFile } from 'node:fs'
import { Readable, pipeline } from 'node:stream'
import { promisify } from 'node:util'
import { createGunzip } from 'node:zlib'
import { BerthError, messageOf } from '@berth/core'
import { GzipInflater } from '@berth/linux'
import { type Compression, sniffCompression } from '@berth/oci'
import { createZstdFramesDecompress } from './zstd-frames.ts'

const readAt = promisify(readFile)
const pieceSize = 256 * 1024
const sniffedBytes = 4

/** How far a file that is still being written may be read. */
export class Growth {
  #bytes = 0
  #ended = false
  #failure: unknown
  #changed = Promise.withResolvers<void>()

  grow(bytes: number): void {
    this.#bytes = bytes
    this.#wake()
  }

  /** The file is whole, with so many bytes; `Infinity` where its end is its end. */
  end(bytes: number): void {
    this.#ended = true
    this.grow(bytes)
  }

  fail(error: unknown): void {
    this.#failure = error
    this.#wake()
  }

  /** Waits until there is more than `position`. @returns how far may be read, or undefined at the end */
  async beyond(position: number): Promise<number | undefined> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      if (this.#bytes > position) return this.#bytes
      if (this.#ended) return undefined
      await this.#changed.promise
    }
  }

  #wake(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }
}

/**
 * The tar in a layer's file, piece by piece, as far as the file has grown. A piece is valid until the next is asked for. Without a compression it is found from the
 * first bytes. Gives the event loop a turn at each piece that is read. The descriptor stays open.
 * @throws `data-loss` for what cannot be decompressed
 */
export async function* tarIn(fd: number, growth: Growth, compression?: Compression): AsyncGenerator<Buffer, void, undefined> {
  const pieces = piecesOf(fd, growth)
  const first = await beginning(pieces)
  const all = withFirst(first, pieces)
  try {
    const found = compression ?? sniffCompression(first)
    if (found === 'none') yield* all
    else if (found === 'gzip' && GzipInflater.isAvailable()) yield* inflated(all)
    else yield* streamed(all, found === 'gzip' ? createGunzip({ chunkSize: pieceSize }) : createZstdFramesDecompress({ chunkSize: pieceSize }))
  } catch (error) {
    const code = String((error as NodeJS.ErrnoException).code ?? '')
    // zlib names its errors Z_DATA_ERROR and the like, zstd ZSTD_error_….
    if (/^(Z_|ZSTD|ERR_ZSTD)/.test(code)) throw new BerthError('data-loss', 'LAYER_CORRUPT', `the layer cannot be decompressed: ${messageOf(error)}`, { cause: error })
    throw error
  }
}

async function* piecesOf(fd: number, growth: Growth): AsyncGenerator<Buffer, void, undefined> {
  const buffer = Buffer.allocUnsafeSlow(pieceSize)
  for (let position = 0; ; ) {
    const limit = await growth.beyond(position)
    if (limit === undefined) return
    const { bytesRead } = await readAt(fd, buffer, 0, Math.min(buffer.length, limit - position), position)
    if (bytesRead === 0 && limit !== Infinity) throw new BerthError('data-loss', 'LAYER_TRUNCATED', `the layer's file ends at ${position} bytes, before ${limit}`)
    if (bytesRead === 0) return
    position += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

/** A first piece that is long enough to tell the compression from, unless there is no more. */
async function beginning(pieces: AsyncGenerator<Buffer, void, undefined>): Promise<Buffer> {
  let first = Buffer.alloc(0)
  while (first.length < sniffedBytes) {
    const { value, done } = await pieces.next()
    if (done) break
    first = Buffer.concat([first, value])
  }
  return first
}

async function* withFirst(first: Buffer, pieces: AsyncGenerator<Buffer, void, undefined>): AsyncGenerator<Buffer, void, undefined> {
  yield first
  yield* pieces
}

async function* inflated(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const inflater = new GzipInflater(pieceSize)
  for await (const piece of pieces) yield* inflater.push(piece)
  inflater.finish()
}

async function* streamed(pieces: AsyncIterable<Buffer>, inflate: ReturnType<typeof createGunzip> | ReturnType<typeof createZstdFramesDecompress>): AsyncGenerator<Buffer, void, undefined> {
  async function* copied() {
    for await (const piece of pieces) yield Buffer.from(piece)
  }
  // A failure of the file arrives where the end of the pipeline is read.
  const stream = pipeline(Readable.from(copied(), { objectMode: false, highWaterMark: pieceSize }), inflate, () => {})
  for await (const chunk of stream) yield chunk as Buffer
}
