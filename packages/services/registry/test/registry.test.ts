import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestOf, mediaTypes } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openRegistry } from '../src/index.ts'
import { RegistryHarness } from './registry-harness.ts'

let harness: RegistryHarness

beforeEach(async () => {
  harness = await RegistryHarness.start()
})
afterEach(() => harness[Symbol.asyncDispose]())

const hex = (digest: string) => digest.slice(digest.indexOf(':') + 1)
const asManifest = { 'Content-Type': mediaTypes.ociManifest }

describe('blobs', () => {
  const content = randomBytes(200_000)
  const digest = digestOf(content)

  it('go in by one request, and out', async () => {
    await harness.putBlob('a/b', content)
    const response = await harness.request('GET', `/v2/a/b/blobs/${digest}`)
    expect(Buffer.from(await response.arrayBuffer())).toEqual(content)
    expect(response.headers.get('docker-content-digest')).toBe(digest)
    const head = await harness.request('HEAD', `/v2/a/b/blobs/${digest}`)
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '200000'])
    expect(await harness.files()).toEqual({ blobs: [hex(digest)], uploads: [] })
  })

  it('go in by parts, which follow each other', async () => {
    const location = await harness.begin('a')
    const first = await harness.request('PATCH', location, { body: content.subarray(0, 100), headers: { 'Content-Range': '0-99' } })
    expect([first.status, first.headers.get('range')]).toEqual([202, '0-99'])
    expect(await harness.refusal('PATCH', location, { body: content.subarray(200), headers: { 'Content-Range': '200-199999' } })).toBe('416 RANGE_INVALID')
    await harness.request('PATCH', location, { body: content.subarray(100, 5000) })
    const status = await harness.request('GET', location)
    expect([status.status, status.headers.get('range')]).toEqual([204, '0-4999'])
    const end = await harness.request('PUT', `${location}?digest=${digest}`, { body: content.subarray(5000) })
    expect([end.status, end.headers.get('location')]).toEqual([201, `/v2/a/blobs/${digest}`])
    expect(Buffer.from(await (await harness.request('GET', `/v2/a/blobs/${digest}`)).arrayBuffer())).toEqual(content)
    expect(await harness.refusal('GET', location)).toBe('404 BLOB_UPLOAD_UNKNOWN')
  })

  it('go out from where the client has them', async () => {
    await harness.putBlob('a', content)
    const response = await harness.request('GET', `/v2/a/blobs/${digest}`, { headers: { Range: 'bytes=199990-' } })
    expect([response.status, response.headers.get('content-range')]).toEqual([206, 'bytes 199990-199999/200000'])
    expect(Buffer.from(await response.arrayBuffer())).toEqual(content.subarray(199_990))
    expect(await harness.refusal('GET', `/v2/a/blobs/${digest}`, { headers: { Range: 'bytes=200000-' } })).toBe('416 RANGE_INVALID')
  })

  it('may be empty, and may have another digest algorithm', async () => {
    const { digest: empty } = await harness.putBlob('a', '')
    expect(await (await harness.request('GET', `/v2/a/blobs/${empty}`)).text()).toBe('')
    const long = digestOf('long', 'sha512')
    const location = await harness.begin('a')
    await harness.request('PATCH', location, { body: 'lo' })
    expect((await harness.request('PUT', `${location}?digest=${long}`, { body: 'ng' })).status).toBe(201)
    expect(await (await harness.request('GET', `/v2/a/blobs/${long}`)).text()).toBe('long')
  })

  it('that are not what their sender says leave nothing', async () => {
    expect(await harness.refusal('POST', `/v2/a/blobs/uploads/?digest=${digest}`, { body: 'other' })).toBe('400 DIGEST_INVALID')
    const location = await harness.begin('a')
    expect(await harness.refusal('PUT', `${location}?digest=${digest}`, { body: 'other' })).toBe('400 DIGEST_INVALID')
    expect(await harness.refusal('GET', location)).toBe('404 BLOB_UPLOAD_UNKNOWN')
    expect(await harness.refusal('POST', '/v2/a/blobs/uploads/?digest=sha256:..')).toBe('400 DIGEST_INVALID')
    expect(await harness.files()).toEqual({ blobs: [], uploads: [] })
  })

  it('are taken over from another repository, if they are there', async () => {
    await harness.putBlob('a', content)
    const mounted = await harness.request('POST', `/v2/b/blobs/uploads/?mount=${digest}&from=a`)
    expect([mounted.status, mounted.headers.get('docker-content-digest')]).toEqual([201, digest])
    expect((await harness.request('HEAD', `/v2/b/blobs/${digest}`)).status).toBe(200)
    expect((await harness.request('POST', `/v2/c/blobs/uploads/?mount=${digest}&from=nowhere`)).status).toBe(202)
    expect((await harness.request('HEAD', `/v2/c/blobs/${digest}`)).status).toBe(404)
  })

  it('are deleted from one repository, and from the disk with the last', async () => {
    await harness.putBlob('a', content)
    await harness.putBlob('b', content)
    expect((await harness.request('DELETE', `/v2/a/blobs/${digest}`)).status).toBe(202)
    expect(await harness.refusal('GET', `/v2/a/blobs/${digest}`)).toBe('404 BLOB_UNKNOWN')
    expect((await harness.request('GET', `/v2/b/blobs/${digest}`)).status).toBe(200)
    await harness.request('DELETE', `/v2/b/blobs/${digest}`)
    expect((await harness.files()).blobs).toEqual([])
    expect(await harness.refusal('DELETE', `/v2/b/blobs/${digest}`)).toBe('404 BLOB_UNKNOWN')
  })

  it('come in many at the same time, also twice', async () => {
    const contents = Array.from({ length: 10 }, (_, index) => randomBytes(50_000 + (index >> 1)))
    await Promise.all([...contents, ...contents].map((each) => harness.putBlob('a', each)))
    expect((await harness.files()).blobs).toEqual(contents.map((each) => hex(digestOf(each))).toSorted())
    expect((await harness.files()).uploads).toEqual([])
  })

  it('above the limit are refused', async () => {
    await using small = await RegistryHarness.start({ maxBlobSize: 1000 })
    expect(await small.refusal('POST', `/v2/a/blobs/uploads/?digest=${digest}`, { body: content })).toBe('413 SIZE_INVALID')
    expect(await small.files()).toEqual({ blobs: [], uploads: [] })
  })
})

