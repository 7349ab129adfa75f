import { type Compression, sniffCompression } from '@berth/oci'

export interface OpenedStream {
  /** What the first bytes say. Those that are not read here are named, so that they can be refused by name. */
  compression: Compression | 'xz' | 'bzip2'
  /** The whole stream, its beginning included. */
  stream: AsyncIterable<Uint8Array>
}

/** Looks at the first bytes of a stream. */
export async function openStart(source: AsyncIterable<Uint8Array>): Promise<OpenedStream> {
  const iterator = source[Symbol.asyncIterator]()
  let start = Buffer.alloc(0)
  while (start.length < 6) {
    const { value, done } = await iterator.next()
    if (done) break
    start = Buffer.concat([start, value])
  }
  async function* stream() {
    try {
      yield start
      for (let next; !(next = await iterator.next()).done; ) yield next.value
    } finally {
      await iterator.return?.()
    }
  }
  return { compression: compressionOf(start), stream: stream() }
}

function compressionOf(start: Buffer): OpenedStream['compression'] {
  if (start.subarray(0, 6).equals(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]))) return 'xz'
  if (start.toString('latin1', 0, 3) === 'BZh') return 'bzip2'
  return sniffCompression(start)
}
