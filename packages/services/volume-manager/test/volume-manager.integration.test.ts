import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EngineEvent } from '@berth/core'
import { readMountInfo } from '@berth/linux'
import type { VolumeDriver } from '@berth/volume-driver'
import { memoryVolumeDriver } from '@berth/volume-driver/memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { VolumeManager, type VolumeRequest } from '../src/index.ts'

const noFilters = new Map<string, string[]>()
const filter = (key: string, ...values: string[]) => new Map([[key, values]])

let root: string
let driver: VolumeDriver
let events: EngineEvent[]
let manager: VolumeManager

const open = () => new VolumeManager({ stateDir: join(root, 'state'), execDir: join(root, 'exec'), drivers: [driver], emit: (event) => events.push(event) })

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'volume-manager-'))
  driver = memoryVolumeDriver({ root: join(root, 'volumes') })
  events = []
  manager = open()
})
afterEach(async () => {
  await manager[Symbol.asyncDispose]()
  if (readMountInfo().some(({ mountPoint }) => mountPoint.startsWith(root))) throw new Error('a mount was left behind')
  rmSync(root, { recursive: true })
})

/** A root file system with these files, as mounts, and where it lies. */
function imageWith(files: Record<string, string>) {
  const source = mkdtempSync(join(root, 'image-'))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(source, path, '..'), { recursive: true })
    writeFileSync(join(source, path), content)
  }
  return { source, rootfs: [{ type: 'bind', source, options: ['bind', 'ro'] }] }
}

const reserve = (containerId: string, host: VolumeRequest['host'], { anonymous = [] as string[], rootfs = [] as VolumeRequest['rootfs'] } = {}) =>
  manager.reserve({ containerId, host, anonymous, rootfs })
const names = async (filters = noFilters) => (await manager.list(filters)).Volumes?.map(({ Name }) => Name)
const filesOf = async (name: string) => readdirSync((await manager.inspect(name)).Mountpoint)

describe('volumes', () => {
  it('are made once, found, and removed with their files', async () => {
    const volume = await manager.create({ Name: 'data', Labels: { a: 'b' } })
    expect(volume).toMatchObject({ Name: 'data', Driver: 'memory', Scope: 'local', Labels: { a: 'b' }, Options: {} })
    expect(await manager.create({ Name: 'data' })).toEqual(volume)
    expect(await manager.inspect('data')).toEqual(volume)
    await manager.remove('data', { force: false })
    expect(existsSync(volume.Mountpoint)).toBe(false)
    expect(events.map(({ action, id }) => `${action} ${id}`)).toEqual(['create data', 'destroy data'])
    await expect(manager.inspect('data')).rejects.toMatchObject({ kind: 'not-found', message: 'get data: no such volume' })
    await expect(manager.remove('data', { force: false })).rejects.toMatchObject({ kind: 'not-found' })
    await manager.remove('data', { force: true })
  })

  it('are named and labelled when nobody names them', async () => {
    const { Name, Labels } = await manager.create({})
    expect(Name).toMatch(/^[0-9a-f]{64}$/)
    expect(Labels).toEqual({ 'com.docker.volume.anonymous': '' })
  })

  it('are refused with an unknown driver or option, and nothing stays', async () => {
    await expect(manager.create({ Name: 'x', Driver: 'none' })).rejects.toMatchObject({ kind: 'not-found', message: expect.stringContaining('plugin "none" not found') as string })
    await expect(manager.create({ Name: 'x', DriverOpts: { nonsense: '1' } })).rejects.toMatchObject({ kind: 'invalid-argument' })
    expect(await names()).toEqual([])
  })

  it('are listed by filters', async () => {
    await manager.create({ Name: 'one', Labels: { a: 'b' } })
    await manager.create({ Name: 'two' })
    await reserve('c1', { Binds: ['two:/data'] })
    expect(await names(filter('name', 'o'))).toEqual(['one', 'two'])
    expect(await names(filter('name', 'tw'))).toEqual(['two'])
    expect(await names(filter('label', 'a=b'))).toEqual(['one'])
    expect(await names(filter('label!', 'a'))).toEqual(['two'])
    expect(await names(filter('dangling', 'true'))).toEqual(['one'])
    expect(await names(filter('dangling', 'false'))).toEqual(['two'])
    expect(await names(filter('driver', 'other'))).toEqual([])
    await expect(manager.list(filter('nonsense', 'x'))).rejects.toMatchObject({ kind: 'invalid-argument', message: "invalid filter 'nonsense'" })
  })

  it('are pruned when nobody uses them: the anonymous, or all', async () => {
    await manager.create({ Name: 'kept' })
    const { Name, Mountpoint } = await manager.create({})
    writeFileSync(join(Mountpoint, 'file'), '12345')
    await reserve('c1', {}, { anonymous: ['/data'] })
    expect(await manager.prune(noFilters)).toEqual({ VolumesDeleted: [Name], SpaceReclaimed: 5 })
    expect(await manager.prune(filter('all', 'true'))).toMatchObject({ VolumesDeleted: ['kept'] })
    expect(await names()).toHaveLength(1)
  })

  it('tell their size and users', async () => {
    const { Mountpoint } = await manager.create({ Name: 'data' })
    writeFileSync(join(Mountpoint, 'file'), '12345')
    await reserve('c1', { Binds: ['data:/data'] })
    expect(await manager.usage()).toMatchObject([{ Name: 'data', UsageData: { Size: 5, RefCount: 1 } }])
  })
})

