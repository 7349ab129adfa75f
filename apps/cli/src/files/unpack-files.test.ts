import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TarMember, tarOf } from '@berth/layer-tar'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packFiles } from './pack-files.ts'
import { unpackFiles, type UnpackOptions } from './unpack-files.ts'

let root: string
let inside: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'unpack-files-'))
  inside = join(root, 'inside')
  mkdirSync(inside)
  mkdirSync(join(root, 'outside'))
  writeFileSync(join(root, 'outside/file'), 'untouched')
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}

const unpack = (members: Iterable<TarMember>, plan: Partial<UnpackOptions> = {}) => unpackFiles(once(tarOf(members)), { directory: inside, from: '.', to: '.', ...plan })
const openDescriptors = (): number => readdirSync('/proc/self/fd').length

describe('what an engine sends', () => {
  it('is unpacked with permissions and times, and belongs to who unpacks it', async () => {
    const mtime = 1_700_000_000_500_000_000n
    await unpack([
      { name: 'd/', mode: 0o500, mtime },
      { name: 'd/f', content: 'text', mode: 0o640, mtime, uid: 1234 },
      { name: 'd/l', type: 'symlink', linkname: '../../outside/file' },
      { name: 'd/h', type: 'hardlink', linkname: 'd/f' },
      { name: 'implied/deep/f', content: '' },
    ])
    expect(readFileSync(join(inside, 'd/f'), 'utf8')).toBe('text')
    const file = statSync(join(inside, 'd/f'))
    expect([file.mode & 0o7777, file.mtimeMs, file.uid, file.nlink]).toEqual([0o640, 1_700_000_000_500, process.getuid?.(), 2])
    const directory = statSync(join(inside, 'd'))
    expect([directory.mode & 0o7777, directory.mtimeMs]).toEqual([0o500, 1_700_000_000_500])
    expect(readlinkSync(join(inside, 'd/l'))).toBe('../../outside/file')
    expect(existsSync(join(inside, 'implied/deep/f'))).toBe(true)
  })

  it('gets another name where the target has one', async () => {
    await unpack([{ name: 'etc/' }, { name: 'etc/hosts', content: 'h' }, { name: 'etc/again', type: 'hardlink', linkname: 'etc/hosts' }], { from: 'etc', to: 'copy' })
    expect(readdirSync(join(inside, 'copy')).toSorted()).toEqual(['again', 'hosts'])
    await unpack([{ name: './' }, { name: './f', content: 'f' }], { from: '.', to: 'new' })
    expect(readdirSync(join(inside, 'new'))).toEqual(['f'])
  })

  it('replaces files, but neither a directory by a file nor the reverse', async () => {
    writeFileSync(join(inside, 'f'), 'old')
    mkdirSync(join(inside, 'd'))
    await unpack([{ name: 'f', content: 'new' }])
    expect(readFileSync(join(inside, 'f'), 'utf8')).toBe('new')
    await expect(unpack([{ name: 'd', content: 'x' }])).rejects.toMatchObject({ kind: 'conflict', message: expect.stringMatching(/^cannot overwrite directory "d" with non-directory/) })
    await expect(unpack([{ name: 'f/' }])).rejects.toMatchObject({ kind: 'conflict', message: expect.stringMatching(/^cannot overwrite non-directory "f" with directory/) })
  })

  it('round-trips what is packed', async () => {
    mkdirSync(join(root, 'source/sub'), { recursive: true })
    writeFileSync(join(root, 'source/sub/ü.txt'), 'x'.repeat(300_000))
    symlinkSync('ü.txt', join(root, 'source/sub/link'))
    const packed = async function* (): AsyncIterable<Uint8Array> {
      yield* packFiles(join(root, 'source/.'), { to: '.' })
    }
    await unpackFiles(packed(), { directory: inside, from: '.', to: '.' })
    expect(readFileSync(join(inside, 'sub/ü.txt'), 'utf8')).toHaveLength(300_000)
    expect(readlinkSync(join(inside, 'sub/link'))).toBe('ü.txt')
  })

  it('says what it leaves out', async () => {
    const skipped: string[] = []
    await unpack([{ name: 'null', type: 'character-device', devmajor: 1, devminor: 3 }, { name: 'f', content: 'f' }], { onSkip: (name) => skipped.push(name) })
    expect([skipped, readdirSync(inside)]).toEqual([['null'], ['f']])
  })

  it('leaves no descriptor open, also when it fails', async () => {
    await unpack([{ name: 'a/b/c', content: 'x' }])
    const before = openDescriptors()
    await unpack([{ name: 'a/b/d', content: 'x' }, { name: 'a/e', content: 'x' }])
    await expect(unpack([{ name: 'a/b/c/', content: '' }])).rejects.toMatchObject({ kind: 'conflict' })
    await expect(unpackFiles(once(tarOf([{ name: 'cut', content: 'x'.repeat(2000) }]).subarray(0, 1000)), { directory: inside, from: '.', to: '.' })).rejects.toMatchObject({ kind: 'data-loss' })
    expect(openDescriptors()).toBe(before)
  })
})

