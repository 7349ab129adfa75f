import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { BerthError, WorkerCalls } from '@berth/core'
import { listXattrs, mknod, setXattr } from '@berth/linux'
import fc from 'fast-check'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { endOfArchive, type ExtractOptions, LayerWorkers, type TarMember, tarOf, TarReader } from '../src/index.ts'
import { encodeHeader } from '../src/tar-header.ts'
import type { ConfinedJobs } from './confined-worker.ts'

const thread = new WorkerCalls<ConfinedJobs>(new URL('./confined-worker.ts', import.meta.url))
afterAll(() => thread.end())

let scratch: string
let root: string
let outside: string
let untouched: unknown

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'berth-attack-'))
  root = join(scratch, 'root')
  outside = join(scratch, 'outside')
  mkdirSync(root)
  mkdirSync(join(outside, 'dir/deep'), { recursive: true, mode: 0o700 })
  for (const name of ['secret', 'dir/secret', 'dir/deep/secret']) writeFileSync(join(outside, name), 'secret', { mode: 0o600 })
  linkSync(join(outside, 'secret'), join(outside, 'second-name'))
  symlinkSync('secret', join(outside, 'link'))
  mknod(join(outside, 'pipe'), 0o10600)
  setXattr(join(outside, 'secret'), 'user.note', Buffer.from('mine'))
  untouched = canary()
})

/** Whatever an attack did, this is as it was. */
afterEach(() => {
  const now = canary()
  rmSync(scratch, { recursive: true })
  assert.deepEqual(now, untouched)
})

/** All that can be seen of what lies outside of the root: a change of an attribute, of a name or of a link count changes ctime at least. */
function canary(): unknown {
  return ['.', ...(readdirSync(outside, { recursive: true }) as string[]).toSorted()].map((name) => {
    const path = join(outside, name)
    const { atimeNs: _, atimeMs: _2, atime: _3, ...stats } = lstatSync(path, { bigint: true })
    return { name, stats, content: stats.mode & 0o100000n && stats.size < 100n ? contentOf(path) : '', xattrs: listXattrs(path), beside: name === '.' ? readdirSync(scratch) : [] }
  })
}

function contentOf(path: string): string {
  const stats = lstatSync(path)
  return stats.isFile() ? readFileSync(path, 'utf8') : stats.isSymbolicLink() ? readlinkSync(path) : ''
}

const allWhiteouts = ['overlay', 'plain', 'none'] as const

/** Unpacks, and lets no error be but the kinds that tell the caller what is wrong with the archive. */
async function attack(members: TarMember[], options: Partial<ExtractOptions> = {}, step?: number): Promise<string> {
  const outcome = await thread.call('extract', root, tarOf(members), { whiteouts: 'overlay', ...options }, step).then(() => 'unpacked', refusal)
  expect(['unpacked', 'invalid-argument', 'data-loss', 'resource-exhausted']).toContain(outcome)
  return outcome
}

function refusal(error: unknown): string {
  return error instanceof BerthError && error.kind !== 'internal' ? error.kind : `failed: ${String(error)}`
}

/** Makes the root anew. */
function afresh(): void {
  rmSync(root, { recursive: true })
  mkdirSync(root)
}

const symlink = (name: string, linkname: string): TarMember => ({ name, type: 'symlink', linkname })
const hardlink = (name: string, linkname: string): TarMember => ({ name, type: 'hardlink', linkname })
const file = (name: string): TarMember => ({ name, content: 'overwritten', mode: 0o4777, uid: 3 })

