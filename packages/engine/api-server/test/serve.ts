import { mkdtempSync, rmSync } from 'node:fs'
import { type IncomingHttpHeaders, request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ApiServer, type Backend } from '../src/index.ts'
import { memoryBackend } from '../src/memory.ts'

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  /** The parsed body. */
  json: { message?: string } & Record<string, unknown>
}

export interface TestServer extends AsyncDisposable {
  path: string
  backend: Backend
  ask(method: string, path: string, options?: { body?: unknown; raw?: string | Buffer; headers?: Record<string, string> }): Promise<Answer>
  /** A bare connection, with a request already written to it. */
  raw(text: string): Promise<Socket>
}

/** A server on a socket of its own over the engine in memory, some of whose methods may be replaced. */
export async function serve(change: (backend: Backend) => void = () => {}): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), 'api-server-'))
  const path = join(directory, 'berth.sock')
  const backend = memoryBackend()
  change(backend)
  const server = new ApiServer({ backend, version: '9.9.9' })
  await server.listen({ path })
  const sockets: Socket[] = []
  return {
    path,
    backend,
    ask: (method, target, { body, raw, headers = {} } = {}) =>
      new Promise((resolve, reject) => {
        const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body))
        const request = httpRequest({ socketPath: path, method, path: target, agent: false, headers: { ...(sent === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(sent) }), ...headers } })
        request.once('error', reject)
        request.once('response', (response) => {
          let text = ''
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
          response.once('error', reject)
          response.once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: parsed(text) }))
        })
        request.end(sent)
      }),
    raw: (text) =>
      new Promise((resolve, reject) => {
        const socket = connect({ path, allowHalfOpen: true })
        sockets.push(socket)
        socket.once('error', reject)
        socket.once('connect', () => {
          socket.off('error', reject).on('error', () => {})
          socket.write(text)
          resolve(socket)
        })
      }),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await server[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true })
    },
  }
}

function parsed(text: string): Answer['json'] {
  try {
    return JSON.parse(text) as Answer['json']
  } catch {
    return {}
  }
}

/** Reads until the other side ends. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Reads until the text has come; gives everything that came. */
export function readUntil(socket: Socket, text: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let data = Buffer.alloc(0)
    const onData = (chunk: Buffer): void => {
      data = Buffer.concat([data, chunk])
      if (!data.includes(text)) return
      socket.off('data', onData).off('close', onClose)
      socket.pause()
      resolve(data)
    }
    const onClose = (): void => reject(new Error(`closed after: ${data.toString()}`))
    socket.on('data', onData).once('close', onClose).resume()
  })
}

/** A frame of a multiplexed stream. */
export function frame(stream: 1 | 2, text: string): Buffer {
  return Buffer.concat([Buffer.from([stream, 0, 0, 0, 0, 0, 0, text.length]), Buffer.from(text)])
}

/** Values that end with an error. */
export async function* failing<T>(error: Error, ...before: T[]): AsyncIterable<T> {
  yield* before
  throw error
}
