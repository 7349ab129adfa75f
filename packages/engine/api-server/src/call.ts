import type { IncomingMessage, ServerResponse } from 'node:http'
import { type RequestTypes, parseRequest } from '@berth/api-types'
import { BerthError, messageOf } from '@berth/core'
import type { Query } from './query.ts'

/** Larger than any request's JSON. */
const maxJson = 8 << 20

/** The body is longer than what is read. Not a BerthError, as no library but this one knows it. */
export class BodyTooLargeError extends Error {}

/** One request on its way through a handler. */
export interface Call {
  request: IncomingMessage
  response: ServerResponse
  params: Readonly<Record<string, string>>
  query: Query
  /** The minor number of the API version that the client speaks: 51 for 1.51. */
  version: number
  /** Aborts when the client is gone. */
  signal: AbortSignal
}

export type Handler = (call: Call) => Promise<void>

export interface Route {
  method: string
  /** As in the specification, with `{name}` for parts that vary. */
  path: string
  handler: Handler
}

export function json(call: Call, status: number, body: unknown): void {
  // As text it leaves in one write together with the head.
  const text = `${JSON.stringify(body)}\n`
  call.response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) })
  call.response.end(text)
}

export function noContent(call: Call): void {
  call.response.writeHead(204).end()
}

/** The body as it comes, no faster than it is read. Throws when the client goes before its end. */
export function bodyBytes({ request }: Pick<Call, 'request'>): AsyncIterable<Uint8Array> {
  // Leaving the iteration must not destroy the connection: the answer goes over it.
  return request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
}

/** The whole body as text. */
export async function readText(request: IncomingMessage, limit = maxJson): Promise<string> {
  if (Number(request.headers['content-length'] ?? 0) > limit) throw new BodyTooLargeError()
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of bodyBytes({ request })) {
    size += chunk.length
    if (size > limit) throw new BodyTooLargeError()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new BerthError('invalid-argument', 'JSON_INVALID', text.trim() === '' ? 'invalid JSON: got EOF while reading request body' : `invalid JSON: ${messageOf(cause)}`, { cause })
  }
}

/** The checked JSON body. `optional`: an empty one stands for an empty object. */
export async function body<Name extends keyof RequestTypes>(call: Call, name: Name, { optional = false } = {}): Promise<RequestTypes[Name]> {
  const text = await readText(call.request)
  if (optional && text.trim() === '') return parseRequest(name, {})
  const type = call.request.headers['content-type']
  if (type !== undefined && !/^application\/json\s*(;|$)/i.test(type)) {
    throw new BerthError('invalid-argument', 'CONTENT_TYPE', `unsupported Content-Type header (${type}): must be 'application/json'`)
  }
  return parseRequest(name, parseJson(text))
}
