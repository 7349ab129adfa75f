import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync, chownSync, existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { getXattr, listXattrs, mknod, setTimes, setXattr } from '@berth/linux'
import { digestOf } from '@berth/oci'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ExtractOptions, LayerWorkers, type TarMember, tarOf } from '../src/index.ts'

const workers = new LayerWorkers()
afterAll(() => workers[Symbol.asyncDispose]())

let scratch: string
let root: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'berth-layer-'))
  root = join(scratch, 'root')
  mkdirSync(root)
})
afterEach(() => rmSync(scratch, { recursive: true }))

const file = (content: Uint8Array, name = 'layer.tar') => {
  const path = join(scratch, name)
  writeFileSync(path, content)
  return path
}
const apply = (members: TarMember[] | Buffer, options: Partial<ExtractOptions> & { maxBytes?: number; diffId?: string; lowers?: string[] } = {}) =>
  workers.apply({ path: file(Buffer.isBuffer(members) ? members : tarOf(members)), compression: 'none', root, whiteouts: 'overlay', ...options })
const pack = async (directory: string, whiteouts: 'overlay' | 'none' = 'overlay') => {
  const chunks: Uint8Array[] = []
  for await (const chunk of workers.pack(directory, { whiteouts })) chunks.push(chunk)
  return Buffer.concat(chunks)
}
const at = (...names: string[]) => join(root, ...names)
const names = (directory = root) => (readdirSync(directory, { recursive: true }) as string[]).toSorted()

