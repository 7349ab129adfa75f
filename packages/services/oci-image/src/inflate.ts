import { type Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { BerthError, isErrno, messageOf } from '@berth/core'
import { type Compression, sniffCompression } from '@berth/oci'
import type { ReadOptions } from './image.ts'

/** Bytes handed on at a time; with the 16 KiB of Node the loop would cost more than the inflating. */
const chunkSize = 256 * 1024

const inflaters: Record<Exclude<Compression, 'none'>, () => Duplex> = {
  gzip: () => createGunzip({ chunkSize }),
  zstd: () => createZstdDecompress({ chunkSize }),
}

/**
 * The content of a stream that may be compressed, which its first bytes tell. The work is done in libuv's threads.
 * @throws `data-loss` for a broken compression; what the source throws.
 */
export async function* inflate(source: AsyncIterable<Uint8Array>, { signal }: ReadOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
  const { start, whole } = await peek(source)
  const compression = sniffCompression(start)
  if (compression === 'none') {
    yield* whole
    return
  }
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

/** The first bytes of a stream, and the stream with them. */
export async function peek(source: AsyncIterable<Uint8Array>, length = 4): Promise<{ start: Uint8Array; whole: AsyncIterable<Uint8Array> }> {
  const iterator = source[Symbol.asyncIterator]()
  let start: Uint8Array = Buffer.alloc(0)
  let ended = false
  while (!ended && start.length < length) {
    const next = await iterator.next()
    if (next.done) ended = true
    else start = start.length === 0 ? next.value : Buffer.concat([start, next.value])
  }
  async function* whole() {
    try {
      if (start.length > 0) yield start
      while (!ended) {
        const next = await iterator.next()
        if (next.done) ended = true
        else yield next.value
      }
    } finally {
      if (!ended) await iterator.return?.()
    }
  }
  return { start, whole: whole() }
}

function isZlibError(error: unknown): boolean {
  return isErrno(error, 'ERR_ZSTD_DECOMPRESSION_FAILED') || (error instanceof Error && /^(Z_|ZSTD_)/.test(String((error as NodeJS.ErrnoException).code)))
}
