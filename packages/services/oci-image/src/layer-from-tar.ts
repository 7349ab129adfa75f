import { createHash } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import { constants, createGzip, createZstdCompress } from 'node:zlib'
import { type Compression, type Descriptor, mediaTypes, sniffCompression, verified } from '@berth/oci'
import type { Layer, ReadOptions } from './image.ts'
import { inflate, peek } from './inflate.ts'
import { once } from './read-document.ts'

/** A layer's bytes: in memory, or to be opened as often as they are read. */
export type LayerBytes = Uint8Array | (() => AsyncIterable<Uint8Array>)

export interface LayerOptions extends ReadOptions {
  /** How a plain tar is stored; gzip unless told otherwise. A tar that comes compressed stays as it is. */
  compression?: Compression | undefined
  /** Of `zlib` or zstd; each one's own default. */
  level?: number | undefined
  /** Docker's media types, for an image whose manifest is Docker's. */
  docker?: boolean | undefined
}

const pieceSize = 128 * 1024

const types: Record<'oci' | 'docker', Record<Compression, string>> = {
  oci: { none: mediaTypes.ociLayer, gzip: mediaTypes.ociLayerGzip, zstd: mediaTypes.ociLayerZstd },
  docker: { none: mediaTypes.dockerLayer, gzip: mediaTypes.dockerLayerGzip, zstd: mediaTypes.dockerLayerZstd },
}

/**
 * Makes a layer of a tar, plain or compressed. The tar is read twice, once now to know its digests, and once when the layer is read: nothing of it is kept in memory, and
 * compressing the same tar gives the same bytes (with one version of Node).
 * @throws `data-loss` for a broken compression. Reading the layer throws it if the tar is another one by then.
 */
export async function layerFromTar(bytes: LayerBytes, { compression: wanted = 'gzip', level, docker = false, signal }: LayerOptions = {}): Promise<Layer> {
  const open = bytes instanceof Uint8Array ? () => once(bytes) : bytes
  const { start, whole, close } = await peek(open())
  const given = sniffCompression(start)
  const compression = given === 'none' ? wanted : given
  const store = (source: AsyncIterable<Uint8Array>, options?: ReadOptions) => (given === 'none' ? compress(source, compression, level, options) : source)
  const sums = { compressed: createHash('sha256'), uncompressed: createHash('sha256') }
  let size = 0
  const count = (chunk: Uint8Array) => {
    sums.compressed.update(chunk)
    size += chunk.length
  }
  try {
    if (given === 'none') for await (const chunk of store(tapped(whole, (each) => sums.uncompressed.update(each)), { signal })) count(chunk)
    else for await (const chunk of inflate(tapped(whole, count), { signal })) sums.uncompressed.update(chunk)
  } finally {
    await close()
  }

  const descriptor: Descriptor = { mediaType: types[docker ? 'docker' : 'oci'][compression], digest: `sha256:${sums.compressed.digest('hex')}`, size }
  const diffId = `sha256:${sums.uncompressed.digest('hex')}`
  return {
    descriptor,
    diffId,
    compressed: (options) => verified(store(open(), options), descriptor),
    uncompressed: (options) => verified(inflate(open(), options), { digest: diffId }),
  }
}

async function* compress(source: AsyncIterable<Uint8Array>, compression: Compression, level: number | undefined, { signal }: ReadOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
  if (compression === 'none') {
    yield* source
    return
  }
  const deflater = compression === 'gzip' ? createGzip({ level }) : createZstdCompress(level === undefined ? {} : { params: { [constants.ZSTD_c_compressionLevel]: level } })
  const feeding = pipeline(evenPieces(source), deflater, { signal })
  // The loop below meets the same failure.
  feeding.catch(() => {})
  try {
    for await (const chunk of deflater) yield chunk as Uint8Array
    await feeding
  } finally {
    deflater.destroy()
  }
}

/** The same bytes in pieces of one size: what zstd writes depends on where its input is cut. */
async function* evenPieces(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let piece = Buffer.allocUnsafeSlow(pieceSize)
  let filled = 0
  for await (const chunk of source) {
    for (let offset = 0; offset < chunk.length; ) {
      const part = chunk.subarray(offset, offset + pieceSize - filled)
      piece.set(part, filled)
      filled += part.length
      offset += part.length
      if (filled < pieceSize) continue
      yield piece
      piece = Buffer.allocUnsafeSlow(pieceSize)
      filled = 0
    }
  }
  if (filled > 0) yield piece.subarray(0, filled)
}

async function* tapped(source: AsyncIterable<Uint8Array>, see: (chunk: Uint8Array) => void): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of source) {
    see(chunk)
    yield chunk
  }
}