describe('unpacking', () => {
  it('makes every kind of entry with all that belongs to it', async () => {
    const mtime = 1_700_000_000_123_456_789n
    const tar = tarOf([
      { name: './', mode: 0o711, mtime },
      { name: 'dir/', mode: 0o2750, uid: 1, gid: 2, mtime },
      { name: 'dir/setuid', mode: 0o4755, uid: 1000, gid: 1001, content: 'x', mtime, xattrs: new Map([['user.note', Buffer.from([1, 0, 255])]]) },
      { name: 'dir/hard', type: 'hardlink', linkname: 'dir/setuid' },
      { name: 'dir/soft', type: 'symlink', linkname: '/nowhere', uid: 5, gid: 6, mtime },
      { name: 'null', type: 'character-device', devmajor: 1, devminor: 3, mode: 0o666 },
      { name: 'disk', type: 'block-device', devmajor: 8, devminor: 300, mode: 0o600 },
      { name: 'pipe', type: 'fifo', mode: 0o622 },
      { name: 'implied/below/file', content: 'y' },
      { name: '/absolute', content: 'z' },
      { name: 'a/../b/./c//d', content: 'w' },
    ])
    const progress: number[] = []
    const result = await workers.apply(
      { path: file(gzipSync(tar)), compression: 'gzip', root, whiteouts: 'overlay', diffId: digestOf(tar) },
      { onProgress: (bytes) => progress.push(bytes) },
    )
    expect(result).toEqual({ diffId: digestOf(tar), bytes: tar.length, entries: 11 })
    expect(progress.at(-1)).toBe(tar.length)
    const stat = (name: string) => lstatSync(at(name), { bigint: true })
    expect(stat('')).toMatchObject({ mode: 0o40711n, mtimeNs: mtime })
    expect(stat('dir')).toMatchObject({ mode: 0o42750n, uid: 1n, gid: 2n, mtimeNs: mtime })
    expect(stat('dir/setuid')).toMatchObject({ mode: 0o104755n, uid: 1000n, gid: 1001n, mtimeNs: mtime, nlink: 2n })
    expect(getXattr(at('dir/setuid'), 'user.note')).toEqual(Buffer.from([1, 0, 255]))
    expect(stat('dir/hard').ino).toBe(stat('dir/setuid').ino)
    expect(readlinkSync(at('dir/soft'))).toBe('/nowhere')
    expect(stat('dir/soft')).toMatchObject({ uid: 5n, gid: 6n, mtimeNs: mtime })
    expect(stat('null')).toMatchObject({ mode: 0o20666n, rdev: 0x103n })
    expect(stat('disk')).toMatchObject({ mode: 0o60600n, rdev: 0x10082cn })
    expect(stat('pipe')).toMatchObject({ mode: 0o10622n })
    expect(stat('implied')).toMatchObject({ mode: 0o40755n, uid: 0n })
    expect(readFileSync(at('implied/below/file'), 'utf8')).toBe('y')
    expect(readFileSync(at('absolute'), 'utf8')).toBe('z')
    expect(readFileSync(at('b/c/d'), 'utf8')).toBe('w')
  })

  it('sets capabilities, and no attribute that belongs to the host or to overlayfs', async () => {
    const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex')
    await apply([
      { name: 'ping', content: 'x', xattrs: new Map([['security.capability', capability], ['trusted.overlay.opaque', Buffer.from('y')], ['user.overlay.opaque', Buffer.from('y')]]) },
      { name: 'dir/', xattrs: new Map([['trusted.overlay.redirect', Buffer.from('/etc')], ['trusted.x', Buffer.from('y')], ['security.selinux', Buffer.from('x')]]) },
    ])
    expect(getXattr(at('ping'), 'security.capability')).toEqual(capability)
    expect(listXattrs(at('ping'))).toEqual(['security.capability'])
    expect(listXattrs(at('dir'))).toEqual([])
  })

  it('lets a later entry of a name replace an earlier one of any kind', async () => {
    await apply([
      { name: 'a/' }, { name: 'a/deep/file' }, { name: 'a', content: 'file now' },
      { name: 'b', content: '1' }, { name: 'b/' }, { name: 'b/in' },
      { name: 'c', content: 'first' }, { name: 'c', content: 'second' },
      { name: 'd/', mode: 0o700 }, { name: 'd/stays' }, { name: 'd/', mode: 0o755 },
      { name: 'e', type: 'symlink', linkname: 'c' }, { name: 'e', content: 'not through the link' },
    ])
    expect(names()).toEqual(['a', 'b', 'b/in', 'c', 'd', 'd/stays', 'e'])
    expect(readFileSync(at('a'), 'utf8')).toBe('file now')
    expect(readFileSync(at('c'), 'utf8')).toBe('second')
    expect(readFileSync(at('e'), 'utf8')).toBe('not through the link')
    expect(statSync(at('d')).mode & 0o777).toBe(0o755)
  })

  it('turns whiteouts into what overlayfs understands', async () => {
    await apply([
      { name: 'dir/' }, { name: 'dir/.wh.gone' }, { name: 'opaque/.wh..wh..opq' }, { name: 'opaque/.wh..wh.plnk' },
      { name: 'kept', content: 'new' }, { name: '.wh.kept' },
      { name: '.wh.again' }, { name: 'again/' }, { name: '.wh.implied' }, { name: 'implied/file' },
      { name: 'before/' }, { name: '.wh.before' },
    ])
    expect(lstatSync(at('dir/gone'))).toMatchObject({ rdev: 0 })
    expect(lstatSync(at('dir/gone')).isCharacterDevice()).toBe(true)
    for (const name of ['opaque', 'again', 'implied', 'before']) expect(getXattr(at(name), 'trusted.overlay.opaque').toString()).toBe('y')
    expect(readFileSync(at('kept'), 'utf8')).toBe('new')
    expect(readdirSync(at('opaque'))).toEqual([])
  })

  it('deletes what whiteouts name in a plain root, and spares what the same layer brought', async () => {
    for (const name of ['gone/deep', 'opaque/old', 'keep']) mkdirSync(at(name), { recursive: true })
    await apply([{ name: 'opaque/new' }, { name: '.wh.gone' }, { name: 'opaque/.wh..wh..opq' }, { name: '.wh.missing' }, { name: 'x' }, { name: '.wh.x' }], { whiteouts: 'plain' })
    expect(names()).toEqual(['keep', 'opaque', 'opaque/new', 'x'])
  })

  it('gives directories that no entry describes what they have in the layers below', async () => {
    const lower = join(scratch, 'lower')
    mkdirSync(join(lower, 'home/user'), { recursive: true })
    chownSync(join(lower, 'home/user'), 1000, 1000)
    chmodSync(join(lower, 'home/user'), 0o700)
    symlinkSync('/etc', join(lower, 'link'))
    const empty = join(scratch, 'empty')
    mkdirSync(empty)
    await apply([{ name: 'home/user/.profile' }, { name: 'link/file' }, { name: 'new/file' }], { lowers: [empty, lower] })
    expect(statSync(at('home/user'))).toMatchObject({ mode: 0o40700, uid: 1000, gid: 1000 })
    expect(statSync(at('new'))).toMatchObject({ mode: 0o40755, uid: 0 })
    expect(lstatSync(at('link')).isDirectory()).toBe(true)
  })

  it.each([
    ['gnu', 120],
    ['pax', 120],
    ['ustar', 60],
    ['v7', 20],
  ])("reads GNU tar's %s format, with names of %i characters", async (format, length) => {
    const [source, target, path] = [join(scratch, 'source'), join(scratch, 'target'), join(scratch, 'layer.tar')]
    const deep = join(source, 'd'.repeat(length), 'e'.repeat(length))
    mkdirSync(deep, { recursive: true })
    writeFileSync(join(deep, 'file'), 'deep')
    symlinkSync('l'.repeat(length), join(source, 'link'))
    mkdirSync(target)
    execFileSync('tar', [`--format=${format}`, '-C', source, '-cf', path, '.'])
    await workers.apply({ path, compression: 'none', root: target, whiteouts: 'overlay' })
    expect(names(target)).toEqual(names(source))
  })
})