describe('links that lead out', () => {
  it('absolute targets of hard and symbolic links are inside (CVE-2026-23745)', async () => {
    expect(await attack([hardlink('x', join(outside, 'secret')), file('x')])).toBe('data-loss')
    expect(await attack([symlink('y', join(outside, 'secret')), file('y')])).toBe('unpacked')
    expect(readFileSync(join(root, 'y'), 'utf8')).toBe('overwritten')
    expect(await attack([symlink('z', outside), file('z/secret')])).toBe('invalid-argument')
  })

  it('a hard link is resolved where it is checked: from the root, not from its own directory (CVE-2026-24842)', async () => {
    expect(await attack([{ name: 'a/b/c/' }, hardlink('a/b/c/x', '../outside/secret'), file('a/b/c/x')])).toBe('invalid-argument')
    expect(await attack([{ name: 'a/b/c/' }, hardlink('a/b/c/x', 'a/../../outside/secret'), file('a/b/c/x')])).toBe('invalid-argument')
  })

  it('chains of links that each look harmless lead nowhere (CVE-2026-26960)', async () => {
    const chain = [{ name: 'a/b/' }, symlink('a/b/up', '..'), symlink('a/b/up2', 'up/..'), symlink('top', 'a/b/up2/..'), symlink('out', 'top/outside')]
    expect(await attack([...chain, hardlink('x', 'out/secret'), file('x')])).toBe('data-loss')
    afresh()
    expect(await attack([...chain, file('out/secret')])).toBe('invalid-argument')
    afresh()
    expect(await attack([...chain, hardlink('x', 'out'), file('x/secret')])).toBe('invalid-argument')
    afresh()
    expect(await attack([{ name: 'top/' }, ...chain.slice(0, 3), symlink('s', '../../../..'), hardlink('h', 's'), file('h/outside/secret'), hardlink('h2', 'h/outside/secret')])).toBe('unpacked')
    expect(readdirSync(join(root, 'outside'))).toEqual(['secret'])
  })

  it('a symbolic link in the place of a parent is followed inside only (zip slip, CVE-2019-14271)', async () => {
    for (const target of [outside, '../outside', '../../../../../../../..', '/proc/self/root', '/proc/self/cwd', '.']) {
      await attack([symlink('p', target), file(`p${outside}/secret`), file('p/outside/secret'), file('p/secret'), { name: 'p/dir/', mode: 0o777 }])
      expect(canary()).toEqual(untouched)
      afresh()
    }
  })

  it('a root that already holds such links is no way out either', async () => {
    for (const whiteouts of allWhiteouts) {
      afresh()
      symlinkSync(outside, join(root, 'abs'))
      symlinkSync('../outside', join(root, 'rel'))
      for (const name of ['abs', 'rel']) {
        await attack([file(`${name}/secret`)], { whiteouts })
        await attack([{ name: `${name}/dir/`, mode: 0o777 }], { whiteouts })
        await attack([hardlink('mine', `${name}/secret`)], { whiteouts })
        await attack([{ name: `${name}/.wh.secret` }, { name: `${name}/.wh..wh..opq` }, { name: `${name}/dir/.wh..wh..opq` }], { whiteouts })
        await attack([file('secret')], { whiteouts, into: `/${name}` })
        expect(canary()).toEqual(untouched)
      }
    }
  })
})

describe('names that lead out', () => {
  it.each(['../outside/secret', 'a/../../outside/secret', '/../outside/secret', './../outside/new', '..', 'a/b/../../..'])('%s is refused', async (name) => {
    for (const whiteouts of allWhiteouts) expect(await attack([file(name)], { whiteouts })).toBe('invalid-argument')
    expect(readdirSync(root)).toEqual([])
  })

  it('absolute ones are inside', async () => {
    expect(await attack([file(join(outside, 'secret')), file('//double')])).toBe('unpacked')
    expect(readFileSync(join(root, outside, 'secret'), 'utf8')).toBe('overwritten')
  })

  it.each(['.wh...', '.wh..', '.wh.', 'dir/.wh...', '../.wh.outside', '../outside/.wh.secret', '../outside/.wh..wh..opq', 'a/../../.wh.outside'])('the whiteout %s is refused', async (name) => {
    for (const whiteouts of ['overlay', 'plain'] as const) {
      mkdirSync(join(root, 'dir'), { recursive: true })
      expect(await attack([{ name }], { whiteouts })).toBe('invalid-argument')
    }
    expect(readdirSync(root)).toEqual(['dir'])
  })

  it('lie in a whiteout and are refused, since the same archive would say two things', async () => {
    expect(await attack([file('.wh.dir/file')])).toBe('invalid-argument')
  })

  it('are empty and refused, unless they are of directories', async () => {
    expect(await attack([{ name: '', type: 'directory', mode: 0o711 }])).toBe('unpacked')
    for (const name of ['', '/', './', '.']) for (const type of ['file', 'symlink', 'fifo'] as const) expect(await attack([{ name, type, linkname: 'x' }])).toBe('invalid-argument')
    expect(lstatSync(root).mode & 0o777).toBe(0o711)
  })

  it('are longer than the system takes and refused', async () => {
    expect(await attack([file('n'.repeat(256))])).toBe('invalid-argument')
    expect(await attack([{ name: 'd/'.repeat(3000) }])).toBe('invalid-argument')
    expect(await attack([symlink('s', 't'.repeat(5000))])).toBe('invalid-argument')
    expect(await attack([file('x'), hardlink('h', 'x/'.repeat(3000))])).toBe('invalid-argument')
  })
})