describe('uploads', () => {
  const content = Buffer.from('some content')
  const digest = digestOf(content)

  /** Sends the beginning of a part and keeps the connection. */
  const sendSlowly = async (location: string) => {
    const sending = request(`http://${harness.registry.address}${location}`, { method: 'PATCH', headers: { 'Content-Length': 12 } })
    sending.on('error', () => {})
    sending.write(content.subarray(0, 5))
    const file = join(harness.root, 'ingest', `key-${location.slice(location.lastIndexOf('/') + 1)}`)
    while ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) < 5) await new Promise((resolve) => setImmediate(resolve))
    return sending
  }

  it('are cancelled', async () => {
    const location = await harness.begin('a')
    expect((await harness.request('DELETE', location)).status).toBe(204)
    expect(await harness.refusal('PATCH', location, { body: content })).toBe('404 BLOB_UPLOAD_UNKNOWN')
    expect((await harness.files()).uploads).toEqual([])
  })

  it('belong to their repository', async () => {
    const location = await harness.begin('a')
    expect(await harness.refusal('PATCH', location.replace('/v2/a/', '/v2/b/'), { body: content })).toBe('404 BLOB_UPLOAD_UNKNOWN')
  })

  it('take one part at a time', async () => {
    const location = await harness.begin('a')
    const sending = await sendSlowly(location)
    expect(await harness.refusal('PATCH', location, { body: content })).toBe('409 BLOB_UPLOAD_INVALID')
    expect(await harness.refusal('DELETE', location)).toBe('409 BLOB_UPLOAD_INVALID')
    sending.destroy()
  })

  it('keep what came before the connection broke, also over a restart', async () => {
    const location = await harness.begin('a')
    const sending = await sendSlowly(location)
    sending.destroy()
    await harness.restart()
    expect((await harness.request('GET', location)).headers.get('range')).toBe('0-4')
    expect((await harness.request('PUT', `${location}?digest=${digest}`, { body: content.subarray(5), headers: { 'Content-Range': '5-11' } })).status).toBe(201)
    expect(await (await harness.request('GET', `/v2/a/blobs/${digest}`)).text()).toBe('some content')
  })

  it('that nobody finishes are dropped in time', async () => {
    await using hasty = await RegistryHarness.start({ uploadLifetime: -1 })
    const begin = async () => {
      const location = await hasty.begin('a')
      await hasty.request('PATCH', location, { body: 'some' })
      return location
    }
    const location = await begin()
    expect((await hasty.files()).uploads).toHaveLength(1)
    await hasty.restart()
    expect(await hasty.refusal('GET', location)).toBe('404 BLOB_UPLOAD_UNKNOWN')
    expect((await hasty.files()).uploads).toEqual([])
    await begin()
    await begin()
    expect((await hasty.files()).uploads).toHaveLength(1)
  })
})

