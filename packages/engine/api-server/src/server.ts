import { chmodSync, chownSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { dirname } from 'node:path'
import type { Duplex } from 'node:stream'
import { apiVersion, minApiVersion } from '@berth/api-types'
import { BerthError, isErrno, kindOf, type Logger, messageOf, silent } from '@berth/core'
import type { Backend } from './backend.ts'
import { BodyTooLargeError, type Call, json, type Route } from './call.ts'
import { HangupWatch } from './hangup-watch.ts'
import { closeGently, lingerTime, upgrades } from './hijack.ts'
import { HijackableRequest, isUpgradable } from './hijackable-request.ts'
import { statusOf } from './http-status.ts'
import { createServer, ServerResponse as Response } from './node-http.ts'
import { Query } from './query.ts'
import { createRouter } from './router.ts'
import { checkpointRoutes } from './routes/checkpoints.ts'
import { containerFileRoutes } from './routes/container-files.ts'
import { containerStreamRoutes } from './routes/container-streams.ts'
import { containerRoutes } from './routes/containers.ts'
import { execRoutes } from './routes/execs.ts'
import { imageArchiveRoutes } from './routes/image-archives.ts'
import { imageRoutes } from './routes/images.ts'
import { networkRoutes } from './routes/networks.ts'
import { registryRoutes } from './routes/registries.ts'
import { systemRoutes } from './routes/system.ts'
import { unsupported } from './routes/unsupported.ts'
import { volumeRoutes } from './routes/volumes.ts'

export interface ApiServerOptions {
  backend: Backend
  /** Shown in the `Server` header. */
  version?: string
  /** Tells clients that they may use what Docker calls experimental: the docker command line has `checkpoint` only then. */
  experimental?: boolean
  logger?: Logger
}

export type ListenAddress = { path: string; mode?: number; gid?: number | undefined } | { host: string; port: number }

/** Clients that may wait to be accepted, where the machine allows as many; more are refused (EAGAIN on a unix socket). */
const backlog = 4096
/** Milliseconds of silence until a connection to another machine is tried. */
const keepAliveDelay = 30_000
const minor = (version: string): number => Number(version.split('.')[1])

/** Serves the Engine API over HTTP. Disposing ends every connection. */
export class ApiServer implements AsyncDisposable {
  readonly #servers: { server: Server; path: string | undefined }[] = []
  readonly #sockets = new Set<Socket>()
  readonly #hangups = new HangupWatch()
  readonly #routes: ReturnType<typeof createRouter>
  readonly #headers: Record<string, string>
  readonly #logger: Logger

  constructor({ backend, version = '0.1.0', experimental = false, logger = silent }: ApiServerOptions) {
    this.#logger = logger
    this.#headers = { 'Api-Version': apiVersion, 'Docker-Experimental': String(experimental), Ostype: 'linux', Server: `Berth/${version} (linux)` }
    const headers = (): Record<string, string> => this.#headers
    const routes: Route[] = [
      ...(['GET', 'HEAD'] as const).map((method): Route => ({ method, path: '/_ping', handler: ping })),
      ...systemRoutes(backend.system),
      ...containerRoutes(backend.containers),
      ...containerFileRoutes(backend.containers),
      ...containerStreamRoutes(backend.containers),
      ...checkpointRoutes(backend.checkpoints),
      ...execRoutes(backend.execs, headers),
      ...imageRoutes(backend.images),
      ...imageArchiveRoutes(backend.images),
      ...registryRoutes(backend.images),
      ...networkRoutes(backend.networks),
      ...volumeRoutes(backend.volumes),
    ]
    this.#routes = createRouter(routes, unsupported)
  }

  /** Begins to listen; several addresses may be served. Gives the port, where there is one. Throws `conflict` when the address is in use. */
  async listen(address: ListenAddress): Promise<number | undefined> {
    const server = createServer({
      maxHeaderSize: 32 << 10,
      requestTimeout: 0, // an image may take long to send
      // Clients on this machine are seen to leave; a timer for every answer would cost more than the answer.
      keepAliveTimeout: 'path' in address ? 0 : 300_000,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveDelay,
      IncomingMessage: HijackableRequest,
      shouldUpgradeCallback: isUpgradable,
    })
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    server.on('request', (request, response) => void this.#serve(request, response))
    server.on('upgrade', (request, socket, head) => {
      upgrades.set(request, { socket, head, taken: false })
      this.#hangups.add(socket as Socket)
      socket.on('error', () => socket.destroy()) // a client that is gone is no error of ours
      // What is answered instead of an upgrade, an error mostly, goes over the same socket as a usual response.
      const response = new Response(request)
      response.assignSocket(socket as Socket)
      response.shouldKeepAlive = false
      response.once('finish', () => closeGently(socket))
      void this.#serve(request, response)
    })
    server.on('clientError', refuse)
    if ('path' in address) await removeDeadSocket(address.path)
    await new Promise<void>((resolve, reject) => {
      // Also heard later on: a connection that cannot be accepted (too many open files) does not end the server.
      server.on('error', (cause: NodeJS.ErrnoException) => {
        this.#logger.warn('the listener failed', { error: cause })
        reject(isErrno(cause, 'EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL') ? new BerthError('conflict', 'LISTEN_FAILED', `cannot listen: ${cause.message}`, { cause }) : cause)
      })
      server.listen({ ...('path' in address ? { path: address.path } : { host: address.host, port: address.port }), backlog }, resolve)
    })
    this.#servers.push({ server, path: 'path' in address ? address.path : undefined })
    if ('path' in address) {
      if (address.gid !== undefined) chownSync(address.path, process.getuid?.() ?? 0, address.gid)
      chmodSync(address.path, address.mode ?? 0o660)
    }
    const bound = server.address()
    return bound !== null && typeof bound === 'object' ? bound.port : undefined
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const abort = new AbortController()
    response.once('close', () => {
      if (!response.writableFinished) abort.abort(new BerthError('cancelled', 'CLIENT_GONE', 'the client is gone'))
    })
    response.on('error', () => {}) // a client that is gone is no error of ours
    for (const [name, value] of Object.entries(this.#headers)) response.setHeader(name, value)
    const [path = '/', search = ''] = (request.url ?? '/').split(/\?(.*)/s)
    const call: Call = { request, response, params: {}, query: new Query(search), version: minor(apiVersion), signal: abort.signal }
    try {
      const [, version, rest = path] = /^\/v(\d+\.\d+)(\/.*)$/.exec(path) ?? []
      if (version !== undefined) call.version = checkVersion(version)
      const match = this.#routes(request.method ?? 'GET', rest)
      if (match === 'no such path') return json(call, 404, { message: 'page not found' })
      if (match === 'no such method') return json(call, 405, { message: 'method not allowed' })
      this.#logger.debug('request', { method: request.method, path })
      await match.handler({ ...call, params: match.params })
    } catch (error) {
      this.#fail(call, error)
    }
  }

  #fail(call: Call, error: unknown): void {
    const { request, response } = call
    const status = error instanceof BodyTooLargeError ? 413 : statusOf(error)
    if (status === 500 && !call.signal.aborted) {
      this.#logger.error('a request failed', { method: request.method, path: request.url?.split('?')[0], error, stack: error instanceof Error && kindOf(error) === 'internal' ? error.stack : undefined })
    }
    const upgrade = upgrades.get(request)
    if (response.headersSent || response.destroyed || upgrade?.taken) {
      response.destroy()
      upgrade?.socket.destroy()
      return
    }
    if (status === 304) return void response.writeHead(304).end()
    const message = status === 413 ? 'the request is too large' : messageOf(error)
    if (!request.complete && !upgrade) refuseWhileSending(call, status, message)
    else json(call, status, { message })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#servers.map(({ server }) => new Promise<void>((resolve) => server.close(() => resolve())))
    for (const socket of this.#sockets) socket.destroy()
    this.#hangups[Symbol.dispose]()
    await Promise.all(closed)
    for (const { path } of this.#servers) if (path) rmSync(path, { force: true })
  }
}

async function ping(call: Call): Promise<void> {
  const headers = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-cache, no-store, must-revalidate', Pragma: 'no-cache', 'Builder-Version': '1', Swarm: 'inactive' }
  call.response.writeHead(200, { ...headers, 'Content-Length': 2 })
  call.response.end(call.request.method === 'HEAD' ? undefined : 'OK')
}

/** Debian 12's skopeo asks by 1.22 whatever the server says, for images alone, where nothing that it reads was different. */
const oldestServed = 22

function checkVersion(version: string): number {
  const [major = 0, number = 0] = version.split('.').map(Number)
  const refuse = (text: string): BerthError => new BerthError('invalid-argument', 'API_VERSION', `client version ${version} is too ${text}`)
  if (major > 1 || (major === 1 && number > minor(apiVersion))) throw refuse(`new. Maximum supported API version is ${apiVersion}`)
  if (major < 1 || number < oldestServed) throw refuse(`old. Minimum supported API version is ${minApiVersion}, please upgrade your client to a newer version`)
  return number
}

/** Answers a client that is still sending its body, which is dropped meanwhile: closing at once would take the answer back. */
function refuseWhileSending({ request, response }: Call, status: number, message: string): void {
  const text = `${JSON.stringify({ message })}\n`
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text), Connection: 'close' })
  response.write(text)
  const end = (): void => {
    clearTimeout(late)
    response.end()
  }
  const late = setTimeout(end, lingerTime).unref()
  request.once('end', end).once('close', end).once('error', end).resume()
}

const refusals: Record<string, [status: string, message: string]> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the header of the request is too large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request did not arrive in time'],
}

/** Answers what is not even HTTP, on a connection that is of no more use then. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
  const [status, message] = refusals[error.code ?? ''] ?? ['400 Bad Request', 'the request is not valid HTTP']
  const body = `${JSON.stringify({ message })}\n`
  socket.write(`HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`)
  closeGently(socket)
}

/** A socket that nobody answers on was left by a process that was killed. */
async function removeDeadSocket(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 })
  if (!existsSync(path)) return
  if (!statSync(path).isSocket()) throw new BerthError('conflict', 'LISTEN_FAILED', `cannot listen: ${path} is there and is not a socket`)
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    // Anything but a refusal (a full queue, a missing permission) is a sign of life.
    probe.once('error', (error) => resolve(!isErrno(error, 'ECONNREFUSED', 'ENOENT')))
  })
  if (alive) throw new BerthError('conflict', 'LISTEN_FAILED', `cannot listen: another program listens on ${path}`)
  rmSync(path, { force: true })
}