describe('a container', () => {
  it('has its mounts from reserve to release', async () => {
    const host = join(root, 'host')
    await reserve('c1', { Binds: ['data:/data:ro', `${host}:/host`], Tmpfs: { '/tmp': 'size=1m' } })
    // A missing source of a bind is made, as in Docker.
    expect(statSync(host).isDirectory()).toBe(true)
    expect(manager.mountPoints('c1')).toMatchObject([
      { Type: 'volume', Name: 'data', Destination: '/data', RW: false, Driver: 'memory', Source: join(root, 'volumes/data') },
      { Type: 'bind', Source: host, Destination: '/host', RW: true, Propagation: 'rprivate' },
      { Type: 'tmpfs', Destination: '/tmp' },
    ])
    expect(await manager.attach('c1')).toEqual([
      { destination: '/data', type: 'bind', source: join(root, 'volumes/data'), options: ['rbind', 'ro', 'rprivate'] },
      { destination: '/host', type: 'bind', source: host, options: ['rbind', 'rw', 'rprivate'] },
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'noexec', 'size=1m'] },
    ])
    await expect(manager.remove('data', { force: true })).rejects.toMatchObject({ kind: 'conflict', message: 'remove data: volume is in use - [c1]' })
    await manager.detach('c1')
    await manager.detach('c1')
    await expect(manager.remove('data', { force: false })).rejects.toMatchObject({ kind: 'conflict' })
    await manager.release('c1', { removeAnonymous: true })
    await manager.release('c1', { removeAnonymous: true })
    expect(manager.mountPoints('c1')).toEqual([])
    // A named volume outlives its users.
    await manager.remove('data', { force: false })
    expect(existsSync(host)).toBe(true)
  })

  it('leaves its anonymous volumes unless they are to go with it', async () => {
    await reserve('c1', {}, { anonymous: ['/a'] })
    await reserve('c2', {}, { anonymous: ['/a'] })
    await manager.release('c1', { removeAnonymous: false })
    expect(await names()).toHaveLength(2)
    await manager.release('c2', { removeAnonymous: true })
    expect(await names()).toHaveLength(1)
  })

  it('takes over the mounts of another, which keep its volumes alive', async () => {
    await reserve('c1', { Binds: ['data:/data'] }, { anonymous: ['/own'] })
    await reserve('c2', { VolumesFrom: ['c1:ro'] })
    const accesses = manager.mountPoints('c2').map(({ Destination, RW }) => [Destination, RW])
    expect(accesses).toEqual([['/data', false], ['/own', false]]) // prettier-ignore
    await manager.release('c1', { removeAnonymous: true })
    expect(await names()).toHaveLength(2)
    await expect(reserve('c3', { VolumesFrom: ['c2:wrong'] })).rejects.toMatchObject({ kind: 'invalid-argument' })
  })

  it('leaves nothing when one of its mounts cannot be had', async () => {
    const missing = { Type: 'bind' as const, Source: join(root, 'absent'), Target: '/b' }
    await expect(reserve('c1', { Binds: ['data:/a'], Mounts: [missing] }, { anonymous: ['/c'] })).rejects.toMatchObject({
      kind: 'invalid-argument',
      message: `invalid mount config for type "bind": bind source path does not exist: ${join(root, 'absent')}`,
    })
    expect(await names()).toEqual([])
    expect(manager.mountPoints('c1')).toEqual([])
  })

  it('is known after a crash, and what it had mounted is let go when it has ended', async () => {
    await reserve('c1', { Binds: ['one:/data'] })
    await reserve('c2', { Binds: ['two:/data'] })
    await reserve('c3', {}, { anonymous: ['/x'] })
    for (const id of ['c1', 'c2']) await manager.attach(id)
    await manager[Symbol.asyncDispose]()
    manager = open()
    await manager.restore(new Set(['c1']))
    expect(manager.mountPoints('c2')).toMatchObject([{ Name: 'two' }])
    // The creation of c3 was cut off: nobody knows it.
    await manager.forgetAllBut(new Set(['c1', 'c2']))
    expect((await names())?.toSorted()).toEqual(['one', 'two'])
    // The driver refuses what is mounted.
    await expect(driver.remove('one')).rejects.toMatchObject({ kind: 'conflict' })
    await driver.remove('two')
  })
})

