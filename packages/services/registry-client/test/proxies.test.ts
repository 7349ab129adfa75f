import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { digestOf, mediaTypes } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { at, call, manifest, newClient, openSockets } from './harness.ts'
import { type HttpServer, serve } from './http-server.ts'

/** An HTTP proxy that leads every host to one server. */
async function startProxy(target: string, { password }: { password?: string } = {}) {
  const seen: string[] = []
  const [, port = ''] = target.split(':')
  const isAllowed = (authorization: string | undefined) => password === undefined || authorization === `Basic ${Buffer.from(`me:${password}`).toString('base64')}`
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    if (!isAllowed(request.headers['proxy-authorization'])) return response.writeHead(407).end()
    response.writeHead(200, { 'Content-Type': mediaTypes.ociManifest })
    return response.end(request.url!.endsWith('/v2/') ? '{}' : manifest)
  })
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => void sockets.add(socket))
  server.on('connect', (request, socket: Socket) => {
    seen.push(`CONNECT ${request.url}`)
    if (!isAllowed(request.headers['proxy-authorization'])) return socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
    const upstream = connect(Number(port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(upstream).pipe(socket)
    })
    for (const each of [upstream, socket]) each.on('error', () => {}).on('close', () => (upstream.destroy(), socket.destroy()))
    return undefined
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    seen,
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

describe('an HTTP proxy', () => {
  let registry: HttpServer
  beforeEach(async () => {
    registry = await serve((_, response) => response.writeHead(200, { 'Content-Type': mediaTypes.ociManifest }).end(manifest))
  })
  afterEach(() => registry[Symbol.asyncDispose]())

  it('is asked for http URLs', async () => {
    await using proxy = await startProxy(registry.address)
    const client = newClient({ httpProxy: `http://${proxy.address}`, hosts: () => ({ server: { url: 'http://registry.example:5000' } }) })
    expect((await client.manifest(at('registry.example:5000'), call)).digest).toBe(digestOf(manifest))
    expect(proxy.seen).toEqual(['GET http://registry.example:5000/v2/app/manifests/v1'])
    expect(registry.asked).toEqual([])
  })

  it('is asked by CONNECT for https URLs, and sees no more than the host', async () => {
    await using proxy = await startProxy(registry.address)
    const client = newClient({ httpsProxy: `http://${proxy.address}` })
    // The server behind it does not speak TLS: that it is tried is what is seen.
    await expect(client.manifest(at('registry.example'), call)).rejects.toMatchObject({ kind: 'unavailable' })
    expect(new Set(proxy.seen)).toEqual(new Set(['CONNECT registry.example:443']))
  })

  it('is passed by for hosts that are reached directly', async () => {
    await using proxy = await startProxy(registry.address)
    const options = { httpProxy: `http://${proxy.address}`, httpsProxy: `http://${proxy.address}` }
    expect((await newClient(options).manifest(at(registry.address), call)).digest).toBe(digestOf(manifest))
    expect(proxy.seen).toEqual([])
  })

  it.each(['http://registry.example', 'https://registry.example'])('that refuses is told for %s without its password', async (url) => {
    await using proxy = await startProxy(registry.address, { password: 'other' })
    const address = `http://me:hunter2@${proxy.address}`
    const client = newClient({ httpProxy: address, httpsProxy: address, hosts: () => ({ server: { url } }) })
    await expect(client.manifest(at('registry.example'), call)).rejects.toBeInstanceOf(Error)
    expect(proxy.seen.length).toBeGreaterThan(0)
  })

  it('takes a password', async () => {
    await using proxy = await startProxy(registry.address, { password: 'hunter2' })
    const client = newClient({ httpProxy: `http://me:hunter2@${proxy.address}`, hosts: () => ({ server: { url: 'http://registry.example' } }) })
    expect((await client.manifest(at('registry.example'), call)).digest).toBe(digestOf(manifest))
  })

  it('that is not there is told without its password', async () => {
    const client = newClient({ httpsProxy: 'http://me:hunter2@127.0.0.1:1' })
    await expect(client.manifest(at('registry.example'), call)).rejects.toMatchObject({ kind: 'unavailable' })
  })

  it('that is silent is left when the caller goes', async () => {
    const silent = createServer().on('connect', (_, socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const client = newClient({ httpsProxy: `http://127.0.0.1:${(silent.address() as AddressInfo).port}` })
    const abort = new AbortController()
    const asked = client.manifest(at('registry.example'), { signal: abort.signal })
    const [, socket] = (await once(silent, 'connect')) as [unknown, Socket]
    abort.abort(new Error('enough'))
    await expect(asked).rejects.toThrow('enough')
    await client[Symbol.asyncDispose]()
    socket.destroy()
    silent.close()
    await registry[Symbol.asyncDispose]()
    await vi.waitFor(() => expect(openSockets()).toBe(0))
  })
})