describe('hostile layers', () => {
  const outside = () => {
    const secret = join(scratch, 'secret')
    writeFileSync(secret, 'secret', { mode: 0o600 })
    return secret
  }

  it('cannot write through a symlink that leads out (CVE-2019-14271, zip slip)', async () => {
    const secret = outside()
    await apply([
      { name: 'up', type: 'symlink', linkname: '../../../../../../../..' }, { name: `up${scratch}/secret`, content: 'overwritten' },
      { name: 'abs', type: 'symlink', linkname: scratch }, { name: 'chain', type: 'symlink', linkname: 'abs' }, { name: 'chain/new', content: 'x' },
    ]).catch(() => {})
    expect(readFileSync(secret, 'utf8')).toBe('secret')
    expect(readdirSync(scratch).toSorted()).toEqual(['layer.tar', 'root', 'secret'])
  })

  it('cannot reach a file of the host by a hard link', async () => {
    const secret = outside()
    await expect(apply([{ name: 'mine', type: 'hardlink', linkname: secret }])).rejects.toMatchObject({ kind: 'data-loss' })
    await expect(apply([{ name: 'mine', type: 'hardlink', linkname: '../secret' }])).rejects.toMatchObject({ kind: 'invalid-argument' })
    await apply([{ name: 'via', type: 'symlink', linkname: secret }, { name: 'mine', type: 'hardlink', linkname: 'via' }, { name: 'mine', content: 'x' }])
    expect(readFileSync(secret, 'utf8')).toBe('secret')
    expect(lstatSync(secret).nlink).toBe(1)
  })

  it.each(['../out', 'a/../../out', '/../out', '..'])('cannot name what lies outside: %s', async (name) => {
    await expect(apply([{ name, content: 'x' }])).rejects.toMatchObject({ kind: 'invalid-argument', code: 'LAYER_REFUSED' })
    expect(readdirSync(scratch).toSorted()).toEqual(['layer.tar', 'root'])
  })

  it.each(['.wh...', '.wh..', '.wh.', 'd/.wh...'])('cannot delete a parent by a whiteout: %s', async (name) => {
    for (const whiteouts of ['overlay', 'plain'] as const) {
      mkdirSync(at('d'), { recursive: true })
      await expect(apply([{ name }], { whiteouts })).rejects.toMatchObject({ kind: 'invalid-argument' })
      expect(existsSync(root)).toBe(true)
    }
  })

  it('cannot delete or change what is outside through a link in a plain root', async () => {
    const secret = outside()
    mkdirSync(join(scratch, 'victim'))
    symlinkSync(scratch, at('out'))
    await apply([{ name: 'out/.wh.secret' }, { name: 'out/.wh..wh..opq' }, { name: 'out/victim/', mode: 0 }], { whiteouts: 'plain' }).catch(() => {})
    expect(readFileSync(secret, 'utf8')).toBe('secret')
    expect(lstatSync(join(scratch, 'victim')).mode & 0o777).not.toBe(0)
  })

  it('cannot write into a device that it made', async () => {
    await apply([{ name: 'dev', type: 'character-device', devmajor: 1, devminor: 1 }, { name: 'dev', content: 'x' }, { name: 'pipe', type: 'fifo' }, { name: 'pipe', content: 'y' }])
    expect(lstatSync(at('dev')).isFile()).toBe(true)
    expect(lstatSync(at('pipe')).isFile()).toBe(true)
  })

  it('cannot replace the root', async () => {
    await expect(apply([{ name: './', type: 'symlink', linkname: '/etc' }])).rejects.toMatchObject({ kind: 'invalid-argument' })
  })

  it('cannot fill the disk', async () => {
    await expect(apply([{ name: 'zeros', content: Buffer.alloc(5_000_000) }], { maxBytes: 1_000_000 })).rejects.toMatchObject({ kind: 'resource-exhausted' })
    await expect(apply(Array.from({ length: 11 }, (_, index) => ({ name: String(index) })), { maxEntries: 10 })).rejects.toMatchObject({ kind: 'resource-exhausted' })
  })

  it('are refused when a name is longer than the system takes', async () => {
    await expect(apply([{ name: 'n'.repeat(256) }])).rejects.toMatchObject({ kind: 'invalid-argument' })
    await expect(apply([{ name: 'd/'.repeat(3000) }])).rejects.toMatchObject({ kind: 'invalid-argument' })
    await expect(apply([{ name: 'loop', type: 'symlink', linkname: 'loop' }, { name: 'loop/x' }])).rejects.toMatchObject({ kind: 'invalid-argument' })
    await expect(apply([{ name: 'file' }, { name: 'file/below' }])).rejects.toMatchObject({ kind: 'invalid-argument' })
  })

  it('of several zstd frames are unpacked whole, as zstd:chunked and pzstd write them', async () => {
    const tar = tarOf([{ name: 'one', content: '1'.repeat(5000) }, { name: 'two', content: '2' }]) // prettier-ignore
    const skipped = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7])
    const frames = Buffer.concat([skipped, zstdCompressSync(tar.subarray(0, 4000)), zstdCompressSync(tar.subarray(4000)), skipped])
    await workers.apply({ path: file(frames), diffId: digestOf(tar), root, whiteouts: 'overlay' })
    expect(names()).toEqual(['one', 'two'])
  })

  it('are told when they are not what they should be', async () => {
    const tar = tarOf([{ name: 'x' }])
    await expect(apply(tar, { diffId: digestOf('y') })).rejects.toMatchObject({ kind: 'data-loss' })
    await expect(apply(randomBytes(5000))).rejects.toMatchObject({ kind: 'data-loss' })
    for (const compression of ['gzip', 'zstd'] as const) {
      await expect(workers.apply({ path: file(randomBytes(5000)), compression, root, whiteouts: 'overlay' })).rejects.toMatchObject({ kind: 'data-loss' })
    }
    await expect(workers.apply({ path: join(scratch, 'missing'), compression: 'none', root, whiteouts: 'overlay' })).rejects.toMatchObject({ kind: 'not-found' })
  })
})

