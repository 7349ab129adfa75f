import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { type ContentStore, openContentStore } from '@berth/content-store'
import { isKind, type Logger, messageOf, silent } from '@berth/core'
import { maxDocumentSize } from '@berth/oci'
import { type AccessControl, basicAccess, scopesOf } from './access.ts'
import { BrokenConnection, type Call, sendJson } from './answers.ts'
import { deleteBlob, sendBlob } from './blob-requests.ts'
import { Blobs, type Collected } from './blobs.ts'
import type { FaultSource } from './faults.ts'
import { HtpasswdFile } from './htpasswd.ts'
import { listReferrers, listRepositories, listTags } from './list-requests.ts'
import { acceptManifest, deleteManifest, sendManifest } from './manifest-requests.ts'
import { RegistryProblem } from './registry-problem.ts'
import type { Parts } from './registry-parts.ts'
import { openRegistryRecords } from './registry-records.ts'
import { discardBody } from './request-body.ts'
import { parseRoute, type Route } from './route.ts'
import { appendUpload, beginUpload, cancelUpload, finishUpload, sendUploadStatus } from './upload-requests.ts'
import { Uploads } from './uploads.ts'

export interface RegistryOptions {
  /** The directory that the registry owns; one registry at a time. Made if it is missing, 0700. */
  root: string
  /** Where blobs and uploads are kept, for this registry alone; a store in `root` unless told otherwise. Who opened it closes it. */
  content?: ContentStore
  /** Bytes of a manifest; 4 MiB. */
  maxManifestSize?: number
  /** Bytes of a blob; no limit but the disk's. */
  maxBlobSize?: number
  /** Milliseconds after which an upload that was not finished is dropped; a day. */
  uploadLifetime?: number
  /** A file of `htpasswd -B`: only its users may read and write. */
  htpasswd?: string
  /** Only who passes may read and write; asked with each request, so it should be quick. */
  authenticate?: (user: string, password: string) => boolean | Promise<boolean>
  /** Decides by the request's credentials and by what it wants, with tokens for example. */
  access?: AccessControl
  /** Makes answers go wrong; for tests of clients. See `@berth/registry/testing`. */
  faults?: FaultSource
  logger?: Logger
}

export interface CollectOptions {
  /** Milliseconds within which a blob that was pushed, mounted or asked for stays, as its manifest may be on its way; an hour. */
  grace?: number
  signal?: AbortSignal
}

/** A registry without a socket of its own. */
export interface Registry extends AsyncDisposable {
  /** Answers one request of a server of the caller's (`createServer(registry.handle)`). Never rejects. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>
  /** Removes the blobs that no manifest of their repository names. May run while clients push and pull; rejects while another run goes on. */
  collect(options?: CollectOptions): Promise<Collected>
}

/** Opens the registry in `root` and clears away what a killed process has left half done. Disposing waits for the requests that are being answered. */
export async function openRegistry({ root, content, uploadLifetime = 24 * 60 * 60 * 1000, maxBlobSize = Number.MAX_SAFE_INTEGER, ...options }: RegistryOptions): Promise<Registry> {
  await using opening = new AsyncDisposableStack()
  const records = opening.use(openRegistryRecords(join(root, 'registry.db')))
  const kept = content ?? opening.use(await openContentStore({ root, ingestLifetime: uploadLifetime, ...(options.logger && { logger: options.logger }) }))
  const htpasswd = options.htpasswd === undefined ? undefined : opening.use(new HtpasswdFile(options.htpasswd))
  const blobs = new Blobs(records, kept)
  const uploads = new Uploads({ records, content: kept, blobs, maxBlobSize, lifetime: uploadLifetime })
  await uploads.expire()
  await uploads.removeUnclaimed()
  await blobs.removeUnclaimed()
  const parts: Parts = { records, content: kept, blobs, uploads, maxManifestSize: options.maxManifestSize ?? maxDocumentSize }
  const controls = [
    ...(htpasswd ? [basicAccess((user, password) => htpasswd.verify(user, password))] : []),
    ...(options.authenticate ? [basicAccess(options.authenticate)] : []),
    ...(options.access ? [options.access] : []),
  ]
  return new FileRegistry(parts, { controls, faults: options.faults, logger: options.logger ?? silent, resources: opening.move() })
}

interface Surroundings {
  /** All of them must let a request pass. */
  controls: AccessControl[]
  faults: FaultSource | undefined
  logger: Logger
  resources: AsyncDisposable
}

class FileRegistry implements Registry {
  readonly #parts: Parts
  readonly #surroundings: Surroundings
  readonly #running = new Set<Promise<unknown>>()

  constructor(parts: Parts, surroundings: Surroundings) {
    this.#parts = parts
    this.#surroundings = surroundings
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): Promise<void> => this.#track(this.#answer(request, response))

