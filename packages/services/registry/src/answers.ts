import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { type Fault, faultyBody, faultyLength } from './faults.ts'
import { rangeOf } from './uploads.ts'

/** A request that is being answered. */
export interface Call {
  request: IncomingMessage
  response: ServerResponse
  method: string
  query: URLSearchParams
  /** How the answer is to go wrong. */
  fault: Fault | undefined
}

/** A connection that a fault has broken. */
export class BrokenConnection extends Error {
  constructor() {
    super('the connection was broken on purpose')
    this.name = 'BrokenConnection'
  }
}

/** Sends content of a known length, in the way in which the call's fault distorts it. */
export async function sendContent(
  { response, method, fault }: Call,
  status: number,
  { headers, length, body }: { headers: Record<string, string>; length: number; body: AsyncIterable<Uint8Array> | Iterable<Uint8Array> },
): Promise<void> {
  const digest = fault?.kind === 'wrong-digest' ? { 'Docker-Content-Digest': fault.digest } : {}
  response.writeHead(status, { ...headers, ...digest, 'Content-Length': faultyLength(length, fault) })
  if (method === 'HEAD') {
    response.end()
    return
  }
  if (!fault) return pipeline(body, response)
  const closed = new AbortController()
  response.once('close', () => closed.abort(new BrokenConnection()))
  response.flushHeaders()
  await pipeline(faultyBody(asyncOf(body), fault, { signal: closed.signal, broken: () => breakAfterFlush(response) }), response)
}

export function sendJson({ response, method }: Pick<Call, 'response' | 'method'>, status: number, value: unknown, type = 'application/json'): void {
  const body = JSON.stringify(value)
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) })
  response.end(method === 'HEAD' ? undefined : body)
}

export function sendCreated(response: ServerResponse, repository: string, digest: string): void {
  response.writeHead(201, { Location: `/v2/${repository}/blobs/${digest}`, 'Docker-Content-Digest': digest, 'Content-Length': 0 }).end()
}

/** Says where an upload is and how much of it has come. */
export function sendProgress(response: ServerResponse, status: number, { repository, id, size }: { repository: string; id: string; size: number }): void {
  response.writeHead(status, {
    Location: `/v2/${repository}/blobs/uploads/${id}`,
    Range: rangeOf(size),
    'Docker-Upload-UUID': id,
    ...(status !== 204 && { 'Content-Length': 0 }),
  })
  response.end()
}

/** What was written reaches the client first. */
async function breakAfterFlush(response: ServerResponse): Promise<never> {
  while (!response.destroyed && (response.writableLength > 0 || (response.socket?.writableLength ?? 0) > 0)) await delay(1)
  throw new BrokenConnection()
}

async function* asyncOf(body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  yield* body
}
