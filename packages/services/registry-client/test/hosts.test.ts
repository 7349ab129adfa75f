import type { ServerResponse } from 'node:http'
import { digestOf, mediaTypes, parseReference } from '@berth/oci'
import { describe, expect, it } from 'vitest'
import type { RegistryHosts } from '../src/index.ts'
import { auth, basic, blob, call, content, manifest, newClient } from './harness.ts'
import { serve } from './http-server.ts'

const sendManifest = (response: ServerResponse) => response.writeHead(200, { 'Content-Type': mediaTypes.ociManifest }).end(manifest)
const reference = parseReference('registry.example/team/app:v1')
const byDigest = parseReference(`registry.example/team/app@${digestOf(manifest)}`)
const clientFor = (hosts: RegistryHosts) => newClient({ hosts: (domain) => (domain === 'registry.example' ? hosts : undefined) })

describe('the hosts of a registry', () => {
  it('are asked at their path prefix, as their path stands, or at /v2', async () => {
    await using server = await serve((_, response) => sendManifest(response))
    for (const [path, override] of [['', false], ['/v2/', false], ['/prefix', false], ['/prefix/v2', false], ['/api/', true]] as const) {
      await clientFor({ server: { url: `http://${server.address}${path}`, overridePath: override } }).manifest(reference, call)
    }
    expect(server.asked).toEqual(['/v2', '/v2', '/prefix/v2', '/prefix/v2', '/api'].map((path) => `GET ${path}/team/app/manifests/v1`))
  })

  it('are asked in their order, mirrors with the name of the registry and without its credentials', async () => {
    const seen: (string | undefined)[] = []
    await using first = await serve((request, response) => {
      seen.push(request.headers.authorization)
      response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end()
    })
    await using second = await serve((request, response) => {
      seen.push(request.headers.authorization)
      response.writeHead(404).end()
    })
    await using own = await serve((request, response) => (request.headers.authorization === basic ? sendManifest(response) : response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end()))
    const client = clientFor({ mirrors: [{ url: `http://${first.address}` }, { url: `http://${second.address}` }], server: { url: `http://${own.address}` } })
    expect((await client.manifest(reference, { ...call, auth })).digest).toBe(digestOf(manifest))
    expect(seen).toEqual([undefined, undefined])
    expect(first.asked).toEqual(['GET /v2/team/app/manifests/v1?ns=registry.example'])
    expect(own.asked[0]).toBe('GET /v2/team/app/manifests/v1')
  })

  it('are asked for what they can', async () => {
    await using puller = await serve((_, response) => sendManifest(response))
    await using resolver = await serve((_, response) => sendManifest(response))
    await using own = await serve((_, response) => response.writeHead(201).end())
    const client = clientFor({
      mirrors: [{ url: `http://${puller.address}`, capabilities: ['pull'] }, { url: `http://${resolver.address}`, capabilities: ['resolve'] }],
      server: { url: `http://${own.address}`, capabilities: ['push'] },
    })
    await client.manifest(reference, call)
    await client.manifest(byDigest, call)
    await client.putManifest(reference, { bytes: Buffer.from(manifest), mediaType: mediaTypes.ociManifest }, call)
    expect([puller.asked.length, resolver.asked.length, own.asked]).toEqual([1, 1, ['PUT /v2/team/app/manifests/v1']])
  })

  it('may all be unable', async () => {
    await expect(clientFor({ server: { capabilities: ['pull'] } }).putManifest(reference, { bytes: Buffer.from(manifest), mediaType: mediaTypes.ociManifest }, call)).rejects.toMatchObject({
      code: 'NO_REGISTRY_HOST',
      message: 'no host is configured for registry.example that can push',
    })
    await expect(clientFor({ server: { capabilities: ['push'] } }).manifest(reference, call)).rejects.toMatchObject({ code: 'NO_REGISTRY_HOST' })
  })

  it('get the headers that are configured for them, which no redirect takes on', async () => {
    const seen: Record<string, unknown>[] = []
    await using elsewhere = await serve((request, response) => {
      seen.push(request.headers)
      response.end(content)
    })
    await using server = await serve((request, response) => {
      seen.push(request.headers)
      response.writeHead(307, { Location: `http://${elsewhere.address}/` }).end()
    })
    const client = clientFor({ server: { url: `http://${server.address}`, headers: { 'X-Key': 'hunter2', authorization: 'Bearer secret-token' } } })
    expect(digestOf(Buffer.concat(await Array.fromAsync(client.blob(reference, blob, { ...call, auth }))))).toBe(blob.digest)
    expect(seen.map((headers) => [headers['x-key'], headers['authorization']])).toEqual([['hunter2', 'Bearer secret-token'], [undefined, undefined]])
  })

  it('get the headers that are configured for them, where uploads elsewhere do not', async () => {
    const seen: (string | string[] | undefined)[] = []
    await using elsewhere = await serve((request, response) => {
      seen.push(request.headers['x-key'])
      request.resume().on('end', () => response.writeHead(201).end())
    })
    await using server = await serve((request, response) => {
      seen.push(request.headers['x-key'])
      response.writeHead(202, { Location: `http://${elsewhere.address}/upload` }).end()
    })
    await clientFor({ server: { url: `http://${server.address}`, headers: { 'x-key': 'hunter2' } } }).putBlob(reference, blob, async function* () { yield content }, call)
    expect(seen).toEqual(['hunter2', undefined])
  })

  it.each(['nothing', 'ftp://x', 'http://me:hunter2@x', 'http://x/?a=b'])('are no %s', async (url) => {
    await expect(clientFor({ server: { url } }).manifest(reference, call)).rejects.toMatchObject({ kind: 'invalid-argument' })
  })

  it('are looked up each time, so that what is changed counts', async () => {
    await using one = await serve((_, response) => sendManifest(response))
    await using two = await serve((_, response) => sendManifest(response))
    let address = one.address
    const client = newClient({ hosts: async () => ({ server: { url: `http://${address}` } }) })
    await client.manifest(reference, call)
    address = two.address
    await client.manifest(reference, call)
    expect([one.asked.length, two.asked.length]).toEqual([1, 1])
  })
})
