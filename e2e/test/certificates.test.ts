import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addresses, type Daemon, makeAuthority, type RunningCommand, TestHost } from '../src/index.ts'

const clients = ['docker', 'berth'] as const

/** Not loopback, which may always be spoken to without a certificate that is known. */
const [private_, mutual, unknown] = [5003, 5004, 5005].map((port) => `${addresses.host}:${port}`) as [string, string, string]

describe('registries with certificates', () => {
  let host: TestHost
  let daemon: Daemon
  const served: RunningCommand[] = []
  const path = (name: string): string => join(host.dir, name)
  const certsDir = (address: string): string => join(path('certs.d'), address)
  /** Writes what a directory of `certs.d` has for a registry, in place of what it had. */
  const trust = (address: string, files: Record<string, string>): void => {
    rmSync(certsDir(address), { recursive: true, force: true })
    mkdirSync(certsDir(address), { recursive: true })
    for (const [name, content] of Object.entries(files)) writeFileSync(join(certsDir(address), name), content)
  }
  const serve = async (address: string, ...flags: string[]): Promise<void> => {
    const registry = host.spawn(join(process.cwd(), 'node_modules/.bin/berth'), ['registry', 'serve', '--listen', address, '--root', path(`registry-${address.split(':')[1]}`), ...flags])
    served.push(registry)
    await registry.saw(/serving/)
  }

  beforeAll(async () => {
    host = await TestHost.start()
    const authority = makeAuthority(path('authority'))
    const server = authority.issue('server', { address: addresses.host })
    const user = authority.issue('user', {})
    writeFileSync(path('users'), execFileSync('htpasswd', ['-niB', 'me'], { input: 'secret' }))
    await serve(private_, '--tls-cert', server.cert, '--tls-key', server.key, '--htpasswd', path('users'))
    await serve(unknown, '--tls-cert', server.cert, '--tls-key', server.key)
    writeFileSync(path('user.cert'), readFileSync(user.cert))
    writeFileSync(path('user.key'), readFileSync(user.key))
    await host.startDebianRegistry({ address: mutual, tls: { ...server, clientAuthority: authority.cert } })
    daemon = await host.startDaemon({ flags: ['--certs-dir', path('certs.d'), '--insecure-registry', unknown] })
    writeFileSync(path('ca.crt'), readFileSync(authority.cert))
  })
  afterAll(async () => {
    for (const registry of served) {
      registry.kill()
      await registry.done
    }
    await host[Symbol.asyncDispose]()
  })

  describe.each(clients)('%s', (client) => {
    it('logs in to, pushes to and pulls from one of a private authority, once that is in certs.d', async () => {
      const image = `${private_}/app:${client}`
      await daemon.ok('tag', 'busybox', image)
      trust(private_, {})
      const login = (): ReturnType<typeof daemon.docker> => daemon[client](['login', '-u', 'me', '--password-stdin', private_], { input: 'secret' })
      for (const refused of [await login(), await daemon[client](['push', image]), await daemon[client](['pull', image])]) {
        expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/certificate/)])
      }
      trust(private_, { 'ca.crt': readFileSync(path('ca.crt'), 'utf8') })
      expect((await login()).code).toBe(0)
      await daemon.by(client, ['push', image])
      await daemon.ok('rmi', image)
      await daemon.by(client, ['pull', image])
      await daemon.by(client, ['logout', private_])
      await daemon.ok('rmi', image)
      expect((await daemon[client](['pull', image])).code).toBe(1)
    })

    it('shows our certificate to one that wants it', async () => {
      const image = `${mutual}/app:${client}`
      await daemon.ok('tag', 'busybox', image)
      const ca = readFileSync(path('ca.crt'), 'utf8')
      trust(mutual, { 'ca.crt': ca })
      expect((await daemon[client](['push', image])).code).toBe(1)
      trust(mutual, { 'ca.crt': ca, 'client.cert': readFileSync(path('user.cert'), 'utf8'), 'client.key': readFileSync(path('user.key'), 'utf8') })
      await daemon.by(client, ['push', image])
      await daemon.ok('rmi', image)
      await daemon.by(client, ['pull', '-q', image])
      await daemon.ok('rmi', image)
    })

    it('takes any certificate of one that may be insecure', async () => {
      const image = `${unknown}/app:${client}`
      await daemon.ok('tag', 'busybox', image)
      await daemon.by(client, ['push', image])
      await daemon.ok('rmi', image)
      expect(await daemon.by(client, ['pull', '-q', image])).toBe(image)
      await daemon.ok('rmi', image)
    })
  })

  it('takes the authorities of the machine', async () => {
    const image = `${private_}/app:machine`
    trust(private_, {})
    await daemon.ok('tag', 'busybox', image)
    const bundle = '/etc/ssl/certs/ca-certificates.crt'
    await host.sh(`mount --bind ${path('ca.crt')} ${bundle}`)
    try {
      await daemon.stop()
      await daemon.restart()
      const { stderr } = await daemon.docker(['push', image])
      expect(stderr).toMatch(/unauthorized|no basic auth credentials/)
    } finally {
      await host.sh(`umount ${bundle}`)
    }
    await daemon.ok('rmi', image)
  })

  it('names the file of certs.d that is not one of certificates', async () => {
    trust(mutual, { 'ca.crt': 'nonsense' })
    const { code, stderr } = await daemon.docker(['pull', `${mutual}/app:1`])
    expect([code, stderr]).toEqual([1, expect.stringContaining(join(certsDir(mutual), 'ca.crt'))])
  })
})
