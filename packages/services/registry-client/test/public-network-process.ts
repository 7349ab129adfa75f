// Run in a network of its own, where addresses of the open network lead to this process: what public registries may lead to, as JSON.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { BerthError } from '@berth/core'
import { digestOf, parseReference } from '@berth/oci'
import { RegistryClient } from '../src/index.ts'

const content = Buffer.from('content')
const blob = { mediaType: 'application/octet-stream', digest: digestOf(content), size: content.length }
const { signal } = new AbortController()
const auth = { username: 'me', password: 'hunter2' }

async function serve(host: string, handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<{ address: string; asked: number }> {
  const state = { address: '', asked: 0 }
  const server = createServer((request, response) => {
    if (request.url !== '/v2/') state.asked++
    if (request.url === '/v2/' && !request.headers.authorization) return response.end()
    return handle(request, response)
  }).listen(0, host)
  await once(server, 'listening')
  state.address = `${host}:${(server.address() as AddressInfo).port}`
  return state
}

const tokens = (_: IncomingMessage, response: ServerResponse) => void response.writeHead(200).end('{"token":"t"}')
const inner = await serve('127.0.0.1', tokens)
const outer = await serve('203.0.113.2', tokens)
const missing = '{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}'

/** How it ends if a registry at one address leads to another. */
async function outcome(host: string, handle: (request: IncomingMessage, response: ServerResponse) => void, { urls, push = false, named = [] }: { urls?: string[]; push?: boolean; named?: string[] } = {}): Promise<string> {
  const registry = await serve(host, handle)
  await using client = new RegistryClient({ insecureRegistries: [registry.address, ...named], retryDelay: 1 })
  const reference = parseReference(`${registry.address}/app`)
  try {
    if (push) await client.putBlob(reference, blob, async function* () { yield content }, { signal })
    else await Array.fromAsync(client.blob(reference, { ...blob, urls }, { auth, signal }))
    return 'done'
  } catch (error) {
    return error instanceof BerthError ? error.code : String(error)
  }
}

const realm = (url: string) => (request: IncomingMessage, response: ServerResponse) =>
  request.headers.authorization ? response.end(content) : response.writeHead(401, { 'WWW-Authenticate': `Bearer realm="${url}"` }).end()
const redirect = (url: string) => (_: IncomingMessage, response: ServerResponse) => response.writeHead(307, { Location: url }).end()
const port = inner.address.split(':')[1]

const outcomes = {
  realmOuter: await outcome('203.0.113.1', realm(`http://${outer.address}/token`)),
  realmInner: await outcome('203.0.113.1', realm(`http://${inner.address}/token`)),
  realmLocalhost: await outcome('203.0.113.1', realm(`http://localhost:${port}/token`)),
  realmName: await outcome('203.0.113.1', realm(`http://inner.example:${port}/token`)),
  redirectInner: await outcome('203.0.113.1', redirect(`http://${inner.address}/`)),
  redirectName: await outcome('203.0.113.1', redirect(`http://inner.example:${port}/`)),
  foreignInner: await outcome('203.0.113.1', (_, response) => response.writeHead(404).end(missing), { urls: [`http://${inner.address}/layer`] }),
  uploadInner: await outcome('203.0.113.1', (_, response) => response.writeHead(202, { Location: `http://${inner.address}/upload` }).end(), { push: true }),
  askedInner: inner.asked,
  realmNamed: await outcome('203.0.113.1', realm(`http://inner.example:${port}/token`), { named: ['inner.example'] }),
  privateToInner: await outcome('10.1.2.3', realm(`http://${inner.address}/token`)),
  dial: await new RegistryClient({ hosts: () => ({ server: { url: 'http://198.51.100.2', dialTimeout: 20 } }) }).tags(parseReference('x.example/app'), { signal }).catch((error: Error) => error.message),
}
process.stdout.write(JSON.stringify(outcomes), () => process.exit())
