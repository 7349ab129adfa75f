import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { digestOf } from '@berth/oci'
import { describe, expect, it } from 'vitest'
import { at, auth, basic, call, newClient } from './harness.ts'
import { type HttpServer, serve } from './http-server.ts'

const bytes = randomBytes(1_000_000)
const blob = { digest: digestOf(bytes), size: bytes.length }
const source = async function* () {
  for (let start = 0; start < bytes.length; start += 64_000) yield bytes.subarray(start, start + 64_000)
}

interface UploadServer extends HttpServer {
  received: () => Buffer
  /** `PATCH 0-99`, … */
  parts: string[]
}

/** Takes uploads as distribution does. `spoil` may answer in its place, or break off after bytes. */
async function serveUploads({ spoil = () => undefined, location = (id) => `/v2/app/blobs/uploads/${id}?state=secret-signature` }: {
  spoil?: (request: IncomingMessage, response: ServerResponse, times: number) => number | 'answered' | undefined
  location?: (id: number) => string
} = {}): Promise<UploadServer> {
  let data = Buffer.alloc(0)
  let uploads = 0
  let times = 0
  let isThere = false
  const parts: string[] = []
  const server = await serve((request, response) => {
    const limit = spoil(request, response, times++)
    if (limit === 'answered') return void request.resume()
    if (request.method === 'HEAD') return void response.writeHead(isThere ? 200 : 404).end()
    if (request.method === 'POST') {
      data = Buffer.alloc(0)
      return void response.writeHead(202, { Location: location(++uploads) }).end()
    }
    const state = { Location: location(uploads), Range: `0-${Math.max(data.length - 1, 0)}` }
    if (request.method === 'GET') return void response.writeHead(204, state).end()
    if (request.method === 'DELETE') return void response.writeHead(204).end()
    parts.push(`${request.method} ${request.headers['content-range'] ?? request.headers['content-length'] ?? ''}`.trim())
    let left = limit ?? Infinity
    request.on('error', () => {}).on('data', (chunk: Buffer) => {
      data = Buffer.concat([data, chunk.subarray(0, left)])
      left -= chunk.length
      if (left <= 0) request.socket.destroy()
    })
    return void request.on('end', () => {
      if (request.method === 'PUT') isThere = digestOf(data) === new URL(request.url!, 'http://x').searchParams.get('digest')
      if (request.method === 'PUT') return response.writeHead(isThere ? 201 : 400).end()
      return response.writeHead(202, { Location: location(uploads), Range: `0-${data.length - 1}` }).end()
    })
  })
  return Object.assign(server, { received: () => data, parts })
}

const put = (server: HttpServer, options: { partSize?: number; onProgress?: (sent: number) => void } = {}, content = source) =>
  newClient(options).putBlob(at(server.address), blob, content, { ...call, onProgress: options.onProgress })