describe('manifests', () => {
  it('go in and out by tag and by digest, byte for byte', async () => {
    const { digest, size } = await harness.putImage('a', 'v1', 'layer')
    for (const reference of ['v1', digest]) {
      const response = await harness.request('GET', `/v2/a/manifests/${reference}`)
      expect(digestOf(Buffer.from(await response.arrayBuffer()))).toBe(digest)
      expect(response.headers.get('content-type')).toBe(mediaTypes.ociManifest)
      expect(response.headers.get('docker-content-digest')).toBe(digest)
    }
    const head = await harness.request('HEAD', '/v2/a/manifests/v1')
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(size)])
    expect(await harness.refusal('GET', '/v2/a/manifests/v2')).toBe('404 MANIFEST_UNKNOWN')
    expect(await harness.refusal('GET', `/v2/b/manifests/${digest}`)).toBe('404 MANIFEST_UNKNOWN')
  })

  it('are found after a restart', async () => {
    const { digest } = await harness.putImage('a', 'v1', 'layer')
    await harness.restart()
    expect((await harness.request('GET', '/v2/a/manifests/v1')).headers.get('docker-content-digest')).toBe(digest)
  })

  it('move a tag, and lose it with the manifest or alone', async () => {
    const first = await harness.putImage('a', 'latest', 'one')
    const second = await harness.putImage('a', 'latest', 'two')
    expect((await harness.request('GET', `/v2/a/manifests/${first.digest}`)).status).toBe(200)
    expect((await harness.request('HEAD', '/v2/a/manifests/latest')).headers.get('docker-content-digest')).toBe(second.digest)
    expect((await harness.request('DELETE', '/v2/a/manifests/latest')).status).toBe(202)
    expect((await harness.request('GET', `/v2/a/manifests/${second.digest}`)).status).toBe(200)
    await harness.putImage('a', 'again', 'two')
    expect((await harness.request('DELETE', `/v2/a/manifests/${second.digest}`)).status).toBe(202)
    expect(await harness.refusal('GET', '/v2/a/manifests/again')).toBe('404 MANIFEST_UNKNOWN')
    expect(await harness.refusal('DELETE', `/v2/a/manifests/${second.digest}`)).toBe('404 MANIFEST_UNKNOWN')
  })

  it.each([
    ['what is no JSON', 'not json', '400 MANIFEST_INVALID'],
    ['what is no manifest', '{"schemaVersion":2}', '400 MANIFEST_INVALID'],
    ['schema 1', '{"schemaVersion":1}', '400 MANIFEST_INVALID'],
    ['another type than its own', JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] }), '400 MANIFEST_INVALID'],
    ['blobs that are not here', JSON.stringify({ schemaVersion: 2, config: { mediaType: mediaTypes.ociConfig, digest: digestOf('?'), size: 1 }, layers: [] }), '404 MANIFEST_BLOB_UNKNOWN'],
    ['more bytes than the limit', ' '.repeat(5_000_000), '413 MANIFEST_INVALID'],
  ])('with %s are refused', async (_, body, expected) => {
    expect(await harness.refusal('PUT', '/v2/a/manifests/v1', { body, headers: asManifest })).toBe(expected)
    expect(await harness.refusal('GET', '/v2/a/tags/list')).toBe('404 NAME_UNKNOWN')
  })

  it('under another digest are refused', async () => {
    const { digest } = await harness.putImage('a', 'v1', 'layer')
    const body = new Uint8Array(await (await harness.request('GET', '/v2/a/manifests/v1')).arrayBuffer())
    expect(await harness.refusal('PUT', `/v2/a/manifests/${digestOf('x')}`, { body, headers: asManifest })).toBe('400 DIGEST_INVALID')
    expect((await harness.request('PUT', `/v2/a/manifests/${digest}`, { body, headers: asManifest })).status).toBe(201)
  })

  it('of an index need the manifests it names', async () => {
    const index = (digest: string) => JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [{ mediaType: mediaTypes.ociManifest, digest, size: 1 }] })
    const headers = { 'Content-Type': mediaTypes.ociIndex }
    const { digest } = await harness.putImage('a', 'v1', 'layer')
    expect(await harness.refusal('PUT', '/v2/a/manifests/all', { body: index(digestOf('?')), headers })).toBe('404 MANIFEST_BLOB_UNKNOWN')
    expect((await harness.request('PUT', '/v2/a/manifests/all', { body: index(digest), headers })).status).toBe(201)
  })

  it('tell who refers to them', async () => {
    const subject = await harness.putImage('a', 'v1', 'layer')
    const signature = await harness.putImage('a', 'signature', 'signed', { subject, artifactType: 'application/x-signature', annotations: { by: 'me' } })
    const other = await harness.putImage('a', 'other', 'text', { subject })
    const referrers = async (query = '') => {
      const response = await harness.request('GET', `/v2/a/referrers/${subject.digest}${query}`)
      expect(response.headers.get('content-type')).toBe(mediaTypes.ociIndex)
      return ((await response.json()) as { manifests: { digest: string }[] }).manifests
    }
    expect((await referrers()).map(({ digest }) => digest).toSorted()).toEqual([signature.digest, other.digest].toSorted())
    expect(await referrers('?artifactType=application/x-signature')).toEqual([{ ...signature, artifactType: 'application/x-signature', annotations: { by: 'me' } }])
    await harness.request('DELETE', `/v2/a/manifests/${other.digest}`)
    expect(await referrers()).toHaveLength(1)
  })
})