describe('packing', () => {
  it('tells a directory so that unpacking makes the same', async () => {
    const source = join(scratch, 'source')
    mkdirSync(join(source, 'dir/opaque'), { recursive: true })
    writeFileSync(join(source, 'dir/file'), randomBytes(700_001), { mode: 0o640 })
    linkSync(join(source, 'dir/file'), join(source, 'zz-hard'))
    symlinkSync('dir/file', join(source, 'soft'))
    writeFileSync(Buffer.concat([Buffer.from(`${source}/bytes-`), Buffer.from([0xff, 0xfe])]), 'not UTF-8')
    mknod(join(source, 'null'), 0o20666, { major: 1, minor: 3 })
    mknod(join(source, 'dir/gone'), 0o20000, { major: 0, minor: 0 })
    mknod(join(source, 'pipe'), 0o10644)
    mknod(join(source, 'socket'), 0o140644)
    setXattr(join(source, 'dir/opaque'), 'trusted.overlay.opaque', Buffer.from('y'))
    setXattr(join(source, 'dir/file'), 'user.note', Buffer.from([0, 1]))
    chmodSync(join(source, 'dir/file'), 0o4711)
    setTimes(join(source, 'dir'), 1n, 1_234_567_890_987_654_321n)

    const tar = await pack(source)
    await apply(tar)
    expect((await pack(root)).equals(tar)).toBe(true)
    expect(names()).toEqual(names(source).filter((name) => name !== 'socket'))
    expect(lstatSync(at('zz-hard')).ino).toBe(lstatSync(at('dir/file')).ino)
    expect(readFileSync(at('dir/file')).equals(readFileSync(join(source, 'dir/file')))).toBe(true)
    expect(lstatSync(at('dir'), { bigint: true }).mtimeNs).toBe(1_234_567_890_987_654_321n)

    const listed = execFileSync('tar', ['-tf', file(tar)], { encoding: 'utf8' }).split('\n').filter(Boolean)
    expect(listed).toEqual(['bytes-\\377\\376', 'dir/', 'dir/file', 'dir/.wh.gone', 'dir/opaque/', 'dir/opaque/.wh..wh..opq', 'null', 'pipe', 'soft', 'zz-hard'])
  })

  it('follows no link out of the root', async () => {
    symlinkSync(scratch, at('out'))
    expect(execFileSync('tar', ['-tf', file(await pack(root))], { encoding: 'utf8' })).toBe('out\n')
  })
})