describe('a new volume', () => {
  it('is filled with what the image has at its place, with owners and modes', async () => {
    const { source, rootfs } = imageWith({ 'data/sub/file': 'from the image' })
    chownSync(join(source, 'data'), 5, 6)
    chmodSync(join(source, 'data'), 0o2770)
    await reserve('c1', { Binds: ['data:/data'] }, { rootfs })
    const { Mountpoint } = await manager.inspect('data')
    expect(readFileSync(join(Mountpoint, 'sub/file'), 'utf8')).toBe('from the image')
    const { uid, gid, mode } = statSync(Mountpoint)
    expect([uid, gid, mode & 0o7777]).toEqual([5, 6, 0o2770])
    expect(readdirSync(join(root, 'exec'))).toEqual([])
  })

  it('is left alone when it has files, or when that is asked for', async () => {
    writeFileSync(join((await manager.create({ Name: 'full' })).Mountpoint, 'mine'), 'kept')
    const { rootfs } = imageWith({ 'data/file': 'x', 'data2/file': 'x' })
    await reserve('c1', { Binds: ['full:/data', 'empty:/data2:nocopy'] }, { rootfs })
    expect(await filesOf('full')).toEqual(['mine'])
    expect(await filesOf('empty')).toEqual([])
  })

  it('gets nothing that links of an image point to outside of it', async () => {
    const secret = join(root, 'secret')
    mkdirSync(secret)
    writeFileSync(join(secret, 'key'), 'of the host')
    const { source, rootfs } = imageWith({ 'etc/file': 'x' })
    symlinkSync(secret, join(source, 'data'))
    symlinkSync(`../../../../..${secret}`, join(source, 'up'))
    await reserve('c1', { Binds: ['one:/data', 'two:/up'] }, { rootfs })
    expect(await filesOf('one')).toEqual([])
    expect(await filesOf('two')).toEqual([])
  })
})
