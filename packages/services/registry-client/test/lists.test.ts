import { digestOf, mediaTypes } from '@berth/oci'
import { describe, expect, it } from 'vitest'
import { at, auth, basic, call, config, manifest, newClient } from './harness.ts'
import { serve } from './http-server.ts'
import { serveWithTokens } from './token-registry.ts'

const next = (query: string) => ({ Link: `</v2/whatever?${query}>; rel="next"` })

describe('the catalogue', () => {
  it('is read to its end, with a token for it', async () => {
    await using server = await serveWithTokens((request, response) =>
      request.url!.includes('last=b') ? response.end('{"repositories":["c/d"]}') : response.writeHead(200, next('last=b&n=2')).end('{"repositories":["a","b"]}'))
    expect(await newClient().catalog(server.address, { ...call, auth })).toEqual(['a', 'b', 'c/d'])
    expect(server.tokens.map(({ scopes }) => scopes)).toEqual([['registry:catalog:*']])
  })

  it.each([
    [404, 'not-implemented'],
    [403, 'permission-denied'],
    [401, 'permission-denied'],
  ])('that is answered with %i is %s', async (status, kind) => {
    await using server = await serve((_, response) => response.writeHead(status).end())
    await expect(newClient().catalog(server.address, call)).rejects.toMatchObject({ kind })
  })
})

describe('referrers', () => {
  const subject = digestOf(manifest)
  const descriptor = (artifactType: string, text: string) => ({ mediaType: mediaTypes.ociManifest, digest: digestOf(text), size: 5, artifactType })
  const [sbom, signature] = [descriptor('application/sbom', 'a'), descriptor('application/signature', 'b')]
  const index = (...manifests: object[]) => JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests })

  it('are read to their end, and sifted where the registry does not', async () => {
    await using server = await serve((request, response) =>
      request.url!.includes('page=2') ? response.end(index(signature)) : response.writeHead(200, { ...next('page=2'), 'Content-Type': mediaTypes.ociIndex }).end(index(sbom)))
    const client = newClient()
    expect(await client.referrers(at(server.address, `app@${subject}`), call)).toEqual([sbom, signature])
    expect(await client.referrers(at(server.address, `app@${subject}`), { ...call, artifactType: 'application/signature' })).toEqual([signature])
    expect(server.asked.at(-2)).toBe(`GET /v2/app/referrers/${subject}?artifactType=application%2Fsignature`)
  })

  it('are found by the tag of their subject at registries that lack the API', async () => {
    await using server = await serve((request, response) =>
      request.url === `/v2/app/manifests/${subject.replace(':', '-')}` ? response.writeHead(200, { 'Content-Type': mediaTypes.ociIndex }).end(index(sbom, signature)) : response.writeHead(404).end())
    expect(await newClient().referrers(at(server.address, `app@${subject}`), { ...call, artifactType: 'application/sbom' })).toEqual([sbom])
  })

  it('are none where there is no such tag either', async () => {
    await using server = await serve((_, response) => response.writeHead(404).end())
    expect(await newClient().referrers(at(server.address, `app@${subject}`), call)).toEqual([])
  })

  it('of a tag are those of its manifest', async () => {
    await using server = await serve((request, response) => (request.url!.includes('/manifests/v1') ? response.writeHead(200, { 'Content-Type': mediaTypes.ociManifest }).end(manifest) : response.end(index(sbom))))
    expect(await newClient().referrers(at(server.address), call)).toEqual([sbom])
    expect(server.asked[1]).toBe(`GET /v2/app/referrers/${subject}`)
  })

  it('that are nonsense are told', async () => {
    await using server = await serve((_, response) => response.end('{"manifests":[{"digest":"x"}]}'))
    await expect(newClient().referrers(at(server.address, `app@${subject}`), call)).rejects.toMatchObject({ kind: 'unavailable', message: expect.stringContaining('did not answer with a list of referrers') })
  })
})

