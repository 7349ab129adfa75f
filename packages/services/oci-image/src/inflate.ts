import { type Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { BerthError, isErrno, messageOf } from '@berth/core'
import { createZstdFramesDecompress } from '@berth/layer-tar'
import { type Compression, sniffCompression } from '@berth/oci'
import type { ReadOptions } from './image.ts'

/** Bytes handed on at a time; with the 16 KiB of Node the loop would cost more than the inflating. */
const chunkSize = 256 * 1024

const inflaters: Record<Exclude<Compression, 'none'>, () => Duplex> = {
  gzip: () => createGunzip({ chunkSize }),
  zstd: () => createZstdFramesDecompress({ chunkSize }),
}

/**
 * The content of a stream that may be compressed, which its first bytes tell. The work is done in libuv's threads.
 * @throws `data-loss` for a broken compression; what the source throws.
 */
export async function* inflate(source: AsyncIterable<Uint8Array>, { signal }: ReadOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
  const { start, whole, close } = await peek(source)
  const compression = sniffCompression(start)
  if (compression === 'none') {
    yield* whole
    return
  }
  if (signal?.aborted) await close()
  signal?.throwIfAborted()
  const inflater = inflaters[compression]()
  const feeding = pipeline(whole, inflater, { signal })
  // The loop below meets the same failure.
  feeding.catch(() => {})
  try {
    for await (const chunk of inflater) yield chunk as Uint8Array
    await feeding
  } catch (error) {
    if (error instanceof BerthError || signal?.aborted || !isZlibError(error)) throw error
    throw new BerthError('data-loss', 'COMPRESSION_BROKEN', `the ${compression} stream is broken: ${messageOf(error)}`, { cause: error })
  } finally {
    inflater.destroy()
  }
}

export interface Peeked {
  start: Uint8Array
  /** The stream with its first bytes. */
  whole: AsyncIterable<Uint8Array>
  /** Ends the stream, for who does not read it to its end. */
  close(): Promise<void>
}

/** Looks at the first bytes of a stream. */
export async function peek(source: AsyncIterable<Uint8Array>, length = 4): Promise<Peeked> {
  const iterator = source[Symbol.asyncIterator]()
  let start: Uint8Array = Buffer.alloc(0)
  while (start.length < length) {
    const next = await iterator.next()
    if (next.done) break
    start = start.length === 0 ? next.value : Buffer.concat([start, next.value])
  }
  // No generator: one that was not begun would not close what it reads.
  let first: Uint8Array | undefined = start.length > 0 ? start : undefined
  const close = async () => void (await iterator.return?.())
  const rest: AsyncIterator<Uint8Array> = {
    async next() {
      const value = first
      first = undefined
      return value === undefined ? iterator.next() : { value, done: false }
    },
    async return() {
      await close()
      return { value: undefined, done: true }
    },
  }
  return { start, whole: { [Symbol.asyncIterator]: () => rest }, close }
}

function isZlibError(error: unknown): boolean {
  return isErrno(error, 'ERR_ZSTD_DECOMPRESSION_FAILED') || (error instanceof Error && /^(Z_|ZSTD_)/.test(String((error as NodeJS.ErrnoException).code)))
}