  collect({ grace = 60 * 60 * 1000, signal }: CollectOptions = {}): Promise<Collected> {
    return this.#track(this.#parts.blobs.collect(grace, signal))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#running)
    await this.#surroundings.resources[Symbol.asyncDispose]()
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#running.add(work)
    try {
      return await work
    } finally {
      this.#running.delete(work)
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('Docker-Distribution-Api-Version', 'registry/2.0')
    response.setHeader('X-Content-Type-Options', 'nosniff')
    try {
      const [path = '', query = ''] = (request.url ?? '').split('?', 2)
      const route = parseRoute(path)
      const call: Call = { request, response, method: request.method ?? '', query: new URLSearchParams(query), fault: undefined }
      await this.#admit(route, call)
      call.fault = this.#surroundings.faults?.take({ method: call.method, target: route.to, path })
      if (call.fault?.kind === 'status') throw new RegistryProblem(call.fault.status, call.fault.status === 429 ? 'TOOMANYREQUESTS' : 'UNKNOWN', 'this fault was programmed', call.fault.headers)
      if (call.fault?.kind === 'redirect') return await redirect(call, call.fault.to)
      await dispatch(this.#parts, route, call)
    } catch (error) {
      await this.#refuse(request, response, error)
    }
  }

  async #admit(route: Route, { request, method, query }: Call): Promise<void> {
    const from = route.to === 'uploads' && query.has('mount') ? (query.get('from') ?? undefined) : undefined
    for (const control of this.#surroundings.controls) {
      const refusal = await control({ authorization: request.headers.authorization, scopes: scopesOf(route, method, from) })
      if (refusal?.status === 401) throw new RegistryProblem(401, 'UNAUTHORIZED', 'authentication required', { 'WWW-Authenticate': refusal.challenge })
      if (refusal) throw new RegistryProblem(403, 'DENIED', 'requested access to the resource is denied')
    }
  }

  async #refuse(request: IncomingMessage, response: ServerResponse, error: unknown): Promise<void> {
    if (error instanceof BrokenConnection) {
      response.destroy()
      return
    }
    const problem = error instanceof RegistryProblem ? error : asProblem(error)
    // A client that went away is nobody's failure.
    if (problem.status === 500 && !(error instanceof RegistryProblem) && !request.destroyed && !response.destroyed) {
      this.#surroundings.logger.warn('a request to the registry failed', { method: request.method, error: messageOf(error) })
    }
    if (response.headersSent || response.destroyed) {
      response.destroy()
      return
    }
    const { status, code, message, headers } = problem
    const body = JSON.stringify({ errors: [{ code, message }] })
    await discardBody(request)
    if (!request.complete) response.setHeader('Connection', 'close')
    response.writeHead(status, { ...headers, 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
    response.end(request.method === 'HEAD' ? undefined : body)
  }
}

function dispatch(parts: Parts, route: Route, call: Call): Promise<void> | void {
  const { method } = call
  const reads = method === 'GET' || method === 'HEAD'
  switch (route.to) {
    case 'base':
      if (reads) return sendJson(call, 200, {})
      break
    case 'catalog':
      if (method === 'GET') return listRepositories(parts, call)
      break
    case 'tags':
      if (method === 'GET') return listTags(parts, call, route)
      break
    case 'referrers':
      if (method === 'GET') return listReferrers(parts, call, route)
      break
    case 'manifest':
      if (reads) return sendManifest(parts, call, route)
      if (method === 'PUT') return acceptManifest(parts, call, route)
      if (method === 'DELETE') return deleteManifest(parts, call, route)
      break
    case 'blob':
      if (reads) return sendBlob(parts, call, route)
      if (method === 'DELETE') return deleteBlob(parts, call, route)
      break
    case 'uploads':
      if (method === 'POST') return beginUpload(parts, call, route)
      break
    case 'upload':
      if (reads) return sendUploadStatus(parts, call, route)
      if (method === 'PATCH') return appendUpload(parts, call, route)
      if (method === 'PUT') return finishUpload(parts, call, route)
      if (method === 'DELETE') return cancelUpload(parts, call, route)
      break
  }
  throw new RegistryProblem(405, 'UNSUPPORTED', 'the operation is unsupported')
}

async function redirect({ request, response }: Call, to: string): Promise<void> {
  const target = new URL(to)
  const location = target.pathname === '/' ? new URL(request.url ?? '/', target) : target
  await discardBody(request)
  response.writeHead(307, { Location: location.href, 'Content-Length': 0 }).end()
}

function asProblem(error: unknown): RegistryProblem {
  if (isKind(error, 'resource-exhausted')) return new RegistryProblem(507, 'UNKNOWN', 'the registry has no space left')
  return new RegistryProblem(500, 'UNKNOWN', 'the registry failed')
}
