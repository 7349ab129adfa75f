import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, type DebianRegistry, type RunningCommand, TestHost, twoPlatformsTar } from '../src/index.ts'

const clients = ['docker', 'berth'] as const

describe('registries', () => {
  let host: TestHost
  let daemon: Daemon
  let open: DebianRegistry
  let locked: DebianRegistry
  let index: RunningCommand
  beforeAll(async () => {
    host = await TestHost.start()
    open = await host.startDebianRegistry()
    locked = await host.startDebianRegistry({ port: 5001, user: { name: 'me', password: 'se:cret' } })
    daemon = await host.startDaemon()
    index = host.spawn(process.execPath, [join(import.meta.dirname, '../fixtures/search-index.ts')])
    await index.saw(/ready/)
  })
  afterAll(async () => {
    index.kill()
    await index.done
    await host[Symbol.asyncDispose]()
  })

  const config = (): string => join(host.dir, 'docker/config.json')

  describe.each(clients)('%s', (client) => {
    const ok = (...args: string[]): Promise<string> => daemon.by(client, args)

    it('logs in, uses what it has kept, and logs out', async () => {
      const image = `${locked.address}/app:${client}`
      await daemon.ok('tag', 'busybox', image)
      const refused = await daemon[client](['push', image])
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/no basic auth credentials|unauthorized|authentication required/i)])
      const wrong = await daemon[client](['login', '-u', 'me', '--password-stdin', locked.address], { input: 'wrong' })
      expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringMatching(/unauthorized|401/i)])
      expect(wrong.stderr).not.toContain('wrong')
      expect(await daemon.by(client, ['login', '-u', 'me', '--password-stdin', locked.address], { input: 'se:cret\n' })).toMatch(/Login Succeeded/)
      expect(JSON.parse(readFileSync(config(), 'utf8'))).toMatchObject({ auths: { [locked.address]: { auth: Buffer.from('me:se:cret').toString('base64') } } })
      await ok('push', image)
      await daemon.ok('rmi', image)
      await ok('pull', image)
      // Each of the two reads what the other has kept.
      const other = client === 'docker' ? 'berth' : 'docker'
      await daemon.ok('rmi', image)
      await daemon.by(other, ['pull', '-q', image])
      expect(await ok('logout', locked.address)).toMatch(/Removing login credentials/)
      await daemon.ok('rmi', image)
      const after = await daemon[client](['pull', image])
      expect([after.code, after.stderr]).toEqual([1, expect.stringMatching(/pull access denied for .*, repository does not exist or may require 'docker login'/)])
      expect(daemon.log).not.toMatch(/se:cret|bWU6c2U6Y3JldA/)
      rmSync(config(), { force: true })
    })

    it('searches an index', async () => {
      expect(await ok('search', '--no-trunc', '127.0.0.1:5056/web')).toMatch(/^NAME +DESCRIPTION +STARS +OFFICIAL\s.*\n?127\.0\.0\.1:5056\/web +the web +12 +\[OK\]\n|web +the web +12 +\[OK\]/)
      expect(await ok('search', '--filter', 'stars=10', '--format', '{{.Name}}', '127.0.0.1:5056/web')).not.toMatch(/unloved/)
      expect((await daemon[client](['search', '--filter', 'nonsense=1', '127.0.0.1:5056/web'])).code).toBe(1)
      expect((await daemon[client](['search', '127.0.0.1:1/web'])).code).toBe(1)
    })

    it('shows manifests', async () => {
      const image = `${open.address}/shown:1`
      await daemon.ok('tag', 'busybox', image)
      await daemon.ok('push', '-q', image)
      const manifest = JSON.parse(await ok('manifest', 'inspect', ...(client === 'docker' ? ['--insecure'] : []), image)) as { schemaVersion: number; layers: unknown[] }
      expect([manifest.schemaVersion, manifest.layers.length]).toEqual([2, 1])
      expect((await daemon[client](['manifest', 'inspect', `${open.address}/none:1`])).code).toBe(1)
      await daemon.ok('rmi', image)
    })

    it('keeps, moves and shows an image of several platforms', async () => {
      const name = `${open.address}/multi:${client}`
      const file = join(host.dir, 'multi.tar')
      writeFileSync(file, twoPlatformsTar(name))
      expect(await ok('load', '-i', file)).toMatch(new RegExp(`Loaded image: ${name}`))
      expect(await ok('run', '--rm', name, 'echo', 'here')).toBe('here')
      expect(await ok('inspect', '--type', 'image', '-f', '{{.Architecture}}', name)).toBe('amd64')
      expect(await ok('image', 'inspect', '--platform', 'linux/arm64', '-f', '{{.Architecture}}', name)).toBe('arm64')
      expect(await ok('history', '--platform', 'linux/arm64', '--format', '{{.CreatedBy}}', name)).toBe('made for arm64')
      await ok('push', name)
      const pushed = JSON.parse(await daemon.berth(['manifest', 'inspect', name]).then(({ stdout }) => stdout)) as { manifests: { platform: { architecture: string } }[] }
      expect(pushed.manifests.map(({ platform }) => platform.architecture)).toEqual(['amd64', 'arm64'])
      await daemon.ok('rmi', name)

      // Only the other platform, which is what is pulled, listed, saved and loaded then.
      await ok('pull', '-q', '--platform', 'linux/arm64', name)
      expect(await ok('inspect', '--type', 'image', '-f', '{{.Architecture}}', name)).toBe('arm64')
      expect(await ok('images', '--format', '{{.Repository}}:{{.Tag}}', `${open.address}/multi`)).toBe(name)
      await ok('save', '-o', file, name)
      await daemon.ok('rmi', name)
      await ok('load', '-i', file)
      expect(await ok('inspect', '--type', 'image', '-f', '{{.Architecture}}', name)).toBe('arm64')
      await daemon.ok('rmi', name)

      // One of two is saved.
      await ok('load', '-i', (writeFileSync(file, twoPlatformsTar(name)), file))
      await ok('save', '--platform', 'linux/arm64', '-o', file, name)
      await daemon.ok('rmi', name)
      await ok('load', '-i', file)
      expect(await ok('inspect', '--type', 'image', '-f', '{{.Architecture}}', name)).toBe('arm64')
      await daemon.ok('rmi', name)
      expect((await daemon[client](['pull', '--platform', 'linux/s390x', name])).code).toBe(1)
    })
  })

  it('pushes to and pulls from a registry of our own', async () => {
    const served = host.spawn(join(process.cwd(), 'node_modules/.bin/berth'), ['registry', 'serve', '--listen', '127.0.0.1:5002', '--root', join(host.dir, 'registry-own')])
    await served.saw(/serving .* at 127\.0\.0\.1:5002/)
    await daemon.ok('tag', 'busybox', '127.0.0.1:5002/app:1')
    await daemon.ok('push', '127.0.0.1:5002/app:1')
    await daemon.ok('rmi', '127.0.0.1:5002/app:1')
    await daemon.ok('pull', '127.0.0.1:5002/app:1')
    await daemon.ok('rmi', '127.0.0.1:5002/app:1')
    served.kill()
    await served.done
    expect((await host.fetch('http://127.0.0.1:5002/v2/')).code).not.toBe(0)
  })
})
