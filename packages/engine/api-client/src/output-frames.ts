import { BerthError } from '@berth/core'

/** A piece of what a process wrote. */
export interface OutputChunk {
  stream: 'stdout' | 'stderr'
  data: Uint8Array
}

const headerSize = 8
const names = ['stdout', 'stdout', 'stderr'] as const
const systemError = 3

/** What the engine says about itself in a stream is text; more than this is not. */
const maxSystemError = 64 << 10

/**
 * Takes a multiplexed stream apart, handing on each frame's bytes as they come: a frame may say that it is 4 GiB long and still costs no memory.
 * Throws `data-loss` for what is no such stream or ends within a frame.
 * @see Docker Engine API, ContainerAttach, Stream format
 */
export async function* demultiplex(source: AsyncIterable<Uint8Array>): AsyncIterable<OutputChunk> {
  let header = Buffer.alloc(0)
  let stream = 0
  let left = 0
  let complaint = ''
  for await (let data of source) {
    while (data.length > 0) {
      if (left === 0) {
        const missing = headerSize - header.length
        header = Buffer.concat([header, data.subarray(0, missing)])
        data = data.subarray(missing)
        if (header.length < headerSize) break
        stream = header[0] ?? 0
        if (stream > systemError || header[1] !== 0 || header[2] !== 0 || header[3] !== 0) throw new BerthError('data-loss', 'STREAM_CORRUPT', 'the engine sent a stream that is not framed as output')
        left = header.readUInt32BE(4)
        header = Buffer.alloc(0)
      }
      const piece = data.subarray(0, left)
      data = data.subarray(left)
      left -= piece.length
      if (stream !== systemError) {
        if (piece.length > 0) yield { stream: names[stream] ?? 'stdout', data: piece }
        continue
      }
      complaint += Buffer.from(piece).toString()
      if (left === 0 || complaint.length > maxSystemError) throw new BerthError('internal', 'STREAM_FAILED', complaint.trim().slice(0, maxSystemError))
    }
  }
  if (left > 0 || header.length > 0) throw new BerthError('data-loss', 'STREAM_TRUNCATED', 'the connection to the engine ended in the middle of its output')
}

/** The output of a process with a terminal, which is one stream. */
export async function* rawOutput(source: AsyncIterable<Uint8Array>): AsyncIterable<OutputChunk> {
  for await (const data of source) yield { stream: 'stdout', data }
}
