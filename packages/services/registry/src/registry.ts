import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type Logger, messageOf, silent } from '@berth/core'
import { maxDocumentSize, mediaTypes } from '@berth/oci'
import { BlobFiles } from './blob-files.ts'
import { parseByteRange } from './byte-range.ts'
import { putManifest } from './manifests.ts'
import { RegistryProblem } from './registry-problem.ts'
import { openRegistryRecords, type Page, type RegistryRecords, type StoredManifest } from './registry-records.ts'
import { checkName, digestOf, parseRoute, type Route } from './route.ts'
import { rangeOf, Uploads } from './uploads.ts'

export interface RegistryOptions {
  /** The directory that the registry owns; one registry at a time. Made if it is missing, 0700. */
  root: string
  /** Bytes of a manifest; 4 MiB. */
  maxManifestSize?: number
  /** Bytes of a blob; no limit but the disk's. */
  maxBlobSize?: number
  /** Milliseconds after which an upload that was not finished is dropped; a day. */
  uploadLifetime?: number
  logger?: Logger
}

/** A registry without a socket of its own. */
export interface Registry extends AsyncDisposable {
  /** Answers one request of a server of the caller's (`createServer(registry.handle)`). Never rejects. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>
}

const maxPage = 10_000
/** Bytes of a refused body that are read, so that the refusal reaches a client that first sends and then listens. */
const maxDiscarded = 8 << 20

/** Opens the registry in `root` and clears away what a killed process has left half done. Disposing waits for the requests that are being answered. */
export async function openRegistry({
  root,
  maxManifestSize = maxDocumentSize,
  maxBlobSize = Number.MAX_SAFE_INTEGER,
  uploadLifetime = 24 * 60 * 60 * 1000,
  logger = silent,
}: RegistryOptions): Promise<Registry> {
  const records = openRegistryRecords(join(root, 'registry.db'))
  try {
    const blobs = new BlobFiles(root)
    const uploads = new Uploads({ root, records, blobs, maxBlobSize, lifetime: uploadLifetime })
    uploads.expire()
    await uploads.removeUnclaimed()
    await blobs.removeUnclaimed((digest) => records.isBlobNeeded(digest))
    return new FileRegistry({ records, blobs, uploads, maxManifestSize, logger })
  } catch (error) {
    records[Symbol.dispose]()
    throw error
  }
}

interface Parts {
  records: RegistryRecords
  blobs: BlobFiles
  uploads: Uploads
  maxManifestSize: number
  logger: Logger
}

interface Call {
  request: IncomingMessage
  response: ServerResponse
  method: string
  query: URLSearchParams
}

class FileRegistry implements Registry {
  readonly #parts: Parts
  readonly #running = new Set<Promise<void>>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  readonly handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const running = this.#answer(request, response)
    this.#running.add(running)
    await running.finally(() => this.#running.delete(running))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#running)
    this.#parts.records[Symbol.dispose]()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('Docker-Distribution-Api-Version', 'registry/2.0')
    response.setHeader('X-Content-Type-Options', 'nosniff')
    try {
      const [path = '', query = ''] = (request.url ?? '').split('?', 2)
      await this.#dispatch(parseRoute(path), { request, response, method: request.method ?? '', query: new URLSearchParams(query) })
    } catch (error) {
      await this.#refuse(request, response, error)
    }
  }

  #dispatch(route: Route, call: Call): Promise<void> | void {
    const { method } = call
    const reads = method === 'GET' || method === 'HEAD'
    switch (route.to) {
      case 'base':
        if (reads) return sendJson(call, 200, {})
        break
      case 'catalog':
        if (method === 'GET') return this.#listRepositories(call)
        break
      case 'tags':
        if (method === 'GET') return this.#listTags(call, route.repository)
        break
      case 'referrers':
        if (method === 'GET') return this.#listReferrers(call, route)
        break
      case 'manifest':
        if (reads) return this.#sendManifest(call, route)
        if (method === 'PUT') return this.#putManifest(call, route)
        if (method === 'DELETE') return this.#deleteManifest(call, route)
        break
      case 'blob':
        if (reads) return this.#sendBlob(call, route)
        if (method === 'DELETE') return this.#deleteBlob(call, route)
        break
      case 'uploads':
        if (method === 'POST') return this.#beginUpload(call, route.repository)
        break
      case 'upload':
        if (reads) return this.#sendUploadStatus(call, route)
        if (method === 'PATCH') return this.#appendUpload(call, route)
        if (method === 'PUT') return this.#finishUpload(call, route)
        if (method === 'DELETE') return this.#cancelUpload(call, route)
        break
    }
    throw new RegistryProblem(405, 'UNSUPPORTED', 'the operation is unsupported')
  }