describe('attributes', () => {
  it('are not changed through links (CVE-2021-41089)', async () => {
    expect(await attack([
      symlink('file', join(outside, 'secret')), symlink('dir', join(outside, 'dir')), symlink('rel', '../outside/secret'),
      { ...symlink('again', join(outside, 'secret')), mode: 0o4777, uid: 3, xattrs: new Map([['user.note', Buffer.from('theirs')]]) },
      hardlink('hard', 'again'), { name: 'dir/', mode: 0o777, uid: 3 }, { name: 'rel/', mode: 0o777 },
    ])).toBe('unpacked')
    expect(lstatSync(join(root, 'dir')).isDirectory()).toBe(true)
    expect(lstatSync(join(root, 'hard')).isSymbolicLink()).toBe(true)
  })

  it('of a directory are set last, on whatever has come to its place, and only inside', async () => {
    expect(await attack([{ name: 'a/b/', mode: 0o777, mtime: 1n }, { name: 'a', content: 'file' }])).toBe('unpacked')
    afresh()
    expect(await attack([{ name: 'a/b/', mode: 0o777, mtime: 1n }, symlink('a', outside), { name: 'c/dir/' }, symlink('c', outside)])).toBe('unpacked')
  })

  it('out of range are refused', async () => {
    expect(await attack([{ name: 'x', uid: 2 ** 32 - 1 }])).toBe('data-loss')
    expect(await attack([{ name: 'x', xattrs: new Map([[`user.${'n'.repeat(300)}`, Buffer.from('x')]]) }])).toBe('invalid-argument')
    expect(await attack([{ name: 'x', xattrs: new Map([['user.big', Buffer.alloc(70_000)]]) }])).toBe('invalid-argument')
    expect(await attack([{ name: 'x', xattrs: new Map([['security.capability', Buffer.from('no capability')]]) }])).toBe('invalid-argument')
    expect(await attack([{ name: 'x', mtime: 10n ** 23n }, { name: 'y', mtime: -(10n ** 23n) }, { name: 'z/', mtime: 10n ** 23n }])).toBe('unpacked')
  })
})

describe('what is no file', () => {
  it('is not written into: a device or a link in the place of a file or of a directory gives way', async () => {
    const device = (name: string): TarMember => ({ name, type: 'character-device', devmajor: 1, devminor: 1, mode: 0o666 })
    expect(await attack([device('dev'), file('dev'), { name: 'pipe', type: 'fifo' }, file('pipe'), device('d'), { name: 'd/' }, symlink('l', outside), { name: 'l/' }, file('l/secret')])).toBe('unpacked')
    expect(['dev', 'pipe'].every((name) => lstatSync(join(root, name)).isFile())).toBe(true)
    expect(['d', 'l'].every((name) => lstatSync(join(root, name)).isDirectory())).toBe(true)
  })

  it('is no target of hard links: directories, whiteouts, and files of layers below, as with Docker', async () => {
    expect(await attack([{ name: 'd/' }, hardlink('h', 'd')])).toBe('invalid-argument')
    expect(await attack([{ name: '.wh.gone' }, hardlink('h', 'gone')])).toBe('data-loss')
    expect(await attack([hardlink('h', 'in/a/lower/layer')])).toBe('data-loss')
  })

  it('may change while it is unpacked: a directory that becomes a link and back leads nowhere (containerd, CVE-2025-47290)', async () => {
    const swap = `
      const fs = require('fs')
      fs.mkdirSync('dir'); fs.symlinkSync(${JSON.stringify(outside)}, 'link')
      for (let round = 0; ; round++) {
        try { fs.renameSync('dir', 'held'); fs.renameSync('link', 'dir'); fs.renameSync('dir', 'link'); fs.renameSync('held', 'dir') } catch { try { fs.renameSync('held', 'dir') } catch {} }
        if (round === 10) fs.writeSync(1, 'swapping')
      }`
    const swapper = spawn(process.execPath, ['-e', swap], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await once(swapper.stdout, 'data')
      for (const whiteouts of allWhiteouts) {
        for (let round = 0; round < 3; round++) {
          const members = Array.from({ length: 40 }, (_, index) => [{ name: 'dir/', mode: 0o777 }, file(`dir/${index}`), file('dir/secret'), { name: 'dir/dir/', mode: 0o777 }, { name: 'dir/.wh.secret' }])
          // The swapping may break it anywhere.
          await thread.call('extract', root, tarOf(members.flat()), { whiteouts }).catch((error: unknown) => assert(error instanceof BerthError))
          expect(canary()).toEqual(untouched)
        }
      }
    } finally {
      swapper.kill('SIGKILL')
      await once(swapper, 'exit')
    }
  })
})

