import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { parseReference } from '@berth/oci'
import { describe, expect, it } from 'vitest'
import type { InsecureHosts } from '../src/insecure-hosts.ts'
import { RegistryClient } from '../src/index.ts'
import { Proxies } from '../src/proxies.ts'
import { Transport } from '../src/transport.ts'
import { makeCertificates } from './certificates.ts'
import { at, call, content, newClient, read } from './harness.ts'

describe.skipIf(!existsSync('/usr/bin/openssl'))('a certificate that nobody knows (Debian package openssl)', () => {
  it('is taken from registries that may be insecure, and from no other', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'berth-certificate-'))
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
    await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=registry', '-days', '1', '-keyout', key, '-out', cert])
    const server = createServer({ key: await readFile(key), cert: await readFile(cert) }, (_, response) => response.end('{"tags":["v1"]}')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const { signal } = new AbortController()

    const client = new RegistryClient()
    expect(await client.tags(parseReference(`${address}/app`), { signal })).toEqual(['v1'])
    await client[Symbol.asyncDispose]()

    // Loopback always may be insecure; what would be asked of another host is asked of the transport.
    const strict = new Transport({ userAgent: 'test', answerTimeout: 5000, idleTimeout: 5000, proxies: new Proxies({}), insecure: { has: () => false } as unknown as InsecureHosts })
    await expect(strict.send(`https://${address}/v2/`, { method: 'GET', signal })).rejects.toMatchObject({
      kind: 'unavailable',
      message: `Get "https://${address}/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
    })
    strict[Symbol.dispose]()
    server.closeAllConnections()
    server.close()
    await rm(directory, { recursive: true })
  })
})

describe.skipIf(!existsSync('/usr/bin/openssl'))('our certificate (Debian package openssl)', () => {
  it('is shown to the host that it is for, and to none that it redirects to, whose authority still counts', async () => {
    await using certificates = await makeCertificates()
    const [ca, cert, key] = await Promise.all((['ca.pem', 'server.pem', 'server.key'] as const).map((name) => readFile(certificates.path(name), 'utf8')))
    const client = { cert: await readFile(certificates.path('client.pem'), 'utf8'), key: await readFile(certificates.path('client.key'), 'utf8') }
    const shown: unknown[] = []
    const listen = async (location?: () => string) => {
      const server = createServer({ key, cert, ca, requestCert: true, rejectUnauthorized: false }, (request, response) => {
        shown.push((request.socket as TLSSocket).getPeerCertificate().subject?.CN)
        if (location) response.writeHead(307, { Location: location() }).end()
        else response.end(content)
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }
    const storage = await listen()
    const addressOf = (server: typeof storage) => `127.0.0.1:${(server.address() as AddressInfo).port}`
    const registry = await listen(() => `https://${addressOf(storage)}/`)
    const reading = newClient({ hosts: () => ({ server: { url: `https://${addressOf(registry)}`, ca: [ca!], client: [client] } }) })
    expect((await read(reading, 'registry.example')).equals(content)).toBe(true)
    expect(shown).toEqual(['client', undefined])
    await expect(newClient({ hosts: () => ({ server: { url: `https://${addressOf(registry)}`, client: [client] } }) }).tags(at('registry.example', 'app'), call)).rejects.toMatchObject({ kind: 'unavailable' })
    for (const server of [storage, registry]) {
      server.closeAllConnections()
      server.close()
    }
  })
})
