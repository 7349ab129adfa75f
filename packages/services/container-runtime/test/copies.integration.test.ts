import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { tarOf } from '@berth/layer-tar'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { collect, copies, list, namesIn, plain, stream } from './archives.ts'
import { type RealFiles, realFiles } from './real-files.ts'

const never = new AbortController().signal

let world: RealFiles
beforeAll(async () => {
  world = await realFiles()
})
afterEach(() => world.clear())
afterAll(() => world[Symbol.asyncDispose]())

const containers = () => world.engine.runtime.containers

const { get, put, read } = copies(containers)

describe.each(['stopped', 'running'] as const)('a %s container', { timeout: 120_000 }, (state) => {
  const make = async (options: Parameters<RealFiles['container']>[0] = {}) => {
    const id = await world.container(options)
    if (state === 'running') await containers().start(id)
    return id
  }

  test('gives what it was given', async () => {
    const id = await make()
    await put(id, '/', [{ name: 'd/', mode: 0o750 }, { name: 'd/f', content: 'hello', uid: 5, gid: 6, mode: 0o4711 }, { name: 'd/l', type: 'symlink', linkname: '/etc/passwd' }])
    expect(list(await get(id, '/d'))).toEqual(['drwxr-x--- 0/0 0 d/', '-rws--x--x 5/6 5 d/f', 'lrwxrwxrwx 0/0 0 d/l -> /etc/passwd'])
    expect(readFileSync(join(world.upper(id), 'd/f'), 'utf8')).toBe('hello')
    expect(world.engine.events.map(({ action }) => action).slice(-2)).toEqual(['extract-to-dir', 'archive-path'])
  })

  test('tells what a path is, as Docker does', async () => {
    const id = await make()
    await put(id, '/', [
      { name: 'd/', mode: 0o1777 },
      { name: 'd/f', content: 'hey', mode: 0o6755, mtime: 1_700_000_000_000_000_001n },
      { name: 'd/pipe', type: 'fifo', mode: 0o644 },
      { name: 'd/null', type: 'character-device', devmajor: 1, devminor: 3, mode: 0o666 },
      { name: 'd/disk', type: 'block-device', devmajor: 7, devminor: 0, mode: 0o600 },
      { name: 'out', type: 'symlink', linkname: '../../../d/f' },
      { name: 'dangling', type: 'symlink', linkname: 'no/where' },
      { name: 'dir', type: 'symlink', linkname: '/d' },
      { name: 'round', type: 'symlink', linkname: 'round' },
    ])
    const stat = (path: string) => containers().statPath(id, path)
    expect(await stat('/d/f')).toEqual({ name: 'f', size: 3, mode: 0o755 + 2 ** 23 + 2 ** 22, mtime: '2023-11-14T22:13:20.000000001Z', linkTarget: '' })
    expect(await stat('../../d/./f')).toMatchObject({ name: 'f', size: 3 })
    expect(await stat('d')).toMatchObject({ name: 'd', mode: 0o777 + 2 ** 31 + 2 ** 20, linkTarget: '' })
    expect(await stat('/d/pipe')).toMatchObject({ mode: 0o644 + 2 ** 25 })
    expect(await stat('/d/null')).toMatchObject({ mode: 0o666 + 2 ** 26 + 2 ** 21 })
    expect(await stat('/d/disk')).toMatchObject({ mode: 0o600 + 2 ** 26 })
    expect(await stat('/')).toMatchObject({ name: '/', mode: 0o755 + 2 ** 31 })
    expect(await stat('/d/..')).toMatchObject({ name: '/' })
    expect(await stat('/out')).toMatchObject({ name: 'out', mode: 0o777 + 2 ** 27, linkTarget: '/d/f' })
    expect(await stat('/dangling')).toMatchObject({ linkTarget: '/no/where' })
    expect(await stat('/dir')).toMatchObject({ name: 'dir', mode: 0o777 + 2 ** 27, linkTarget: '/d' })
    expect(await stat('/dir/')).toMatchObject({ name: 'dir', mode: 0o777 + 2 ** 31 + 2 ** 20, linkTarget: '' })
    expect(await stat('/dir/.')).toMatchObject({ name: '.', mode: 0o777 + 2 ** 31 + 2 ** 20 })
    expect(await stat('/dir/f')).toMatchObject({ name: 'f', size: 3 })
    await expect(stat('/round')).rejects.toMatchObject({ kind: 'invalid-argument' })
    await expect(stat('/round/')).rejects.toMatchObject({ kind: 'invalid-argument' })
    await expect(stat('/d/f/')).rejects.toMatchObject({ kind: 'invalid-argument' })
    await expect(stat(`/${'x'.repeat(5000)}`)).rejects.toMatchObject({ kind: 'invalid-argument' })
    for (const attempt of [() => stat('/x'), () => get(id, '/x'), () => put(id, '/x', [])]) {
      await expect(attempt()).rejects.toMatchObject({ kind: 'not-found', message: `Could not find the file /x in container ${id}` })
    }
    await expect(put(id, '/dangling', [])).rejects.toMatchObject({ kind: 'not-found', message: `Could not find the file /dangling in container ${id}` })
  })

  test('names what it gives as Docker does', async () => {
    const id = await make()
    await put(id, '/', [{ name: 'd/' }, { name: 'd/a', content: 'a' }, { name: 'd/b', type: 'hardlink', linkname: 'd/a' }, { name: 'dir', type: 'symlink', linkname: '/d' }])
    const names = async (path: string) => namesIn(await get(id, path))
    expect(await names('/d')).toEqual(['d/', 'd/a', 'd/b link to d/a'])
    expect(await names('/d/')).toEqual(['d/', 'd/a', 'd/b link to d/a'])
    expect(await names('/d/.')).toEqual(['./', './a', './b link to ./a'])
    expect(await names('d/a')).toEqual(['a'])
    expect(await names('/dir')).toEqual(['dir -> /d'])
    expect(await names('/dir/')).toEqual(['dir/', 'dir/a', 'dir/b link to dir/a'])
    expect(await names('/dir/.')).toEqual(['./', './a', './b link to ./a'])
    expect(await names('/dir/a')).toEqual(['a'])
    expect((await names('/')).filter((name) => !name.startsWith('/bin/'))).toEqual(expect.arrayContaining(['/', '/d/', '/d/a', '/dir -> /d', '/etc/', '/etc/passwd']))
  })

  test('takes an archive as Docker does', async () => {
    const id = await make({ config: { User: 'web' } })
    await put(id, '/', [{ name: 'd/', mode: 0o700, uid: 7 }, { name: 'd/x/' }, { name: 'd/x/y', content: 'y' }, { name: 'dir', type: 'symlink', linkname: '/d' }])
    // The directory itself keeps what it has, and links are followed to it.
    await put(id, '/dir', [{ name: './', mode: 0o777 }, { name: './new', content: '1', uid: 33, gid: 34 }])
    expect(list(await get(id, '/d'))).toEqual(['drwx------ 7/0 0 d/', '-rw-r--r-- 33/34 1 d/new', 'drwxr-xr-x 0/0 0 d/x/', '-rw-r--r-- 0/0 1 d/x/y'])
    // With -a all belongs to the container's user.
    await put(id, '/d', [{ name: 'new', content: '2', uid: 33, gid: 34 }], { ...plain, copyUidGid: true })
    expect(list(await get(id, '/d/new'))).toEqual(['-rw-r--r-- 1000/1001 1 new'])
    const strict = { ...plain, noOverwriteDirNonDir: true }
    await expect(put(id, '/d', [{ name: 'x', content: '' }], strict)).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining('cannot overwrite directory') })
    await expect(put(id, '/d', [{ name: 'new/' }], strict)).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining('cannot overwrite non-directory') })
    expect(await read(id, '/d/x/y')).toBe('y')
    await put(id, '/d', [{ name: 'x', content: 'a file now' }, { name: 'new/' }, { name: 'new/z', content: 'z' }])
    expect(namesIn(await get(id, '/d'))).toEqual(['d/', 'd/new/', 'd/new/z', 'd/x'])
    await expect(put(id, '/d/x', [])).rejects.toMatchObject({ kind: 'invalid-argument', message: 'extraction point is not a directory' })
    await expect(put(id, '/d', [{ name: '../x', content: '' }])).rejects.toMatchObject({ kind: 'invalid-argument' })
    await expect(containers().writeArchive(id, '/d', stream(Buffer.alloc(2000, 'garbage')), plain)).rejects.toMatchObject({ kind: 'invalid-argument' })
    await expect(containers().writeArchive(id, '/d', stream(tarOf([{ name: 'long', content: 'x'.repeat(2000) }]).subarray(0, 1500)), plain)).rejects.toMatchObject({ kind: 'invalid-argument' })
    await containers().writeArchive(id, '/d', stream(), plain)
  })

  test('takes compressed archives', async () => {
    const id = await make()
    const content = randomBytes(3_000_000)
    for (const [name, compress] of [['gzip', gzipSync], ['zstd', zstdCompressSync]] as const) {
      const whole = compress(tarOf([{ name, content }]))
      const pieces = Array.from({ length: Math.ceil(whole.length / 70_000) }, (_, index) => whole.subarray(index * 70_000, (index + 1) * 70_000))
      await containers().writeArchive(id, '/tmp', stream(...pieces), plain)
      expect(readFileSync(join(world.upper(id), 'tmp', name)).equals(content)).toBe(true)
      const cut = containers().writeArchive(id, '/tmp', stream(whole.subarray(0, -100)), plain)
      await expect(cut).rejects.toMatchObject({ kind: 'invalid-argument' })
    }
    const flipped = gzipSync(tarOf([{ name: 'flipped', content }]))
    flipped[1_000_000]! ^= 0xff
    await expect(containers().writeArchive(id, '/tmp', stream(flipped), plain)).rejects.toMatchObject({ kind: 'invalid-argument' })
    const xz = Buffer.from('fd377a585a0000', 'hex')
    await expect(containers().writeArchive(id, '/tmp', stream(xz), plain)).rejects.toMatchObject({ kind: 'not-implemented' })
  })

  test('a member of an archive that bursts its parents refuses, and does not fail later ones', async () => {
    const id = await make()
    const bad = gzipSync(tarOf([{ name: '../../x', content: randomBytes(2_000_000) }]))
    await expect(containers().writeArchive(id, '/tmp', stream(bad), plain)).rejects.toMatchObject({ kind: 'invalid-argument' })
    await put(id, '/tmp', [{ name: 'good', content: 'good' }])
    expect(await read(id, '/tmp/good')).toBe('good')
  })

  test('a pipe neither blocks nor is written to', async () => {
    const id = await make()
    await put(id, '/', [{ name: 'd/' }, { name: 'd/pipe', type: 'fifo' }, { name: 'd/zero', type: 'character-device', devmajor: 1, devminor: 5 }])
    expect(list(await get(id, '/d'))).toEqual(['drwxr-xr-x 0/0 0 d/', 'prw-r--r-- 0/0 0 d/pipe', 'crw-r--r-- 0/0 1,5 d/zero'])
    expect(list(await get(id, '/d/pipe'))).toEqual(['prw-r--r-- 0/0 0 pipe'])
    await expect(put(id, '/d/pipe', [])).rejects.toMatchObject({ message: 'extraction point is not a directory' })
    await expect(put(id, '/d/zero', [])).rejects.toMatchObject({ message: 'extraction point is not a directory' })
    await put(id, '/d', [{ name: 'pipe', content: 'a file now' }, { name: 'zero', content: 'too' }])
    expect(await read(id, '/d/pipe')).toBe('a file now')
    expect(await read(id, '/d/zero')).toBe('too')
  })

  test('volumes are seen as the container sees them, GHSA-vp62-88p7-qqf5 included', async () => {
    const [writable, readonly, file] = ['writable', 'readonly', 'file'].map((name) => join(world.directory, name)) as [string, string, string]
    for (const volume of [writable, readonly]) mkdirSync(volume)
    writeFileSync(join(readonly, 'given'), 'given')
    writeFileSync(file, 'one file')
    world.volumes.push(
      { destination: '/deep/er', type: 'bind', source: writable, options: ['rbind', 'rw', 'rprivate'] },
      { destination: '/deep/er/fixed', type: 'bind', source: readonly, options: ['rbind', 'ro', 'rprivate'] },
    )
    mkdirSync(join(writable, 'fixed'))
    const id = await make()
    await put(id, '/deep/er', [{ name: 'in', content: 'volume' }])
    expect(readFileSync(join(writable, 'in'), 'utf8')).toBe('volume')
    expect(namesIn(await get(id, '/deep'))).toEqual(['deep/', 'deep/er/', 'deep/er/fixed/', 'deep/er/fixed/given', 'deep/er/in'])
    await expect(put(id, '/deep/er/fixed', [{ name: 'x' }])).rejects.toMatchObject({ kind: 'permission-denied', message: 'mounted volume is marked read-only' })
    await expect(put(id, '/deep/er', [{ name: 'fixed/x' }])).rejects.toThrow('EROFS')
    expect(readdirSync(readonly)).toEqual(['given'])
    expect(readdirSync(join(world.upper(id), 'deep/er'))).toEqual([])
    expect(namesIn(await collect(await containers().export(id, { signal: never }))).filter((name) => name.startsWith('deep'))).toEqual(['deep/', 'deep/er/'])
    expect(world.attached()).toBe(state === 'running' ? 1 : 0)
  })

  test('what was copied leads nowhere outside, and /proc is no way out', async () => {
    const outside = join(world.directory, 'outside')
    mkdirSync(outside)
    writeFileSync(join(outside, 'secret'), 'secret')
    const id = await make({ proc: 'host' })
    await put(id, '/', [
      { name: 'absolute', type: 'symlink', linkname: outside },
      { name: 'relative', type: 'symlink', linkname: `../../../../../..${outside}` },
      { name: 'root', type: 'symlink', linkname: `/proc/${process.pid}/root${outside}` },
      { name: 'self', type: 'symlink', linkname: `/proc/self/cwd` },
      { name: 'one', type: 'symlink', linkname: `/proc/1/root${outside}` },
    ])
    for (const link of ['absolute', 'relative', 'root', 'self', 'one']) {
      await expect(get(id, `/${link}/`)).rejects.toMatchObject({ kind: 'not-found' })
      await expect(get(id, `/${link}/secret`)).rejects.toMatchObject({ kind: 'not-found' })
      await expect(put(id, `/${link}`, [{ name: 'x' }])).rejects.toMatchObject({ kind: 'not-found' })
      await expect(put(id, '/', [{ name: `${link}/x` }])).rejects.toThrow('is refused')
    }
    await expect(containers().statPath(id, '/proc/1/root/etc')).rejects.toMatchObject({ kind: 'not-found' })
    expect(namesIn(await get(id, '/proc'))).toEqual(['proc/'])
    expect(readdirSync(outside)).toEqual(['secret'])
  })
})
