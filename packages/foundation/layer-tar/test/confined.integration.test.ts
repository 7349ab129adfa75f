import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WorkerCalls } from '@berth/core'
import { getXattr, listXattrs, setTimes, setXattr } from '@berth/linux'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ExtractOptions, type TarMember, tarOf, TarReader } from '../src/index.ts'
import type { ConfinedJobs } from './confined-worker.ts'

const thread = new WorkerCalls<ConfinedJobs>(new URL('./confined-worker.ts', import.meta.url))
afterAll(() => thread.end())

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'berth-confined-'))
})
afterEach(() => rmSync(root, { recursive: true }))

const at = (...names: string[]) => join(root, ...names)
const extract = (members: TarMember[], options: Partial<ExtractOptions> = {}) => thread.call('extract', root, tarOf(members), { whiteouts: 'overlay', ...options })
const names = () => (readdirSync(root, { recursive: true }) as string[]).toSorted()

async function packedNames(): Promise<string[]> {
  const found: string[] = []
  const reader = new TarReader({ entry: ({ name }) => void found.push(name), data() {}, end() {} })
  reader.push(Buffer.from(await thread.call('pack', root, { whiteouts: 'overlay' })))
  return found
}

describe('whiteouts', () => {
  it('become what overlayfs knows, and that becomes whiteouts again', async () => {
    await extract([{ name: 'dir/' }, { name: 'dir/.wh.gone' }, { name: 'opaque/.wh..wh..opq' }, { name: '.wh.file' }])
    expect(lstatSync(at('dir/gone')).isCharacterDevice() && lstatSync(at('dir/gone')).rdev === 0).toBe(true)
    expect(getXattr(at('opaque'), 'trusted.overlay.opaque').toString()).toBe('y')
    expect(await packedNames()).toEqual(['dir/', 'dir/.wh.gone', '.wh.file', 'opaque/', 'opaque/.wh..wh..opq'])
  })

  it("have no meaning where they are aufs's own bookkeeping, as with Docker", async () => {
    const metadata = ['.wh..wh.plnk/', '.wh..wh.plnk/123.456', '.wh..wh.aufs', '.wh..wh.orph/', 'dir/.wh..wh.plnk/deep/.wh..wh..opq']
    for (const whiteouts of ['overlay', 'plain'] as const) await extract([...metadata.map((name) => ({ name })), { name: 'kept' }], { whiteouts })
    expect(names()).toEqual(['kept'])
    expect(listXattrs(root)).toEqual([])
  })

  it('of a directory that is named by a link mark the directory', async () => {
    await extract([{ name: 'usr/lib/' }, { name: 'lib', type: 'symlink', linkname: 'usr/lib' }, { name: 'lib/.wh..wh..opq' }])
    expect(getXattr(at('usr/lib'), 'trusted.overlay.opaque').toString()).toBe('y')
  })

  it('delete in a plain root what lower layers brought, and nothing that this one did', async () => {
    for (const name of ['gone/deep', 'opaque/old', 'mixed/old', 'keep']) mkdirSync(at(name), { recursive: true })
    await extract([
      { name: 'opaque/new' }, { name: '.wh.gone' }, { name: 'opaque/.wh..wh..opq' }, { name: '.wh.missing' }, { name: 'x' }, { name: '.wh.x' },
      { name: 'mixed/new/file' }, { name: '.wh.mixed' }, { name: 'made/implied/file' }, { name: 'made/.wh.implied' },
    ], { whiteouts: 'plain' })
    expect(names()).toEqual(['keep', 'made', 'made/implied', 'made/implied/file', 'mixed', 'mixed/new', 'mixed/new/file', 'opaque', 'opaque/new', 'x'])
  })

  it('are names like others where they mean nothing', async () => {
    await extract([{ name: '.wh.file', content: 'x' }, { name: '.wh..wh..opq' }], { whiteouts: 'none' })
    expect(names()).toEqual(['.wh..wh..opq', '.wh.file'])
  })

  it('are not made of files that only have such a name', async () => {
    mkdirSync(at('.wh.dir'))
    writeFileSync(at('.wh.etc'), '')
    writeFileSync(at('file'), '')
    expect(await packedNames()).toEqual(['file'])
  })
})

