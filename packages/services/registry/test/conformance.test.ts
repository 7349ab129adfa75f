import { digestOf, mediaTypes } from '@berth/oci'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RegistryHarness } from './registry-harness.ts'

// The OCI distribution specification 1.1, a requirement a test, in the four categories of its conformance suite.

const emptyType = 'application/vnd.oci.empty.v1+json'
const config = '{}'
const layer = 'a layer'
const lorem = Buffer.from('content that is sent in several pieces')
const part = (from: number, to: number) => ({ body: lorem.subarray(from, to), headers: { 'Content-Range': `${from}-${to - 1}`, 'Content-Type': 'application/octet-stream' } })

let harness: RegistryHarness
beforeAll(async () => {
  harness = await RegistryHarness.start()
})
afterAll(() => harness[Symbol.asyncDispose]())

const descriptor = (content: string, mediaType: string = mediaTypes.ociLayer) => ({ mediaType, digest: digestOf(content), size: content.length })
const manifestOf = (extra: object = {}) =>
  JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: descriptor(config, mediaTypes.ociConfig), layers: [descriptor(layer)], ...extra })
const put = (name: string, reference: string, body: string, type: string = mediaTypes.ociManifest) =>
  harness.request('PUT', `/v2/${name}/manifests/${reference}`, { body, headers: { 'Content-Type': type } })
const status = async (method: string, path: string) => (await harness.request(method, path)).status
const pushParts = async (name: string) => {
  await harness.putBlob(name, config)
  await harness.putBlob(name, layer)
}

describe('pull', () => {
  const name = 'conformance/pull'
  const manifest = manifestOf()
  const digest = digestOf(manifest)
  beforeAll(async () => {
    await pushParts(name)
    await put(name, 'v1', manifest)
  })

  it.each(['v1', digest])('a manifest is got by %s, in the bytes and with the type that it was pushed with', async (reference) => {
    const response = await harness.request('GET', `/v2/${name}/manifests/${reference}`, { headers: { Accept: mediaTypes.ociManifest } })
    expect([response.status, response.headers.get('content-type'), response.headers.get('docker-content-digest')]).toEqual([200, mediaTypes.ociManifest, digest])
    expect(await response.text()).toBe(manifest)
  })
  it.each(['v1', digest])('a manifest is asked about by %s, without a body', async (reference) => {
    const response = await harness.request('HEAD', `/v2/${name}/manifests/${reference}`)
    expect([response.status, response.headers.get('content-length'), response.headers.get('docker-content-digest'), await response.text()]).toEqual([200, String(manifest.length), digest, ''])
  })
  it.each(['none', digestOf('none')])('a manifest that is not there (%s) is 404', async (reference) => {
    expect(await harness.refusal('GET', `/v2/${name}/manifests/${reference}`)).toBe('404 MANIFEST_UNKNOWN')
    expect(await status('HEAD', `/v2/${name}/manifests/${reference}`)).toBe(404)
  })
  it('a blob is got', async () => {
    const response = await harness.request('GET', `/v2/${name}/blobs/${digestOf(layer)}`)
    expect([response.status, response.headers.get('docker-content-digest'), await response.text()]).toEqual([200, digestOf(layer), layer])
  })
  it('a blob is asked about, without a body', async () => {
    const response = await harness.request('HEAD', `/v2/${name}/blobs/${digestOf(layer)}`)
    expect([response.status, response.headers.get('content-length'), await response.text()]).toEqual([200, String(layer.length), ''])
  })
  it('a blob that is not there is 404', async () => {
    expect(await harness.refusal('GET', `/v2/${name}/blobs/${digestOf('none')}`)).toBe('404 BLOB_UNKNOWN')
    expect(await status('HEAD', `/v2/${name}/blobs/${digestOf('none')}`)).toBe(404)
  })
  it('a part of a blob is got', async () => {
    const response = await harness.request('GET', `/v2/${name}/blobs/${digestOf(layer)}`, { headers: { Range: 'bytes=2-4' } })
    expect([response.status, response.headers.get('content-range'), await response.text()]).toEqual([206, 'bytes 2-4/7', 'lay'])
  })
  it('what one repository has, another has not', async () => {
    expect([await status('GET', `/v2/conformance/other/blobs/${digestOf(layer)}`), await status('GET', `/v2/conformance/other/manifests/${digest}`)]).toEqual([404, 404])
  })
  it('errors are JSON with a code', async () => {
    const response = await harness.request('GET', `/v2/${name}/manifests/none`)
    expect([response.headers.get('content-type'), await response.json()]).toEqual(['application/json', { errors: [{ code: 'MANIFEST_UNKNOWN', message: expect.any(String) }] }])
  })
  it('the version is there to be asked for', async () => {
    expect(await status('GET', '/v2/')).toBe(200)
  })
})

