import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addresses, type Daemon, eventually, TestHost } from '../src/index.ts'

const berthd = join(import.meta.dirname, '../../node_modules/.bin/berthd')

describe('berthd', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon({ flags: ['-H', 'tcp://127.0.0.1:2375', '--bip', '10.77.0.1/24'] })
  })
  afterAll(() => host[Symbol.asyncDispose]())

  it('keeps its directories and its socket to itself', () => {
    const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8)
    expect(mode(daemon.socket)).toBe('660')
    expect(['700', '710']).toContain(mode(daemon.dataRoot))
    // Roots of user namespaces pass through.
    expect(mode(daemon.execRoot)).toBe('711')
  })

  it('listens on every address it was given', async () => {
    expect(await host.run('docker', ['-H', 'tcp://127.0.0.1:2375', 'version', '--format', '{{.Server.APIVersion}}'])).toMatchObject({ stdout: '1.51\n' })
  })

  it('puts the default bridge where --bip says', async () => {
    expect(await daemon.ok('run', '--rm', 'busybox', 'ip', '-4', 'route')).toMatch(/default via 10\.77\.0\.1 dev eth0/)
  })

  it('refuses a second daemon on the same roots with a clear sentence', async () => {
    const { code, stderr } = await host.run(berthd, ['--data-root', daemon.dataRoot, '--exec-root', join(host.dir, 'other'), '-H', `unix://${host.dir}/other.sock`])
    expect(code).toBe(1)
    expect(stderr).toMatch(new RegExp(`^berthd: .*${daemon.dataRoot}.* is in use by another berthd.*\n$`))
  })

  it('speaks every version of the API it claims, and no other', async () => {
    const get = async (path: string): Promise<string> => (await host.run('sh', ['-c', `printf 'GET ${path} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' | busybox nc 127.0.0.1 2375`])).stdout
    for (const version of ['v1.24', 'v1.40', 'v1.51']) expect(await get(`/${version}/version`)).toMatch(/^HTTP\/1\.1 200 /)
    expect(await get('/v1.52/version')).toMatch(/^HTTP\/1\.1 400 [^]*client version 1\.52 is too new\. Maximum supported API version is 1\.51/)
    expect(await get('/v1.21/version')).toMatch(/^HTTP\/1\.1 400 [^]*client version 1\.21 is too old\. Minimum supported API version is 1\.24/)
    const ping = await get('/_ping')
    expect(ping).toMatch(/^HTTP\/1\.1 200 OK[^]*\r\n\r\nOK$/)
    for (const header of ['Api-Version: 1.51', 'Ostype: linux', 'Docker-Experimental: false', 'Cache-Control: no-cache']) expect(ping.toLowerCase()).toContain(header.toLowerCase())
    const { code } = await daemon.docker(['ps'], { env: { DOCKER_API_VERSION: '1.24' } })
    expect(code).toBe(0)
  })

  it.each([
    [['--nonsense'], /--nonsense/],
    [['--bip', 'not-an-address', '--data-root', '/run/x', '--exec-root', '/run/y', '-H', 'unix:///run/z.sock'], /not-an-address/],
    [['--config-file', '/missing'], /\/missing/],
  ])('ends with one sentence for %j', async (args, message) => {
    const { code, stderr } = await host.run(berthd, args)
    expect(code).not.toBe(0)
    expect(stderr).toMatch(message)
    expect(stderr).not.toMatch(/\n\s+at /)
  })

  it('runs beside another one on the same machine, and neither cuts off the other', async () => {
    const outside = await host.listen(addresses.outside, 9100, { outside: true })
    const isConnected = async (by: Daemon): Promise<boolean> => (await by.docker(['run', '--rm', 'busybox', 'nc', '-w', '3', addresses.outside, '9100'])).code === 0
    const other = await host.startDaemon({ name: 'beside', flags: ['--bip', '10.79.0.1/24'] })
    const id = await daemon.ok('run', '-d', '-p', '8091:80', 'busybox', 'sh', '-c', 'mkdir /www; echo up > /www/index.html; exec httpd -f -h /www')
    expect([await isConnected(daemon), await isConnected(other)]).toEqual([true, true])
    await other.crash()
    await other.restart()
    expect([await isConnected(daemon), await isConnected(other)]).toEqual([true, true])
    await other[Symbol.asyncDispose]()
    expect(await isConnected(daemon)).toBe(true)
    expect((await host.fetch('http://127.0.0.1:8091/')).stdout).toBe('up\n')
    await daemon.ok('rm', '-f', id)
    outside.kill()
    await outside.done
  })

  it('takes a configuration file, ends in order on SIGTERM, and stops what runs', async () => {
    const config = join(host.dir, 'daemon.json')
    writeFileSync(config, JSON.stringify({ 'log-level': 'debug', 'live-restore': false, 'shutdown-timeout': 1 }))
    const other = await host.startDaemon({ name: 'configured', flags: ['--config-file', config, '--bip', '10.78.0.1/24'] })
    await other.ok('run', '-d', '--name', 'long', 'busybox', 'sleep', '300')
    const pid = await other.ok('inspect', '-f', '{{.State.Pid}}', 'long')
    expect(await other.stop()).toBe(0)
    expect((await host.run('kill', ['-0', pid])).code).not.toBe(0)
    await other.restart()
    expect(await other.ok('inspect', '-f', '{{.State.Status}}', 'long')).toBe('exited')
    expect(other.log).toMatch(/"level":"debug"/)
    await eventually(() => (host.leftovers().some((line) => line.startsWith('cgroups')) ? undefined : true))
    await other[Symbol.asyncDispose]()
  })
})
