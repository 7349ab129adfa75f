import { createHash, type Hash } from 'node:crypto'
import { fsyncSync, ftruncateSync, readSync, writeSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { messageOf, workInBackground } from '@berth/core'

/** What the thread is asked to do with an ingest. Requests are answered in their order. */
export type IngestRequest = { ingest: number } & (
  | { kind: 'open'; descriptor: number; size: number; algorithm: string; hashNow: boolean }
  | { kind: 'write'; buffer: ArrayBuffer; length: number; position: number }
  | { kind: 'digest'; algorithm: string }
  | { kind: 'sync' }
  | { kind: 'close' }
)

export interface IngestAnswer {
  /** Bytes on disk. */
  size: number
  /** Hexadecimal. */
  digest?: string
  /** The buffer of a write, given back. */
  buffer?: ArrayBuffer
  failure?: { code: string; message: string }
}

interface OpenIngest {
  descriptor: number
  size: number
  algorithm: string
  hash: Hash
  /** Bytes that the hash has seen. Those of earlier sessions are read when they are needed. */
  hashed: number
}

const pieceSize = 256 * 1024
const ingests = new Map<number, OpenIngest>()

function hashUpTo(ingest: OpenIngest): void {
  const buffer = Buffer.allocUnsafeSlow(Math.min(pieceSize, Math.max(ingest.size - ingest.hashed, 1)))
  while (ingest.hashed < ingest.size) {
    const read = readSync(ingest.descriptor, buffer, 0, Math.min(buffer.length, ingest.size - ingest.hashed), ingest.hashed)
    if (read === 0) throw Object.assign(new Error('the file of an ingest shrank while it was read'), { code: 'EIO' })
    ingest.hash.update(buffer.subarray(0, read))
    ingest.hashed += read
  }
}

function write(ingest: OpenIngest, { buffer, length, position }: Extract<IngestRequest, { kind: 'write' }>): void {
  // What was sent behind a piece that could not be written has no place.
  if (position !== ingest.size) throw Object.assign(new Error('an earlier piece is missing'), { code: 'ESPIPE' })
  const bytes = new Uint8Array(buffer, 0, length)
  try {
    for (let written = 0; written < length; ) written += writeSync(ingest.descriptor, bytes, written, length - written, position + written)
  } catch (error) {
    ftruncateSync(ingest.descriptor, position)
    throw error
  }
  ingest.size += length
  if (ingest.hashed === position) {
    ingest.hash.update(bytes)
    ingest.hashed = ingest.size
  }
}

function digest(ingest: OpenIngest, algorithm: string): string {
  if (algorithm !== ingest.algorithm) Object.assign(ingest, { algorithm, hash: createHash(algorithm), hashed: 0 })
  hashUpTo(ingest)
  return ingest.hash.copy().digest('hex')
}

function answer(request: IngestRequest): Partial<IngestAnswer> {
  if (request.kind === 'open') {
    const { descriptor, size, algorithm, hashNow } = request
    const opened = { descriptor, size, algorithm, hash: createHash(algorithm), hashed: 0 }
    ingests.set(request.ingest, opened)
    if (hashNow) hashUpTo(opened)
    return {}
  }
  const ingest = ingests.get(request.ingest)
  if (!ingest) throw new Error('an ingest that this thread does not have')
  if (request.kind === 'digest') return { digest: digest(ingest, request.algorithm) }
  if (request.kind === 'write') write(ingest, request)
  else if (request.kind === 'sync') fsyncSync(ingest.descriptor)
  else ingests.delete(request.ingest)
  return {}
}

function attempted(request: IngestRequest): Partial<IngestAnswer> {
  try {
    return answer(request)
  } catch (error) {
    return { failure: { code: (error as NodeJS.ErrnoException).code ?? 'EIO', message: messageOf(error) } }
  }
}

workInBackground()
parentPort?.on('message', (request: IngestRequest) => {
  const buffer = request.kind === 'write' ? request.buffer : undefined
  const found = { size: 0, ...attempted(request), ...(buffer && { buffer }) }
  parentPort?.postMessage({ ...found, size: ingests.get(request.ingest)?.size ?? 0 } satisfies IngestAnswer, buffer ? [buffer] : [])
})