describe('push', () => {
  const name = 'conformance/push'

  it('a blob goes in by POST and PUT', async () => {
    const begun = await harness.request('POST', `/v2/${name}/blobs/uploads/`)
    expect([begun.status, begun.headers.get('location')]).toEqual([202, expect.stringContaining(`/v2/${name}/blobs/uploads/`)])
    const ended = await harness.request('PUT', `${begun.headers.get('location')}?digest=${digestOf(lorem)}`, { body: lorem, headers: { 'Content-Type': 'application/octet-stream' } })
    expect(ended.status).toBe(201)
    expect(await (await harness.request('GET', ended.headers.get('location')!)).text()).toBe(lorem.toString())
  })
  it('a blob goes in by one POST', async () => {
    const response = await harness.request('POST', `/v2/${name}/blobs/uploads/?digest=${digestOf('one')}`, { body: 'one' })
    expect(response.status).toBe(201)
    expect(await status('HEAD', response.headers.get('location')!)).toBe(200)
  })
  it('a blob goes in by chunks, in order', async () => {
    const location = await harness.begin(name)
    const first = await harness.request('PATCH', location, part(0, 10))
    expect([first.status, first.headers.get('range')]).toEqual([202, '0-9'])
    const second = await harness.request('PATCH', first.headers.get('location')!, part(10, 20))
    expect([second.status, second.headers.get('range')]).toEqual([202, '0-19'])
    const ended = await harness.request('PUT', `${second.headers.get('location')}?digest=${digestOf(lorem)}`, part(20, lorem.length))
    expect([ended.status, await status('HEAD', ended.headers.get('location')!)]).toEqual([201, 200])
  })
  it('a chunk that is out of order is 416', async () => {
    const location = await harness.begin(name)
    await harness.request('PATCH', location, part(0, 10))
    expect(await harness.refusal('PATCH', location, part(20, 30))).toBe('416 RANGE_INVALID')
    expect(await harness.refusal('PATCH', location, part(0, 10))).toBe('416 RANGE_INVALID')
  })
  it('an upload tells how far it is', async () => {
    const location = await harness.begin(name)
    await harness.request('PATCH', location, part(0, 10))
    const response = await harness.request('GET', location)
    expect([response.status, response.headers.get('range'), response.headers.get('location')]).toEqual([204, '0-9', location])
  })
  it('an upload ends without a last chunk', async () => {
    const location = await harness.begin(name)
    await harness.request('PATCH', location, part(0, lorem.length))
    expect((await harness.request('PUT', `${location}?digest=${digestOf(lorem)}`, { headers: { 'Content-Length': '0' } })).status).toBe(201)
  })
  it('an upload is cancelled', async () => {
    const location = await harness.begin(name)
    expect([await status('DELETE', location), await status('GET', location)]).toEqual([204, 404])
  })
  it('content with another digest is refused', async () => {
    const location = await harness.begin(name)
    expect(await harness.refusal('PUT', `${location}?digest=${digestOf('other')}`, { body: lorem })).toBe('400 DIGEST_INVALID')
    expect(await status('HEAD', `/v2/${name}/blobs/${digestOf('other')}`)).toBe(404)
  })
  it('a blob of another repository is mounted', async () => {
    await harness.putBlob('conformance/from', 'mounted')
    const response = await harness.request('POST', `/v2/${name}/blobs/uploads/?mount=${digestOf('mounted')}&from=conformance/from`)
    expect([response.status, response.headers.get('location')]).toEqual([201, `/v2/${name}/blobs/${digestOf('mounted')}`])
    expect(await status('HEAD', `/v2/${name}/blobs/${digestOf('mounted')}`)).toBe(200)
  })
  it.each(['', '&from=conformance/nowhere'])('a mount of what cannot be had (%s) becomes an upload', async (from) => {
    const response = await harness.request('POST', `/v2/${name}/blobs/uploads/?mount=${digestOf('unknown')}${from}`)
    expect([response.status, response.headers.get('location')]).toEqual([202, expect.stringContaining('/blobs/uploads/')])
  })
  it('a manifest goes in by tag and by digest', async () => {
    await pushParts(name)
    const digest = digestOf(manifestOf())
    for (const reference of ['v1', digest]) {
      const response = await put(name, reference, manifestOf())
      expect([response.status, response.headers.get('location'), response.headers.get('docker-content-digest')]).toEqual([201, `/v2/${name}/manifests/${digest}`, digest])
    }
  })
  it('a manifest with another digest is refused', async () => {
    expect((await put(name, digestOf('other'), manifestOf())).status).toBe(400)
  })
  it('a manifest that names what is not there is refused', async () => {
    expect((await put(name, 'v1', manifestOf({ layers: [descriptor('nowhere')] }))).status).toBe(404)
  })
  it('a manifest may have no layers', async () => {
    expect((await put(name, 'empty', manifestOf({ layers: [] }))).status).toBe(201)
  })
  it('a manifest may be that of an artifact', async () => {
    const artifact = manifestOf({ artifactType: 'application/x-thing', config: descriptor(config, emptyType), layers: [descriptor(config, emptyType)] })
    expect((await put(name, 'artifact', artifact)).status).toBe(201)
  })
  it('an index goes in beside its manifests', async () => {
    const index = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [descriptor(manifestOf(), mediaTypes.ociManifest)] })
    expect((await put(name, 'all', index, mediaTypes.ociIndex)).status).toBe(201)
    expect((await harness.request('HEAD', `/v2/${name}/manifests/all`)).headers.get('content-type')).toBe(mediaTypes.ociIndex)
  })
  it('a manifest with a subject says that it was understood, also before its subject is there', async () => {
    const subject = descriptor('a manifest to come', mediaTypes.ociManifest)
    const response = await put(name, 'signature', manifestOf({ subject }))
    expect([response.status, response.headers.get('oci-subject')]).toEqual([201, subject.digest])
  })
  it('a manifest of 4 MiB is taken, and a larger one is 413', async () => {
    const padded = (size: number) => manifestOf().replace(/}$/, `${' '.repeat(size - manifestOf().length)}}`)
    expect((await put(name, 'large', padded(4 << 20))).status).toBe(201)
    expect((await put(name, 'larger', padded((4 << 20) + 1))).status).toBe(413)
  })
})