describe('archives at random', () => {
  it('change nothing outside of the root, and fail only with an error that says whose fault it is', async () => {
    const part = fc.constantFrom('a', 'b', 'c', 'a', 'b', '..', '.', '', 'outside', 'secret', 'dir', '.wh.a', '.wh.b', '.wh..', '.wh...', '.wh..wh..opq', '.wh..wh.plnk', 'proc', '\xff')
    const name = fc.oneof(
      { weight: 6, arbitrary: fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')) },
      { weight: 1, arbitrary: fc.constantFrom('OUTSIDE/secret', 'OUTSIDE', 'OUTSIDE/dir', '../outside/secret', '/', '/proc/self/root', '../../../../..') },
    )
    const type = fc.constantFrom<NonNullable<TarMember['type']>>('file', 'file', 'symlink', 'symlink', 'hardlink', 'directory', 'directory', 'fifo', 'character-device')
    const member = fc.record({
      name, type, linkname: name, mode: fc.integer({ min: 0, max: 0o7777 }), uid: fc.nat({ max: 3 }), gid: fc.nat({ max: 3 }), mtime: fc.bigInt(-(10n ** 19n), 10n ** 19n), devminor: fc.nat({ max: 3 }),
    })
    const how = fc.record({ whiteouts: fc.constantFrom(...allWhiteouts), noOverwriteDirNonDir: fc.boolean(), into: fc.constantFrom(undefined, '/a') })
    await fc.assert(
      // Each in an archive of its own, too, so that one which is refused does not save the root from the next.
      fc.asyncProperty(fc.array(member, { minLength: 1, maxLength: 25 }), how, fc.boolean(), async (members, options, apart) => {
        afresh()
        if (options.into) mkdirSync(join(root, options.into))
        const real = (text: string) => text.replace('OUTSIDE', outside)
        const hostile = members.map((each) => ({ ...each, name: real(each.name), linkname: real(each.linkname), content: each.type === 'file' ? 'overwritten' : '' }))
        for (const archive of apart ? hostile.map((each) => [each]) : [hostile]) await attack(archive, options, 700)
        expect(canary()).toEqual(untouched)
      }),
      { numRuns: 100 },
    )
  }, 60_000)
})

describe('bombs', () => {
  it('headers that claim gigabytes are refused when they are read (PAX and long-name bombs)', () => {
    for (const flag of ['x', 'g', 'L', 'K']) {
      const reader = new TarReader({ entry() {}, data() {}, end() {} })
      const header = encodeHeader({ name: 'bomb', flag, size: 4 * 2 ** 30, mode: 0, uid: 0, gid: 0, mtime: 0n, linkname: '', devmajor: 0, devminor: 0 })
      expect(() => reader.push(header)).toThrow(expect.objectContaining({ kind: 'data-loss' }))
    }
  })

  it('a small archive that inflates to much is stopped at the limit (gzip and zstd bombs)', async () => {
    await using workers = new LayerWorkers({ threads: 1 })
    const tar = tarOf([{ name: 'zeros', content: Buffer.alloc(20_000_000) }])
    for (const [compression, compress] of [['gzip', gzipSync], ['zstd', zstdCompressSync]] as const) {
      const path = join(scratch, `bomb.${compression}`)
      writeFileSync(path, compress(tar))
      expect(lstatSync(path).size).toBeLessThan(100_000)
      await expect(workers.apply({ path, compression, root, whiteouts: 'overlay', maxBytes: 1_000_000 })).rejects.toMatchObject({ kind: 'resource-exhausted' })
      expect((await workers.usage(root)).bytes).toBeLessThan(2_000_000)
      rmSync(path)
    }
  })

  it('more entries than allowed are refused', async () => {
    expect(await attack(Array.from({ length: 11 }, (_, index) => file(String(index))), { maxEntries: 10 })).toBe('resource-exhausted')
    expect(await attack(Array.from({ length: 10 }, (_, index) => file(String(index))), { maxEntries: 10 })).toBe('unpacked')
  })

  it('a million entries are read in the memory of one (10^6 entries)', () => {
    let entries = 0
    const reader = new TarReader({ entry: () => void entries++, data() {}, end() {} })
    const thousand = tarOf(Array.from({ length: 1000 }, (_, index) => ({ name: `some/directory/file-${index}`, mtime: 1n }))).subarray(0, -endOfArchive().length)
    const before = process.memoryUsage().heapUsed
    for (let round = 0; round < 1000; round++) reader.push(thousand)
    reader.finish()
    expect(entries).toBe(1_000_000)
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(50_000_000)
  })
})