  #listRepositories(call: Call): void {
    const page = pageOf(call.query)
    const repositories = this.#parts.records.repositories(page)
    linkNext(call, '/v2/_catalog', page, repositories)
    sendJson(call, 200, { repositories })
  }

  #listTags(call: Call, repository: string): void {
    const { records } = this.#parts
    if (!records.hasRepository(repository)) throw new RegistryProblem(404, 'NAME_UNKNOWN', 'repository name not known to registry')
    const page = pageOf(call.query)
    const tags = records.tags(repository, page)
    linkNext(call, `/v2/${repository}/tags/list`, page, tags)
    sendJson(call, 200, { name: repository, tags })
  }

  #listReferrers(call: Call, { repository, digest }: Extract<Route, { to: 'referrers' }>): void {
    const wanted = call.query.get('artifactType')
    const manifests = this.#parts.records.referrers(repository, digest).filter(({ artifactType }) => !wanted || artifactType === wanted)
    if (wanted) call.response.setHeader('OCI-Filters-Applied', 'artifactType')
    sendJson(call, 200, { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }, mediaTypes.ociIndex)
  }

  #sendManifest({ response, method }: Call, { repository, reference }: Extract<Route, { to: 'manifest' }>): void {
    const { records } = this.#parts
    const digest = 'digest' in reference ? reference.digest : records.digestOfTag(repository, reference.tag)
    const manifest: StoredManifest | undefined = digest === undefined ? undefined : records.manifest(repository, digest)
    if (!digest || !manifest) throw new RegistryProblem(404, 'MANIFEST_UNKNOWN', 'manifest unknown')
    response.writeHead(200, { 'Content-Type': manifest.mediaType, 'Content-Length': manifest.bytes.length, 'Docker-Content-Digest': digest, ETag: `"${digest}"` })
    response.end(method === 'HEAD' ? undefined : manifest.bytes)
  }

  async #putManifest({ request, response }: Call, { repository, reference }: Extract<Route, { to: 'manifest' }>): Promise<void> {
    const mediaType = (request.headers['content-type'] ?? '').split(';')[0]!.trim()
    const bytes = await readAll(bodyOf(request), this.#parts.maxManifestSize)
    const { digest, subject } = putManifest(this.#parts.records, { repository, reference, mediaType, bytes })
    response.writeHead(201, { Location: `/v2/${repository}/manifests/${digest}`, 'Docker-Content-Digest': digest, 'Content-Length': 0, ...(subject && { 'OCI-Subject': subject }) })
    response.end()
  }

  #deleteManifest({ response }: Call, { repository, reference }: Extract<Route, { to: 'manifest' }>): void {
    const { records } = this.#parts
    const isGone = 'digest' in reference ? records.removeManifest(repository, reference.digest) : records.removeTag(repository, reference.tag)
    if (!isGone) throw new RegistryProblem(404, 'MANIFEST_UNKNOWN', 'manifest unknown')
    response.writeHead(202, { 'Content-Length': 0 }).end()
  }

  async #sendBlob({ request, response, method }: Call, { repository, digest }: Extract<Route, { to: 'blob' }>): Promise<void> {
    const { records, blobs } = this.#parts
    const file = records.hasBlob(repository, digest) ? await blobs.open(digest) : undefined
    if (!file) throw new RegistryProblem(404, 'BLOB_UNKNOWN', 'blob unknown to registry')
    try {
      const { size } = await file.stat()
      const range = method === 'GET' ? parseByteRange(request.headers.range, size) : undefined
      if (range === 'unsatisfiable') throw new RegistryProblem(416, 'RANGE_INVALID', 'the range lies behind the end of the blob', { 'Content-Range': `bytes */${size}` })
      const { start, end } = range ?? { start: 0, end: size - 1 }
      response.writeHead(range ? 206 : 200, {
        'Content-Type': 'application/octet-stream',
        'Content-Length': end - start + 1,
        'Docker-Content-Digest': digest,
        'Accept-Ranges': 'bytes',
        ETag: `"${digest}"`,
        ...(range && { 'Content-Range': `bytes ${start}-${end}/${size}` }),
      })
      if (method === 'HEAD' || size === 0) response.end()
      else await pipeline(file.createReadStream({ start, end, highWaterMark: 256 * 1024, autoClose: false }), response)
    } finally {
      await file.close()
    }
  }

  #deleteBlob({ response }: Call, { repository, digest }: Extract<Route, { to: 'blob' }>): void {
    const { records, blobs } = this.#parts
    if (!records.hasBlob(repository, digest)) throw new RegistryProblem(404, 'BLOB_UNKNOWN', 'blob unknown to registry')
    if (records.removeBlob(repository, digest)) blobs.remove(digest)
    response.writeHead(202, { 'Content-Length': 0 }).end()
  }

  async #beginUpload(call: Call, repository: string): Promise<void> {
    const { records, uploads } = this.#parts
    const { request, response, query } = call
    const mounted = query.get('mount')
    const from = query.get('from')
    if (mounted && from && records.hasBlob(checkName(from), digestOf(mounted))) {
      records.addBlob(repository, mounted)
      return sendCreated(response, repository, mounted)
    }
    const digest = query.get('digest')
    if (digest) digestOf(digest)
    const id = await uploads.begin(repository)
    if (!digest) return sendProgress(response, 202, { repository, id, size: 0 })
    try {
      await uploads.append(id, repository, bodyOf(request))
      await uploads.finish(id, repository, digest)
    } catch (error) {
      // Nobody but this request knows of the upload.
      await uploads.cancel(id, repository).catch(() => {})
      throw error
    }
    sendCreated(response, repository, digest)
  }

  async #sendUploadStatus({ response }: Call, { repository, id }: Extract<Route, { to: 'upload' }>): Promise<void> {
    sendProgress(response, 204, { repository, id, size: await this.#parts.uploads.size(id, repository) })
  }

  async #appendUpload({ request, response }: Call, { repository, id }: Extract<Route, { to: 'upload' }>): Promise<void> {
    const size = await this.#parts.uploads.append(id, repository, bodyOf(request), startOf(request.headers['content-range']))
    sendProgress(response, 202, { repository, id, size })
  }

  async #finishUpload({ request, response, query }: Call, { repository, id }: Extract<Route, { to: 'upload' }>): Promise<void> {
    const { uploads } = this.#parts
    const digest = digestOf(query.get('digest') ?? '')
    await uploads.append(id, repository, bodyOf(request), startOf(request.headers['content-range']))
    await uploads.finish(id, repository, digest)
    sendCreated(response, repository, digest)
  }

  async #cancelUpload({ response }: Call, { repository, id }: Extract<Route, { to: 'upload' }>): Promise<void> {
    await this.#parts.uploads.cancel(id, repository)
    response.writeHead(204).end()
  }

  async #refuse(request: IncomingMessage, response: ServerResponse, error: unknown): Promise<void> {
    const isKnown = error instanceof RegistryProblem
    // A client that went away is nobody's failure.
    if (!isKnown && !request.destroyed) this.#parts.logger.warn('a request to the registry failed', { method: request.method, error: messageOf(error) })
    if (response.headersSent || response.destroyed) {
      response.destroy()
      return
    }
    const { status, code, message, headers } = isKnown ? error : new RegistryProblem(500, 'UNKNOWN', 'the registry failed')
    const body = JSON.stringify({ errors: [{ code, message }] })
    await discard(request)
    if (!request.complete) response.setHeader('Connection', 'close')
    response.writeHead(status, { ...headers, 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
    response.end(request.method === 'HEAD' ? undefined : body)
  }
}

