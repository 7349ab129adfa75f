import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { busyboxTar, type Daemon, type DebianRegistry, TestHost } from '../src/index.ts'

describe('images', () => {
  let host: TestHost
  let daemon: Daemon
  let registry: DebianRegistry
  beforeAll(async () => {
    host = await TestHost.start()
    registry = await host.startDebianRegistry()
    daemon = await host.startDaemon()
    await daemon.ok('tag', 'busybox', `${registry.address}/library/busybox:1`)
    await daemon.ok('push', `${registry.address}/library/busybox:1`)
  })
  afterAll(() => host[Symbol.asyncDispose]())

  it('says what it is: version and info', async () => {
    expect(JSON.parse(await daemon.ok('version', '--format', '{{json .Server}}'))).toMatchObject({ ApiVersion: '1.51', MinAPIVersion: '1.24', Os: 'linux' })
    expect(await daemon.ok('version')).toMatch(/Berth/)
    const info = JSON.parse(await daemon.ok('info', '--format', '{{json .}}')) as Record<string, unknown>
    expect(info['ServerErrors'] ?? []).toEqual([])
    expect(info).toMatchObject({ Driver: 'overlay', OSType: 'linux', DefaultRuntime: 'runc', CgroupVersion: '1', DockerRootDir: daemon.dataRoot })
    expect(info['NCPU']).toBeGreaterThan(0)
    expect(info['MemTotal']).toBeGreaterThan(1e8)
    expect(await daemon.ok('info')).toMatch(/Storage Driver: overlay/)
  })

  it('pulls from a registry with live progress', async () => {
    await daemon.ok('rmi', '-f', `${registry.address}/library/busybox:1`, 'busybox')
    expect(await daemon.ok('images', '-q')).toBe('')
    const out = await daemon.ok('pull', `${registry.address}/library/busybox:1`)
    expect(out).toMatch(/1: Pulling from library\/busybox\n[0-9a-f]{12}: Pulling fs layer/)
    expect(out).toMatch(/[0-9a-f]{12}: Download complete/)
    expect(out).toMatch(/[0-9a-f]{12}: Pull complete\nDigest: sha256:[0-9a-f]{64}\nStatus: Downloaded newer image for 127\.0\.0\.1:5000\/library\/busybox:1/)
    expect(await daemon.ok('pull', `${registry.address}/library/busybox:1`)).toMatch(/Status: Image is up to date for/)
    expect(await daemon.ok('run', '--rm', `${registry.address}/library/busybox:1`, 'echo', 'pulled')).toBe('pulled')
    await daemon.ok('tag', `${registry.address}/library/busybox:1`, 'busybox:latest')
  })

  it('pulls what run does not find', async () => {
    await daemon.ok('tag', 'busybox', `${registry.address}/asked:2`)
    await daemon.ok('push', '-q', `${registry.address}/asked:2`)
    await daemon.ok('rmi', `${registry.address}/asked:2`)
    const { stdout, stderr, code } = await daemon.docker(['run', '--rm', `${registry.address}/asked:2`, 'echo', 'here'])
    expect([code, stdout]).toEqual([0, 'here\n'])
    expect(stderr).toMatch(/Unable to find image '127\.0\.0\.1:5000\/asked:2' locally/)
  })

  it('lists, tags, inspects and shows the history', async () => {
    await daemon.ok('tag', 'busybox', 'mine:v1')
    expect((await daemon.ok('images', '--format', '{{.Repository}}:{{.Tag}}')).split('\n')).toEqual(expect.arrayContaining(['busybox:latest', 'mine:v1']))
    expect(await daemon.ok('images', '--filter', 'reference=mine', '--format', '{{.Tag}}')).toBe('v1')
    const [image] = JSON.parse(await daemon.ok('inspect', 'mine:v1')) as { Id: string; RepoTags: string[]; Config: { Cmd: string[] }; RootFS: { Layers: string[] }; Size: number }[]
    expect(image).toMatchObject({ Id: expect.stringMatching(/^sha256:/), RepoTags: expect.arrayContaining(['busybox:latest', 'mine:v1']), Config: { Cmd: ['sh'] } })
    expect(image?.RootFS.Layers).toHaveLength(1)
    expect(image?.Size).toBeGreaterThan(500_000)
    expect(await daemon.ok('history', '-q', 'mine:v1')).toMatch(/^[0-9a-f]{12}/)
    expect(await daemon.ok('rmi', 'mine:v1')).toBe('Untagged: mine:v1')
  })

  it('imports with changes', async () => {
    const id = await daemon.ok('import', '-c', 'ENV A=b', '-c', 'CMD ["env"]', '-m', 'by hand', busyboxTar(), 'imported')
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(await daemon.ok('run', '--rm', 'imported')).toMatch(/^A=b$/m)
    const out = await daemon.ok('rmi', 'imported')
    expect(out).toMatch(/Untagged: imported:latest\nDeleted: sha256:/)
  })

  it('refuses to remove what is in use', async () => {
    await daemon.ok('import', busyboxTar(), 'only:1')
    const id = await daemon.ok('run', '-d', 'only:1', 'sleep', '100')
    const { code, stderr } = await daemon.docker(['rmi', 'only:1'])
    expect(code).toBe(1)
    expect(stderr).toMatch(/conflict: unable to (remove repository reference|delete)/)
    await daemon.ok('rm', '-f', id)
  })

  it('refuses an archive that is not one, and leaves nothing', async () => {
    const before = await daemon.ok('images', '-aq')
    const path = join(host.dir, 'garbage.tar')
    writeFileSync(path, Buffer.alloc(100_000, 7))
    const { code, stderr } = await daemon.docker(['import', path, 'garbage'])
    expect(code).toBe(1)
    expect(stderr).not.toBe('')
    expect(await daemon.ok('images', '-aq')).toBe(before)
  })
})