describe('an upload', () => {
  it('of a small blob is one request, with its size', async () => {
    await using server = await serveUploads()
    await put(server)
    expect(digestOf(server.received())).toBe(blob.digest)
    expect(server.parts).toEqual(['PUT 1000000'])
  })

  it('of a big one goes in parts, each once', async () => {
    await using server = await serveUploads()
    const seen: number[] = []
    await put(server, { partSize: 400_000, onProgress: (sent) => seen.push(sent) })
    expect(digestOf(server.received())).toBe(blob.digest)
    expect(server.parts).toEqual(['PATCH 0-399999', 'PATCH 400000-799999', 'PATCH 800000-999999', 'PUT 0'])
    expect(seen).toEqual(seen.toSorted((a, b) => a - b))
    expect(seen.at(-1)).toBe(bytes.length)
  })

  it('goes on where it broke, as the registry tells', async () => {
    let isCut = false
    await using server = await serveUploads({ spoil: (request) => (request.headers['content-range']?.startsWith('400000-') && !isCut ? ((isCut = true), 123_456) : undefined) })
    await put(server, { partSize: 400_000 })
    expect(digestOf(server.received())).toBe(blob.digest)
    expect(server.parts).toEqual(['PATCH 0-399999', 'PATCH 400000-799999', 'PATCH 523456-923455', 'PATCH 923456-999999', 'PUT 0'])
  })

  it('goes on where the registry stands, if that is elsewhere', async () => {
    let isRefused = false
    await using server = await serveUploads({
      spoil: (request, response) => {
        if (isRefused || !request.headers['content-range']?.startsWith('800000-')) return undefined
        isRefused = true
        response.writeHead(416).end()
        return 'answered'
      },
    })
    await put(server, { partSize: 400_000 })
    expect(digestOf(server.received())).toBe(blob.digest)
  })

  it('begins again if the registry has forgotten it', async () => {
    let begun = 0
    await using server = await serveUploads({
      spoil: (request, response) => {
        if (request.method === 'POST') begun++
        if (begun > 1 || (request.method === 'PATCH' && request.headers['content-range']?.startsWith('0-')) || request.method === 'POST') return undefined
        response.writeHead(404).end('{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to registry"}]}')
        return 'answered'
      },
    })
    await put(server, { partSize: 400_000 })
    expect(digestOf(server.received())).toBe(blob.digest)
    expect(begun).toBe(2)
  })

  it('goes in one piece to a registry that takes no parts', async () => {
    await using server = await serveUploads({ spoil: (request, response) => (request.method === 'PATCH' ? (response.writeHead(405).end(), 'answered') : undefined) })
    await put(server, { partSize: 400_000 })
    expect(digestOf(server.received())).toBe(blob.digest)
    expect(server.parts).toEqual(['PUT 1000000'])
  })

  it('makes its parts as big as the registry wants them', async () => {
    await using server = await serveUploads({
      spoil: (request, response) => (request.method === 'POST' ? (response.setHeader('OCI-Chunk-Min-Length', '600000'), undefined) : undefined),
    })
    await put(server, { partSize: 100_000 })
    expect(server.parts).toEqual(['PATCH 0-599999', 'PATCH 600000-999999', 'PUT 0'])
  })

  it('whose last answer is lost has been done', async () => {
    let isLost = false
    await using server = await serveUploads({
      spoil: (request) => {
        if (request.method === 'PUT' && !isLost) {
          isLost = true
          request.once('end', () => request.socket.destroy())
        }
        return undefined
      },
    })
    await put(server)
    expect(server.asked.filter((line) => line.startsWith('POST'))).toHaveLength(1)
  })

  it('that always breaks is given up', async () => {
    await using server = await serveUploads({ spoil: (request) => (request.method === 'PATCH' ? 10 : undefined) })
    await expect(put(server, { partSize: 400_000 })).rejects.toMatchObject({ kind: 'unavailable' })
  })

  it('of what is shorter than it should be fails, without waiting', async () => {
    await using server = await serveUploads()
    const short = async function* () { yield bytes.subarray(0, 500_000) }
    await expect(put(server, {}, short)).rejects.toMatchObject({ code: 'CONTENT_TOO_SHORT' })
    await expect(put(server, { partSize: 400_000 }, short)).rejects.toMatchObject({ code: 'CONTENT_TOO_SHORT' })
  })

  it('takes credentials to the registry in every part, and to no other host in any', async () => {
    const seen: (string | undefined)[] = []
    await using storage = await serveUploads({ spoil: (request) => void seen.push(request.headers.authorization), location: (id) => `/v2/app/blobs/uploads/${id}` })
    await using server = await serve((request, response) => {
      if (request.headers.authorization !== basic) return response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end()
      return response.writeHead(202, { Location: `http://${storage.address}/upload?secret-signature` }).end()
    })
    await newClient({ partSize: 400_000 }).putBlob(at(server.address), blob, source, { ...call, auth })
    expect(digestOf(storage.received())).toBe(blob.digest)
    expect(new Set(seen)).toEqual(new Set([undefined]))
    expect(seen.length).toBeGreaterThanOrEqual(4)
  })

  it('is cancelled at the registry when it fails, and leaves nothing open', async () => {
    await using server = await serveUploads()
    let isClosed = false
    const failing = async function* () {
      try {
        yield bytes.subarray(0, 500_000)
        throw new Error('the disk is gone')
      } finally {
        isClosed = true
      }
    }
    await expect(put(server, { partSize: 400_000 }, failing)).rejects.toThrow('the disk is gone')
    expect(isClosed).toBe(true)
    expect(server.asked.at(-1)).toMatch(/^DELETE/)
  })
})