function sendJson({ response, method }: Pick<Call, 'response' | 'method'>, status: number, value: unknown, type = 'application/json'): void {
  const body = JSON.stringify(value)
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) })
  response.end(method === 'HEAD' ? undefined : body)
}

function sendCreated(response: ServerResponse, repository: string, digest: string): void {
  response.writeHead(201, { Location: `/v2/${repository}/blobs/${digest}`, 'Docker-Content-Digest': digest, 'Content-Length': 0 }).end()
}

function sendProgress(response: ServerResponse, status: number, { repository, id, size }: { repository: string; id: string; size: number }): void {
  response.writeHead(status, {
    Location: `/v2/${repository}/blobs/uploads/${id}`,
    Range: rangeOf(size),
    'Docker-Upload-UUID': id,
    ...(status !== 204 && { 'Content-Length': 0 }),
  })
  response.end()
}

/** Where a part of an upload begins, by its `Content-Range` (`0-1023`, without a unit). */
function startOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const [, start] = /^(?:bytes[ =])?(\d{1,15})-\d{1,15}(?:\/\S+)?$/.exec(header) ?? []
  if (start === undefined) throw new RegistryProblem(416, 'RANGE_INVALID', 'invalid content range')
  return Number(start)
}

function pageOf(query: URLSearchParams): Page {
  const text = query.get('n')
  if (text !== null && !/^\d{1,9}$/.test(text)) throw new RegistryProblem(400, 'PAGINATION_NUMBER_INVALID', 'invalid number of results requested')
  return { count: text === null ? maxPage : Math.min(Number(text), maxPage), after: query.get('last') ?? '' }
}

/** Says where the list goes on, if this part is full. */
function linkNext({ response }: Call, path: string, { count }: Page, found: readonly string[]): void {
  const last = found.at(-1)
  if (last !== undefined && found.length === count) response.setHeader('Link', `<${path}?n=${count}&last=${encodeURIComponent(last)}>; rel="next"`)
}

/** A request's body; leaving it early leaves the connection, on which the answer goes out. */
function bodyOf(request: IncomingMessage): AsyncIterable<Uint8Array> {
  return request.iterator({ destroyOnReturn: false })
}

async function discard(request: IncomingMessage): Promise<void> {
  let discarded = 0
  try {
    for await (const chunk of bodyOf(request)) {
      discarded += chunk.length
      if (discarded > maxDiscarded) return
    }
  } catch {
    // The client is gone.
  }
}

async function readAll(source: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of source) {
    size += chunk.length
    if (size > limit) throw new RegistryProblem(413, 'MANIFEST_INVALID', `manifests of more than ${limit} bytes are not taken`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
