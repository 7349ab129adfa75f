import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { messageOf } from '@berth/core'
import type { Call } from './call.ts'

const streamNumbers = { stdin: 0, stdout: 1, stderr: 2 } as const

/** The eight bytes before a piece of output on a stream that carries several. @see Docker Engine API, ContainerAttach, Stream format */
function frameHeader(stream: 'stdout' | 'stderr', length: number): Buffer {
  const header = Buffer.alloc(8)
  header[0] = streamNumbers[stream]
  header.writeUInt32BE(length, 4)
  return header
}

const systemError = 3

/** What the engine says of itself in the middle of a stream; clients end with it. @see moby, pkg/stdcopy, Systemerr */
export function systemErrorFrame(message: string): Buffer {
  const text = Buffer.from(message)
  const header = Buffer.alloc(8)
  header[0] = systemError
  header.writeUInt32BE(text.length, 4)
  return Buffer.concat([header, text])
}

/** Writes output, framed or raw; false when the receiver wants a pause. */
function writeOutput(target: Writable, stream: 'stdout' | 'stderr', data: Uint8Array, raw: boolean): boolean {
  if (raw) return target.write(data)
  target.cork()
  target.write(frameHeader(stream, data.length))
  const ready = target.write(data)
  target.uncork()
  return ready
}

/**
 * Sends a source's data on as it comes, as fast as the target takes it. Settles when the source has ended, or either is gone; with the source's error
 * when it is not whole.
 */
export function forward(source: Readable, target: Writable, stream: 'stdout' | 'stderr', raw: boolean): Promise<Error | undefined> {
  if (source.destroyed || source.readableEnded || target.destroyed) return Promise.resolve(source.errored ?? undefined)
  return new Promise((resolve) => {
    const resume = (): void => void source.resume()
    const send = (chunk: Buffer): void => {
      if (!writeOutput(target, stream, chunk, raw)) source.pause()
    }
    const finish = (): void => {
      target.off('drain', resume).off('close', finish)
      source.off('data', send)
      resolve(source.errored ?? undefined)
    }
    source.on('data', send).once('close', finish).once('end', finish).once('error', finish)
    target.on('drain', resume).once('close', finish)
  })
}

async function write(call: Call, data: string | Uint8Array): Promise<void> {
  if (!call.response.write(data)) await once(call.response, 'drain', { signal: call.signal })
}

/**
 * Answers 200 without waiting for the first value, then each as a line of JSON as it comes. Only what fails before anything could be waited for
 * (an unknown container, a wrong filter) is an error of its own.
 */
export async function jsonLines(call: Call, values: AsyncIterable<unknown>): Promise<void> {
  const iterator = values[Symbol.asyncIterator]()
  const first = iterator.next()
  try {
    await Promise.race([first, setImmediate()])
    call.response.writeHead(200, { 'Content-Type': 'application/json' })
    call.response.flushHeaders()
    for (let next = await first; !next.done; next = await iterator.next()) await write(call, `${JSON.stringify(next.value)}\n`)
  } finally {
    await iterator.return?.(undefined)
  }
  call.response.end()
}

/** As {@link jsonLines}, but what fails before the first value is an error of its own, and what fails later a last line. */
export async function progressLines(call: Call, values: AsyncIterable<unknown>): Promise<void> {
  const iterator = values[Symbol.asyncIterator]()
  let next = await iterator.next()
  call.response.writeHead(200, { 'Content-Type': 'application/json' })
  try {
    for (; !next.done; next = await iterator.next()) await write(call, `${JSON.stringify(next.value)}\r\n`)
  } catch (error) {
    await iterator.return?.(undefined)
    if (!call.response.writable) return
    call.response.write(`${JSON.stringify({ errorDetail: { message: messageOf(error) }, error: messageOf(error) })}\r\n`)
  }
  call.response.end()
}

/** Small pieces leave together in writes of about this many bytes. */
const writeSize = 64 << 10

/**
 * Answers with bytes as they come. What fails before the first is an error of its own; what fails later breaks the connection, so that nobody takes a
 * part for the whole.
 */
export async function bytes(call: Call, headers: Record<string, string>, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const iterator = gathered(chunks)[Symbol.asyncIterator]()
  try {
    let next = await iterator.next()
    call.response.writeHead(200, headers)
    for (; !next.done; next = await iterator.next()) await write(call, next.value)
  } finally {
    await iterator.return?.(undefined)
  }
  call.response.end()
}

async function* gathered(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let parts: Uint8Array[] = []
  let size = 0
  for await (const chunk of chunks) {
    parts.push(chunk)
    size += chunk.length
    if (size < writeSize) continue
    yield parts.length === 1 ? chunk : Buffer.concat(parts, size)
    parts = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(parts, size)
}