describe('what is made', () => {
  it('has holes where a sparse file has some', async () => {
    const map = Buffer.from('2\n1000000\n4\n90000000\n1\n')
    const pax = (records: string) => tarOf([{ name: 'pax', content: records }]).subarray(0, -1024)
    const record = (key: string, value: string) => {
      const rest = ` ${key}=${value}\n`
      return `${rest.length + 2}${rest}`
    }
    const header = pax(record('GNU.sparse.major', '1') + record('GNU.sparse.minor', '0') + record('GNU.sparse.realsize', '100000000'))
    header.write('x', 156)
    header.fill(0x20, 148, 156).write(`${header.subarray(0, 512).reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148)
    const content = Buffer.concat([map, Buffer.alloc(512 - map.length), Buffer.from('dataX')])
    await thread.call('extract', root, Buffer.concat([header, tarOf([{ name: 'sparse', content, mode: 0o640 }])]), { whiteouts: 'overlay' }, 100)
    expect(statSync(at('sparse'))).toMatchObject({ size: 100_000_000, mode: 0o100640 })
    expect(statSync(at('sparse')).blocks).toBeLessThan(100)
    const read = readFileSync(at('sparse'))
    expect([read.toString('latin1', 1_000_000, 1_000_005), read.toString('latin1', 89_999_999, 90_000_002)]).toEqual(['data\0', '\0X\0'])
  })

  it('has its capabilities and access lists, set when nothing can take them away any more', async () => {
    const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex')
    const acl = Buffer.from('02000000010007 00ffffffff020007 00e803000004000500ffffffff10000700ffffffff20000500ffffffff'.replaceAll(' ', ''), 'hex')
    await extract([
      { name: 'dir/', xattrs: new Map([['system.posix_acl_default', acl]]) },
      { name: 'dir/ping', mode: 0o4755, uid: 1000, content: 'x', xattrs: new Map([['security.capability', capability]]) },
      { name: 'dir/listed', mode: 0o675, xattrs: new Map([['system.posix_acl_access', acl]]) },
    ])
    expect(getXattr(at('dir/ping'), 'security.capability')).toEqual(capability)
    expect(statSync(at('dir/ping')).mode & 0o7777).toBe(0o4755)
    expect(getXattr(at('dir/listed'), 'system.posix_acl_access')).toEqual(acl)
    // What lies in the directory was there before its rule for what is made there.
    expect(listXattrs(at('dir/ping'))).toEqual(['security.capability'])
    expect(getXattr(at('dir'), 'system.posix_acl_default')).toEqual(acl)
  })

  it('goes without attributes that its kind of file cannot have', async () => {
    await extract([{ name: 'link', type: 'symlink', linkname: 'x', xattrs: new Map([['user.note', Buffer.from('x')]]) }, { name: 'pipe', type: 'fifo', xattrs: new Map([['user.note', Buffer.from('x')]]) }])
    expect([...listXattrs(at('link')), ...listXattrs(at('pipe'))]).toEqual([])
  })

  it('has the owner and mode of its entry, whatever the directory passes on', async () => {
    chownSync(root, 0, 50)
    chmodSync(root, 0o2755)
    await extract([{ name: 'first', content: 'x', mode: 0o600 }, { name: 'dir/' }, { name: 'link', type: 'symlink', linkname: 'x' }])
    for (const name of ['first', 'dir', 'link']) expect(lstatSync(at(name)).gid).toBe(0)
    expect(statSync(at('dir')).mode & 0o7777).toBe(0o755)
    rmSync(root, { recursive: true })
    mkdirSync(root)
    await extract([
      { name: 'first', content: 'x', mode: 0o640 }, { name: 'second', mode: 0o664 }, { name: 'third', mode: 0o644 }, { name: 'setgid/', mode: 0o2755, gid: 50 }, { name: 'setgid/file' }, { name: 'setgid/implied/file' },
    ])
    expect(['first', 'second', 'third'].map((name) => statSync(at(name)).mode & 0o7777)).toEqual([0o640, 0o664, 0o644])
    expect(['setgid/file', 'setgid/implied'].map((name) => statSync(at(name)).gid)).toEqual([0, 0])
    expect(statSync(at('setgid/implied')).mode & 0o7777).toBe(0o755)
  })

  it('has its times, also those to read it, before 1970 and to the nanosecond', async () => {
    await extract([
      { name: 'file', mtime: 1_700_000_000_000_000_001n, atime: 5_000_000_000n }, { name: 'old', mtime: -1n }, { name: 'dir/', mtime: 7n }, { name: 'dir/in' },
      { name: 'link', type: 'symlink', linkname: 'x', mtime: 9n },
    ])
    const times = (name: string) => lstatSync(at(name), { bigint: true })
    expect(times('old').mtimeNs).toBe(-1n)
    expect(times('dir').mtimeNs).toBe(7n)
    expect(times('link').mtimeNs).toBe(9n)
    expect(times('file').mtimeNs).toBe(1_700_000_000_000_000_001n)
  })

  it('replaces what was there, by links too, and forgets what was to be done for it', async () => {
    await extract([
      { name: 'a/b/c/', mtime: 1n }, { name: 'a', type: 'symlink', linkname: 'd' }, { name: 'd/b/c/', mtime: 2n }, { name: 'implied/x/file' }, { name: 'implied', content: 'now a file' },
    ]).then(({ impliedDirectories }) => expect(impliedDirectories).toEqual(['/d', '/d/b']))
    expect(lstatSync(at('d/b/c'), { bigint: true }).mtimeNs).toBe(2n)
  })
})

describe('packing', () => {
  it('gives holes as zeros, so that the archive depends on what the file says and not on how it is stored', async () => {
    const pack = async () => {
      setTimes(at('file'), 0n, 0n)
      return Buffer.from(await thread.call('pack', root, { whiteouts: 'none' }))
    }
    writeFileSync(at('file'), '')
    truncateSync(at('file'), 700_001)
    const sparse = await pack()
    writeFileSync(at('file'), Buffer.alloc(700_001))
    expect((await pack()).equals(sparse)).toBe(true)
    expect(sparse.length).toBe(512 + 700_416 + 1024)
  })

  it("leaves the host's attributes out", async () => {
    symlinkSync('file', at('link'))
    setXattr(at('link'), 'security.note', Buffer.from('of the host'))
    const tar = Buffer.from(await thread.call('pack', root, { whiteouts: 'overlay' }))
    expect(tar.includes('security')).toBe(false)
  })
})