describe('a search', () => {
  const item = (name: string, more: object = {}) => ({ name, description: 'd', is_official: false, is_automated: false, star_count: 0, ...more })

  it('asks the registry that the term begins with', async () => {
    await using server = await serve((_, response) => response.end(JSON.stringify({ results: [item('team/app', { star_count: 3 }), { name: 'x\u001b[2J', star_count: 'many' }, null] })))
    expect(await newClient().search(`${server.address}/team/a p&p`, { ...call, limit: 7 })).toEqual([item('team/app', { star_count: 3 }), item('x [2J', { description: '' })])
    expect(server.asked).toEqual(['GET /v1/search?q=team%2Fa+p%26p&n=7'])
  })

  it.each(['busybox', 'library/busybox', 'docker.io/busybox', 'index.docker.io/library/busybox'])('of %s asks Docker Hub', async (term) => {
    await using server = await serve((_, response) => response.end('{"results":[]}'))
    const client = newClient({ hosts: (domain) => (domain === 'index.docker.io' ? { server: { url: `http://${server.address}` } } : undefined) })
    expect(await client.search(term, call)).toEqual([])
    expect(server.asked).toEqual(['GET /v1/search?q=busybox&n=25'])
  })

  it('is sifted by what is official, automated and liked', async () => {
    const all = [item('a', { is_official: true, star_count: 10 }), item('b', { is_automated: true, star_count: 5 }), item('c')]
    await using server = await serve((_, response) => response.end(JSON.stringify({ results: all })))
    const search = async (options: object) => (await newClient().search(`${server.address}/x`, { ...call, ...options })).map(({ name }) => name)
    expect([await search({ official: true }), await search({ official: false }), await search({ automated: true }), await search({ stars: 5 }), await search({ limit: 1 })]).toEqual([['a'], ['b', 'c'], ['b'], ['a', 'b'], ['a']])
  })

  it('shows credentials to who wants them', async () => {
    await using server = await serve((request, response) => (request.headers.authorization === basic ? response.end('{"results":null}') : response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end()))
    expect(await newClient().search(`${server.address}/x`, { ...call, auth })).toEqual([])
    await expect(newClient().search(`${server.address}/x`, call)).rejects.toMatchObject({ kind: 'unauthenticated', message: `Unexpected status code 401 from http://${server.address}/v1/search` })
  })

  it.each([
    ['x', { limit: 0 }, 'limit 0 is outside the range of [1, 100]'],
    ['x', { limit: 101 }, 'limit 101 is outside the range of [1, 100]'],
    ['https://registry/x', {}, 'repository name should not have a scheme'],
    ['registry:5000/', {}, 'is empty'],
  ])('of %s with %j is refused', async (term, options, message) => {
    await expect(newClient().search(term, { ...call, ...options })).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining(message) })
  })

  it('that is not answered with results is told', async () => {
    await using server = await serve((_, response) => response.end('<html>'))
    await expect(newClient().search(`${server.address}/x`, call)).rejects.toMatchObject({ kind: 'unavailable' })
  })
})

describe('an inspection', () => {
  const send = (body: string, type: string) => serve((request, response) => (request.url!.includes('/blobs/') ? response.end(config) : response.writeHead(200, { 'Content-Type': type }).end(body)))

  it('of an image takes its platform from its config', async () => {
    await using server = await send(manifest, mediaTypes.ociManifest)
    expect(await newClient().inspect(at(server.address), call)).toEqual({
      Descriptor: { mediaType: mediaTypes.ociManifest, digest: digestOf(manifest), size: manifest.length },
      Platforms: [{ architecture: 'arm', os: 'linux', variant: 'v7' }],
    })
  })

  it('of an index takes them from it', async () => {
    const platforms = [{ architecture: 'amd64', os: 'linux' }, { architecture: 'arm64', os: 'linux', variant: 'v8' }]
    const index = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [...platforms.map((platform) => ({ mediaType: mediaTypes.ociManifest, digest: digestOf('x'), size: 1, platform })), { mediaType: mediaTypes.ociManifest, digest: digestOf('y'), size: 1 }] })
    await using server = await send(index, mediaTypes.ociIndex)
    expect(await newClient().inspect(at(server.address), call)).toEqual({ Descriptor: { mediaType: mediaTypes.ociIndex, digest: digestOf(index), size: index.length }, Platforms: platforms })
  })
})

describe('a deletion', () => {
  it('is of the manifest, with a token for it', async () => {
    await using server = await serveWithTokens((_, response) => response.writeHead(202).end())
    await newClient().deleteManifest(at(server.address, `app@${digestOf(manifest)}`), { ...call, auth })
    expect(server.asked.at(-1)).toBe(`DELETE /v2/app/manifests/${digestOf(manifest)}`)
    expect(server.tokens.map(({ scopes }) => scopes)).toEqual([['repository:app:delete']])
  })

  it.each([
    [405, 'not-implemented'],
    [404, 'not-found'],
    [403, 'permission-denied'],
  ])('that is answered with %i is %s', async (status, kind) => {
    await using server = await serve((_, response) => response.writeHead(status).end())
    await expect(newClient().deleteManifest(at(server.address), call)).rejects.toMatchObject({ kind })
  })
})
