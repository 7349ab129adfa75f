import type { Agent, ClientRequest, ClientRequestArgs, IncomingMessage } from 'node:http'
import { Readable, type Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { BerthError, isErrno, messageOf } from '@berth/core'
import type { EngineAddress } from './address.ts'
import { readHttpError } from './http-error.ts'
import { parse } from './json-lines.ts'
import { request as httpRequest } from './node-http.ts'

/** Every method takes it: aborting ends the request and throws the signal's reason. */
export interface RequestOptions {
  signal?: AbortSignal | undefined
}

export interface TransportOptions {
  /** As the user wrote it, for messages. */
  host: string
  address: EngineAddress
  agent: Agent
}

type QueryValue = string | number | boolean | undefined

export interface SendOptions extends RequestOptions {
  query?: Record<string, QueryValue | readonly string[]>
  /** Sent as JSON. */
  json?: unknown
  /** Sent as it comes. */
  body?: AsyncIterable<Uint8Array>
  headers?: Record<string, string>
}

/** A connection that has left HTTP. */
export interface Upgraded {
  socket: Duplex
  head: Buffer
  contentType: string
}

/** Longer than any answer that is read whole; in bytes. */
const maxAnswer = 256 << 20

/** HTTP to one engine over whatever reaches it. */
export class Transport {
  readonly host: string
  /** Put in front of every path: `/v1.51`. */
  prefix = ''
  readonly #address: EngineAddress
  readonly #agent: Agent
  readonly #open = new Set<{ destroy(): unknown }>()

  constructor({ host, address, agent }: TransportOptions) {
    this.host = host
    this.#address = address
    this.#agent = agent
  }

  /** The answer, its body unread. Throws what the engine refuses, as its kind. */
  async send(method: string, path: string, options: SendOptions = {}): Promise<IncomingMessage> {
    const { signal } = options
    for (;;) {
      signal?.throwIfAborted()
      let sourceFailure: { error: unknown } | undefined
      const request = this.#request(method, path, options)
      try {
        const response = await answerOf(request, options, (error) => (sourceFailure = { error }))
        if ((response.statusCode ?? 0) < 200 || (response.statusCode ?? 0) > 299) throw await readHttpError(response)
        return response
      } catch (error) {
        signal?.throwIfAborted()
        if (sourceFailure) throw sourceFailure.error
        // The engine closed a kept connection while the request was on its way: what changes nothing is asked again.
        if (method === 'GET' && request.reusedSocket && isErrno(error, 'ECONNRESET', 'EPIPE')) continue
        throw this.#explained(error)
      }
    }
  }

  /** The answer's JSON; undefined where it has no body. */
  async json<T>(method: string, path: string, options: SendOptions = {}): Promise<T> {
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of this.stream(method, path, options)) {
      chunks.push(chunk)
      size += chunk.length
      if (size > maxAnswer) throw new BerthError('data-loss', 'ANSWER_INVALID', 'the engine sent an answer that does not end')
    }
    return (size === 0 ? undefined : parse(Buffer.concat(chunks).toString())) as T
  }

  /** The bytes of the answer. Throws `data-loss` when the connection ends before they do. */
  async *stream(method: string, path: string, options: SendOptions = {}): AsyncIterable<Uint8Array> {
    yield* this.read(await this.send(method, path, options), options)
  }

  async *read(response: IncomingMessage, { signal }: RequestOptions): AsyncIterable<Uint8Array> {
    try {
      yield* response as AsyncIterable<Uint8Array>
    } catch (error) {
      signal?.throwIfAborted()
      throw isErrno(error, 'ECONNRESET') ? new BerthError('data-loss', 'STREAM_TRUNCATED', 'the connection to the engine ended in the middle of its answer', { cause: error }) : error
    }
  }

  /** Asks for the connection itself. */
  async upgrade(path: string, options: SendOptions = {}): Promise<Upgraded> {
    options.signal?.throwIfAborted()
    const request = this.#request('POST', path, { ...options, headers: { ...options.headers, Connection: 'Upgrade', Upgrade: 'tcp' } })
    const upgraded = new Promise<Upgraded>((resolve) => {
      request.once('upgrade', (response, socket, head) => {
        this.#open.add(socket)
        socket.once('close', () => this.#open.delete(socket))
        resolve({ socket, head, contentType: response.headers['content-type'] ?? '' })
      })
    })
    const refused = answerOf(request, options).then(async (response) => {
      if ((response.statusCode ?? 0) >= 300) throw await readHttpError(response)
      response.destroy()
      throw new BerthError('unavailable', 'UPGRADE_REFUSED', 'the engine did not open a stream: a proxy that is no Engine API may be in between')
    })
    try {
      return await Promise.race([upgraded, refused])
    } catch (error) {
      options.signal?.throwIfAborted()
      throw this.#explained(error)
    }
  }

  /** Ends every request and connection. */
  close(): void {
    for (const open of this.#open) open.destroy()
    this.#agent.destroy()
  }

  #request(method: string, path: string, { query = {}, json, body, headers, signal }: SendOptions): ClientRequest {
    const search = new URLSearchParams()
    for (const [name, value] of Object.entries(query)) {
      if (Array.isArray(value)) for (const item of value as readonly string[]) search.append(name, item)
      else if (value !== undefined) search.append(name, typeof value === 'boolean' ? String(Number(value)) : String(value as string | number))
    }
    const address = this.#address
    const { protocol } = this.#agent as Agent & { protocol: string }
    const text = json === undefined ? undefined : JSON.stringify(json)
    const target: ClientRequestArgs = address.kind === 'unix' ? { socketPath: address.path, host: 'localhost' } : { host: address.host, port: address.kind === 'tcp' ? (address.port ?? (protocol === 'https:' ? 2376 : 2375)) : 80 }
    const request = httpRequest({
      ...target,
      protocol,
      agent: this.#agent,
      method,
      path: `${this.prefix}${path}${search.size > 0 ? `?${String(search)}` : ''}`,
      signal,
      headers: {
        Host: address.kind === 'unix' ? 'localhost' : address.host,
        'User-Agent': 'berth-api-client',
        ...(text === undefined ? (method === 'POST' && !body ? { 'Content-Length': '0' } : {}) : { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(text)) }),
        ...headers,
      },
    })
    this.#open.add(request)
    request.once('close', () => this.#open.delete(request))
    if (text !== undefined) request.write(text)
    return request
  }

  #explained(error: unknown): unknown {
    if (error instanceof BerthError) return error
    if (isErrno(error, 'EACCES', 'EPERM')) return new BerthError('permission-denied', 'ENGINE_FORBIDDEN', `permission denied while trying to connect to the engine at ${this.host}`, { cause: error })
    if (isErrno(error, 'ENOENT', 'ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'EAI_AGAIN', 'ENOTSOCK', 'EAGAIN')) {
      return new BerthError('unavailable', 'ENGINE_UNREACHABLE', `Cannot connect to the engine at ${this.host}. Is the daemon running?`, { cause: error })
    }
    return new BerthError('unavailable', 'ENGINE_CONNECTION', `the connection to the engine at ${this.host} failed: ${messageOf(error)}`, { cause: error })
  }
}

/** Sends the body, if any, and waits for the head of the answer, which may come before all of the body went. */
async function answerOf(request: ClientRequest, { body, signal }: SendOptions, onSourceFailure: (error: unknown) => void = () => {}): Promise<IncomingMessage> {
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve)
    request.on('error', reject)
  })
  if (!body) {
    request.end()
    return answered
  }
  const sent = pipeline(Readable.from(watched(body, onSourceFailure), { objectMode: false }), request, { signal, end: true })
  // A source that fails must not be taken for one that ended; one that the engine stops reading is told by its answer.
  return Promise.race([answered, sent.then(() => answered)])
}

/** Tells of a source's own failure, which is none of the connection's. */
async function* watched(source: AsyncIterable<Uint8Array>, onFailure: (error: unknown) => void): AsyncIterable<Uint8Array> {
  try {
    yield* source
  } catch (error) {
    onFailure(error)
    throw error
  }
}