describe('content discovery', () => {
  const name = 'conformance/discovery'
  const subject = { ...descriptor(manifestOf(), mediaTypes.ociManifest) }
  const signature = manifestOf({ subject, artifactType: 'application/x-signature', annotations: { by: 'me' } })
  const plain = manifestOf({ subject })
  const index = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [], subject, artifactType: 'application/x-index' })
  beforeAll(async () => {
    await pushParts(name)
    for (const tag of ['b', 'd', 'a', 'c']) await put(name, tag, manifestOf())
    await put(name, digestOf(signature), signature)
    await put(name, digestOf(plain), plain)
    await put(name, digestOf(index), index, mediaTypes.ociIndex)
  })
  const tags = async (query: string) => ((await (await harness.request('GET', `/v2/${name}/tags/list${query}`)).json()) as { tags: string[] }).tags
  const referrers = async (digest: string, query = '') => {
    const response = await harness.request('GET', `/v2/${name}/referrers/${digest}${query}`)
    return { status: response.status, type: response.headers.get('content-type'), filters: response.headers.get('oci-filters-applied'), index: await response.json() }
  }

  it('tags are listed in lexical order', async () => {
    expect(await (await harness.request('GET', `/v2/${name}/tags/list`)).json()).toEqual({ name, tags: ['a', 'b', 'c', 'd'] })
  })
  it('tags are listed up to n', async () => {
    expect(await tags('?n=2')).toEqual(['a', 'b'])
  })
  it('no tags are listed for n=0', async () => {
    expect(await tags('?n=0')).toEqual([])
  })
  it('tags are listed behind the last', async () => {
    expect([await tags('?last=b'), await tags('?n=1&last=b'), await tags('?last=bb')]).toEqual([['c', 'd'], ['c'], ['c', 'd']])
  })
  it('a list that goes on links to the rest', async () => {
    const found: string[] = []
    for (let path: string | undefined = `/v2/${name}/tags/list?n=3`; path; ) {
      const response: Response = await harness.request('GET', path)
      found.push(...((await response.json()) as { tags: string[] }).tags)
      path = /^<(.+)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1]
    }
    expect(found).toEqual(['a', 'b', 'c', 'd'])
  })
  it('a repository that is not there has no list', async () => {
    expect(await harness.refusal('GET', '/v2/conformance/nowhere/tags/list')).toBe('404 NAME_UNKNOWN')
  })
  it('referrers are an index of descriptors with artifact types and annotations', async () => {
    const answer = await referrers(subject.digest)
    expect([answer.status, answer.type, answer.filters]).toEqual([200, mediaTypes.ociIndex, null])
    expect(answer.index).toMatchObject({ schemaVersion: 2, mediaType: mediaTypes.ociIndex })
    expect((answer.index as { manifests: { digest: string }[] }).manifests.toSorted((a, b) => (a.digest < b.digest ? -1 : 1))).toEqual(
      [
        { ...descriptor(signature, mediaTypes.ociManifest), artifactType: 'application/x-signature', annotations: { by: 'me' } },
        // Without a type of its own, a manifest has that of its config.
        { ...descriptor(plain, mediaTypes.ociManifest), artifactType: mediaTypes.ociConfig },
        { ...descriptor(index, mediaTypes.ociIndex), artifactType: 'application/x-index' },
      ].toSorted((a, b) => (a.digest < b.digest ? -1 : 1)),
    )
  })
  it('referrers are filtered by artifact type, and the answer says so', async () => {
    const answer = await referrers(subject.digest, '?artifactType=application/x-signature')
    expect([answer.filters, (answer.index as { manifests: object[] }).manifests]).toEqual(['artifactType', [expect.objectContaining({ digest: digestOf(signature) })]])
  })
  it('what nobody refers to has an empty index', async () => {
    expect(await referrers(digestOf('nowhere'))).toMatchObject({ status: 200, index: { manifests: [] } })
  })
  it('what is no digest has no referrers', async () => {
    expect(await harness.refusal('GET', `/v2/${name}/referrers/latest`)).toBe('400 DIGEST_INVALID')
  })
})

describe('content management', () => {
  const name = 'conformance/management'
  beforeAll(async () => {
    await pushParts(name)
    for (const tag of ['v1', 'v2']) await put(name, tag, manifestOf())
  })

  it('a tag is deleted alone', async () => {
    expect([await status('DELETE', `/v2/${name}/manifests/v1`), await status('GET', `/v2/${name}/manifests/v1`), await status('GET', `/v2/${name}/manifests/v2`)]).toEqual([202, 404, 200])
  })
  it('a manifest is deleted, with its tags', async () => {
    const path = `/v2/${name}/manifests/${digestOf(manifestOf())}`
    expect([await status('DELETE', path), await status('GET', path), await status('GET', `/v2/${name}/manifests/v2`), await status('DELETE', path)]).toEqual([202, 404, 404, 404])
  })
  it('a blob is deleted', async () => {
    const path = `/v2/${name}/blobs/${digestOf(layer)}`
    expect([await status('DELETE', path), await status('GET', path), await status('DELETE', path)]).toEqual([202, 404, 404])
  })
})