describe('lists', () => {
  it('are sorted and come by pages', async () => {
    for (const tag of ['b', 'c', 'a', 'B']) await harness.putImage('x', tag, 'layer')
    await harness.putImage('w', 'a', 'layer')
    const all = await harness.request('GET', '/v2/x/tags/list')
    expect(await all.json()).toEqual({ name: 'x', tags: ['B', 'a', 'b', 'c'] })
    expect(all.headers.get('link')).toBeNull()
    const page = await harness.request('GET', '/v2/x/tags/list?n=2&last=B')
    expect(((await page.json()) as { tags: string[] }).tags).toEqual(['a', 'b'])
    expect(page.headers.get('link')).toBe('</v2/x/tags/list?n=2&last=b>; rel="next"')
    expect(await (await harness.request('GET', '/v2/x/tags/list?n=0')).json()).toEqual({ name: 'x', tags: [] })
    expect(await harness.refusal('GET', '/v2/x/tags/list?n=-1')).toBe('400 PAGINATION_NUMBER_INVALID')
    expect(await (await harness.request('GET', '/v2/_catalog')).json()).toEqual({ repositories: ['w', 'x'] })
    expect(await (await harness.request('GET', '/v2/_catalog?n=1&last=w')).json()).toEqual({ repositories: ['x'] })
  })
})

describe('requests that', () => {
  it('ask for the version are answered', async () => {
    const response = await harness.request('GET', '/v2/')
    expect([response.status, response.headers.get('docker-distribution-api-version')]).toEqual([200, 'registry/2.0'])
  })

  it('use a method that is not there are refused', async () => {
    expect(await harness.refusal('POST', '/v2/')).toBe('405 UNSUPPORTED')
    expect(await harness.refusal('PUT', `/v2/a/blobs/${digestOf('x')}`)).toBe('405 UNSUPPORTED')
  })

  it('mean to leave the directory do not', async () => {
    await writeFile(join(harness.root, 'secret'), 'secret')
    for (const path of ['/v2/a/blobs/uploads/..%2f..%2fsecret', '/v2/a/blobs/sha256:..%2f..%2fsecret', '/v2/..%2f/manifests/secret']) {
      const response = await harness.request('GET', path)
      expect(response.status).toBeGreaterThanOrEqual(400)
      expect(await response.text()).not.toContain('secret')
    }
    expect(await harness.refusal('DELETE', '/v2/a/blobs/uploads/..%2f..%2fsecret')).toBe('404 UNSUPPORTED')
    expect(await readFile(join(harness.root, 'secret'), 'utf8')).toBe('secret')
  })
})

it('answers on a server of the caller', async () => {
  const root = await mkdtemp(join(tmpdir(), 'berth-registry-'))
  await using registry = await openRegistry({ root })
  const server = createServer((incoming, response) => (incoming.url === '/own' ? response.end('own') : void registry.handle(incoming, response)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  expect(await (await fetch(`${origin}/own`)).text()).toBe('own')
  expect(await (await fetch(`${origin}/v2/`)).json()).toEqual({})
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
  await rm(root, { recursive: true })
})

it('drops blobs that no record claims, as kill -9 leaves them', async () => {
  const { digest } = await harness.putBlob('a', 'kept')
  await writeFile(join(harness.root, 'content/sha256', hex(digestOf('orphan'))), 'orphan')
  await writeFile(join(harness.root, 'ingest/key-orphan'), 'orphan')
  await harness.restart()
  expect(await harness.files()).toEqual({ blobs: [hex(digest)], uploads: [] })
})
