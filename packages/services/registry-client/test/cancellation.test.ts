import type { IncomingMessage, ServerResponse } from 'node:http'
import { expect, it, vi } from 'vitest'
import { at, auth, blob, call, content, newClient, openSockets } from './harness.ts'
import { serve } from './http-server.ts'
import type { RegistryClient } from '../src/index.ts'

type Operation = (client: RegistryClient, address: string, signal: AbortSignal) => Promise<unknown>

const download: Operation = async (client, address, signal) => Array.fromAsync(client.blob(at(address), blob, { auth, signal }))
const upload: Operation = (client, address, signal) => client.putBlob(at(address), blob, async function* () { for (;;) yield content }, { auth, signal })

const operations: [string, Operation, (request: IncomingMessage, response: ServerResponse) => unknown][] = [
  ['a manifest that does not come', (client, address, signal) => client.manifest(at(address), { signal }), () => {}],
  ['a download that stands still', download, (_, response) => response.writeHead(200, { 'Content-Length': content.length }).write(content.subarray(0, 1000))],
  ['a token that does not come', download, (request, response) => request.url!.startsWith('/token') || response.writeHead(401, { 'WWW-Authenticate': `Bearer realm="http://${request.headers.host}/token"` }).end()],
  ['a redirect that leads nowhere', download, (request, response) => request.url!.startsWith('/elsewhere') || response.writeHead(307, { Location: '/elsewhere' }).end()],
  ['a back-off', download, (_, response) => response.writeHead(503, { 'Retry-After': '20' }).end()],
  ['an upload that nobody reads', upload, (request, response) => request.method === 'POST' && response.writeHead(202, { Location: '/upload' }).end()],
  ['a search', (client, address, signal) => client.search(`${address}/term`, { signal }), () => {}],
  ['a login', (client, address, signal) => client.login({ ...auth, serveraddress: address }, { signal }), () => {}],
]

it.each(operations)('%s is left at once, and no connection stays', async (_, operation, handle) => {
  const abort = new AbortController()
  await using server = await serve((request, response) => void handle(request, response))
  const client = newClient()
  const running = operation(client, server.address, abort.signal)
  running.catch(() => {})
  await vi.waitFor(() => expect(server.asked.length).toBeGreaterThan(0))
  // Once more after all that can go on without a further answer.
  await new Promise((resolve) => setImmediate(resolve))
  abort.abort(new Error('enough'))
  await expect(running).rejects.toThrow('enough')
  await client[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
  await vi.waitFor(() => expect(openSockets()).toBe(0))
})

it('a download that its reader leaves is ended', async () => {
  const closed = Promise.withResolvers<void>()
  await using server = await serve((_, response) => {
    response.writeHead(200, { 'Content-Length': content.length }).write(content.subarray(0, 1000))
    response.once('close', () => closed.resolve())
  })
  for await (const _ of newClient().blob(at(server.address), blob, call)) break
  await expect(closed.promise).resolves.toBeUndefined()
})

it('what was aborted before is not begun', async () => {
  await using server = await serve((_, response) => response.end())
  await expect(newClient().manifest(at(server.address), { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before')
  expect(server.asked).toEqual([])
})