describe('attacks by what an engine sends', () => {
  const outside = (): string[] => readdirSync(join(root, 'outside'))

  it.each(['../outside/new', 'a/../../outside/new', '..'])('a name that leads out (CVE-2021-32803, %s) is refused', async (name) => {
    await expect(unpack([{ name, content: 'x' }])).rejects.toMatchObject({ kind: 'data-loss' })
    expect(outside()).toEqual(['file'])
  })

  it('an absolute name is one inside', async () => {
    await unpack([{ name: '/abs/file', content: 'x' }])
    expect(existsSync(join(inside, 'abs/file'))).toBe(true)
  })

  it('a link made before something is written through it (CVE-2026-23745) leads nowhere', async () => {
    await expect(unpack([{ name: 'l', type: 'symlink', linkname: '../outside' }, { name: 'l/new', content: 'x' }])).rejects.toMatchObject({ kind: 'conflict' })
    await expect(unpack([{ name: 'k', type: 'symlink', linkname: join(root, 'outside') }, { name: 'k/', mode: 0o777 }])).rejects.toMatchObject({ kind: 'conflict' })
    expect(outside()).toEqual(['file'])
  })

  it('a chain of links (CVE-2026-24842) leads nowhere', async () => {
    const chain: TarMember[] = [{ name: 'a/' }, { name: 'a/b', type: 'symlink', linkname: '..' }, { name: 'c', type: 'symlink', linkname: 'a/b/../outside' }, { name: 'c/new', content: 'x' }]
    await expect(unpack(chain)).rejects.toMatchObject({ kind: 'conflict' })
    expect(outside()).toEqual(['file'])
  })

  it('a file written over a link (CVE-2018-15664) replaces the link', async () => {
    await unpack([{ name: 'l', type: 'symlink', linkname: '../outside/file' }, { name: 'l', content: 'attack' }])
    expect(readFileSync(join(root, 'outside/file'), 'utf8')).toBe('untouched')
    expect(lstatSync(join(inside, 'l')).isFile()).toBe(true)
  })

  it.each(['../outside/file', 'up/file'])('a hard link to what is outside (CVE-2026-26960, %s) is refused', async (linkname) => {
    symlinkSync('../outside', join(inside, 'up'))
    await expect(unpack([{ name: 'h', type: 'hardlink', linkname }, { name: 'h', content: 'attack' }])).rejects.toMatchObject({ name: 'BerthError' })
    expect([readFileSync(join(root, 'outside/file'), 'utf8'), existsSync(join(inside, 'h'))]).toEqual(['untouched', false])
  })

  it('permissions do not go through a link that took the place of a directory (CVE-2021-41089)', async () => {
    const before = statSync(join(root, 'outside')).mode
    await expect(unpack([{ name: 'd/', mode: 0o777 }, { name: 'd', type: 'symlink', linkname: '../outside' }])).rejects.toMatchObject({ kind: 'conflict' })
    expect(statSync(join(root, 'outside')).mode).toBe(before)
  })

  it('files that were not asked for are refused', async () => {
    await expect(unpack([{ name: 'hosts', content: 'h' }, { name: '.profile', content: 'attack' }], { from: 'hosts', to: 'hosts' })).rejects.toMatchObject({ kind: 'data-loss', message: expect.stringContaining('.profile') })
    expect(readdirSync(inside)).toEqual(['hosts'])
  })
})
