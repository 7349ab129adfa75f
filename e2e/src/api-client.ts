import { type IncomingHttpHeaders, request } from 'node:http'
import type { Duplex } from 'node:stream'
import { operationOf, violations } from './api-spec.ts'

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
  /** The body as JSON; of a stream of JSON values, the first. */
  json: unknown
}

export interface ApiRequest {
  query?: Record<string, string | number | boolean | undefined>
  json?: unknown
  body?: string | Uint8Array
  headers?: Record<string, string>
  /** Asked for by it; 1.51 unless told otherwise. */
  version?: string
  /** Milliseconds until there must be an answer, whole. */
  timeout?: number
  /** Ends the answer: a stream has said enough. */
  until?: (body: Buffer) => boolean
}

/** Statuses that dockerd 28 gives and the specification does not tell of, by operation. */
const untold: Record<string, number[]> = {
  // "… is not running", "… is paused": the state is in the way.
  ContainerTop: [400, 409],
  ContainerPause: [409],
  ContainerUnpause: [409],
  ContainerResize: [400, 409],
  ContainerStart: [400, 409],
  ContainerRestart: [409],
  ContainerStop: [400],
  ContainerKill: [400],
  ContainerLogs: [400],
  ContainerUpdate: [400, 409],
  ContainerRename: [400],
  ContainerPrune: [400],
  ContainerExec: [400],
  ContainerAttach: [409],
  ExecStart: [400],
  ExecResize: [409],
  ContainerStats: [400],
}

/** Asks an engine, and fails where its answer is not as the specification of the API says. Keeps count of what was asked and answered. */
export class CheckedApi {
  /** Statuses that came, by the ID of the operation. */
  readonly answered = new Map<string, Set<number>>()
  readonly #socket: string

  constructor(socket: string) {
    this.#socket = socket
  }

  /** The answer, whose status must be one that the operation has, and whose body must be of the schema of that status. */
  async ask(method: string, path: string, options: ApiRequest = {}): Promise<Answer> {
    const operation = operationOf(method, path)
    if (!operation) throw new Error(`the API has no ${method} ${path}`)
    const answer = await this.send(method, path, options)
    const what = `${method} ${path} (${operation.id}): ${answer.status} ${answer.body.subarray(0, 500).toString()}`
    const { [String(answer.status)]: schema } = operation.responses
    if (schema === undefined && !untold[operation.id]?.includes(answer.status)) throw new Error(`a status that is not specified: ${what}`)
    const statuses = this.answered.get(operation.id) ?? new Set()
    this.answered.set(operation.id, statuses.add(answer.status))
    const expected = answer.status >= 400 ? { $ref: '#/definitions/ErrorResponse' } : schema
    if (method === 'HEAD') return answer
    const isJson = answer.headers['content-type']?.startsWith('application/json') ?? false
    if (answer.status >= 400 && !isJson) throw new Error(`an error that is not JSON: ${what}`)
    if (!expected || !isJson) return answer
    const lines = answer.body.toString().split('\n').filter((line) => line.trim() !== '')
    for (const line of lines) {
      const wrong = violations(expected, JSON.parse(line))
      if (wrong.length > 0) throw new Error(`an answer that is not as specified: ${what}\n${wrong.join('\n')}`)
    }
    return answer
  }

  /** The answer as it is. */
  async send(method: string, path: string, { query = {}, json, body = json === undefined ? undefined : JSON.stringify(json), headers = {}, version = '1.51', timeout = 20_000, until }: ApiRequest = {}): Promise<Answer> {
    const search = new URLSearchParams(Object.entries(query).flatMap(([name, value]): [string, string][] => (value === undefined ? [] : [[name, String(value)]]))).toString()
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const sent = request({
      socketPath: this.#socket,
      method,
      path: `/v${version}${path}${search === '' ? '' : `?${search}`}`,
      headers: { ...(json === undefined ? {} : { 'Content-Type': 'application/json' }), ...(body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) }), ...headers },
      agent: false,
    })
    const late = setTimeout(() => sent.destroy(new Error(`${method} ${path} was not answered within ${timeout} ms`)), timeout)
    sent.once('error', reject)
    sent.once('response', (response) => {
      const chunks: Buffer[] = []
      const done = (): void => {
        const whole = Buffer.concat(chunks)
        let value: unknown
        try {
          value = JSON.parse(whole.toString().split('\n')[0] ?? '')
        } catch {} // no JSON
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: whole, json: value })
      }
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        if (!until?.(Buffer.concat(chunks))) return
        done()
        sent.destroy()
      })
      response.once('end', done).once('error', reject)
    })
    sent.end(body)
    return promise.finally(() => clearTimeout(late))
  }

  /** Asks for the connection itself. The operation counts as answered with 101; any other answer throws. */
  async upgrade(method: string, path: string, { query = {}, json, headers = {} }: ApiRequest = {}): Promise<{ socket: Duplex; head: Buffer; headers: IncomingHttpHeaders }> {
    const operation = operationOf(method, path)
    const search = new URLSearchParams(Object.entries(query).map(([name, value]): [string, string] => [name, String(value)])).toString()
    const body = json === undefined ? undefined : JSON.stringify(json)
    const { promise, resolve, reject } = Promise.withResolvers<{ socket: Duplex; head: Buffer; headers: IncomingHttpHeaders }>()
    const sent = request({
      socketPath: this.#socket,
      method,
      path: `/v1.51${path}?${search}`,
      headers: { Connection: 'Upgrade', Upgrade: 'tcp', ...(body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }), ...headers },
    })
    sent.once('error', reject)
    sent.once('response', (response) => reject(new Error(`${method} ${path}: ${response.statusCode} in place of an upgrade`)))
    sent.once('upgrade', (response, socket, head) => resolve({ socket, head, headers: response.headers }))
    sent.end(body)
    const upgraded = await promise
    if (operation) this.answered.set(operation.id, (this.answered.get(operation.id) ?? new Set()).add(101))
    return upgraded
  }
}