describe('threads', () => {
  it('count and delete trees, also some that are deeper than a path can say', async () => {
    writeFileSync(at('file'), randomBytes(10_000))
    linkSync(at('file'), at('again'))
    symlinkSync(scratch, at('out'))
    const usage = await workers.usage(root)
    expect(usage.inodes).toBe(2)
    expect(usage.bytes).toBeGreaterThanOrEqual(10_000)
    expect(usage.bytes).toBeLessThan(40_000)
    // Each step is taken from where the last one ended, as no path reaches there.
    const dig = "for (let depth = 0; depth < 60; depth++) { fs.mkdirSync('d'.repeat(200)); process.chdir('d'.repeat(200)) } fs.writeFileSync('last', '')"
    execFileSync(process.execPath, ['-e', dig], { cwd: root })
    await expect(pack(root)).rejects.toMatchObject({ kind: 'not-implemented', code: 'TREE_TOO_DEEP' })
    await workers.remove(root)
    expect(readdirSync(scratch)).toEqual([])
    await workers.remove(root)
  })

  it('end when there is nothing to do, and start again', async () => {
    await using own = new LayerWorkers({ threads: 1, idleTimeout: 1 })
    for (let round = 0; round < 3; round++) {
      expect((await own.usage(root)).inodes).toBe(0)
      await new Promise((resolve) => setTimeout(resolve, 20 * round))
    }
  })

  it('stop at once for who aborts, and go on for others', async () => {
    const control = new AbortController()
    const path = file(gzipSync(tarOf([{ name: 'zeros', content: Buffer.alloc(50_000_000) }]), { level: 1 }))
    const options = { path, compression: 'gzip', root, whiteouts: 'overlay' } as const
    await expect(workers.apply(options, { signal: control.signal, onProgress: () => control.abort() })).rejects.toMatchObject({ name: 'AbortError' })
    await expect(workers.apply(options, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
    expect((await workers.usage(root)).inodes).toBe(1)
  })

  it('answer whoever waits when they are shut down', async () => {
    const own = new LayerWorkers({ threads: 1 })
    const path = file(tarOf([{ name: 'zeros', content: Buffer.alloc(20_000_000) }]))
    const running = own.apply({ path, compression: 'none', root, whiteouts: 'overlay' })
    const waiting = own.usage(root)
    const outcomes = Promise.allSettled([running, waiting])
    await own[Symbol.asyncDispose]()
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: { kind: 'cancelled' } })
    await expect(own.usage(root)).rejects.toMatchObject({ kind: 'cancelled' })
  })
})
