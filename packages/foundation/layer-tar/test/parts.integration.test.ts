import {
  chmodSync, chownSync, lchownSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ExtractOptions, LayerExtractor, packTree, type TarEntry, type TarMember, tarOf, TarReader } from '../src/index.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'berth-parts-'))
})
afterEach(() => rmSync(root, { recursive: true }))

const at = (...names: string[]) => join(root, ...names)

function entries(tar: Uint8Array[]): TarEntry[] {
  const found: TarEntry[] = []
  const reader = new TarReader({ entry: (entry) => void found.push(entry), data() {}, end() {} })
  for (const chunk of tar) reader.push(Buffer.from(chunk))
  reader.finish()
  return found
}

function pack(path: string, name?: string): [string, string][] {
  return entries([...packTree({ whiteouts: 'none', path, name })]).map((entry) => [entry.name, entry.type])
}

function extract(members: TarMember[], options: Partial<ExtractOptions> = {}) {
  const extractor = new LayerExtractor({ whiteouts: 'none', into: root, ...options })
  const reader = new TarReader(extractor)
  try {
    reader.push(tarOf(members))
    reader.finish()
    return extractor.finish()
  } finally {
    extractor.abort()
  }
}

describe('packing a part, as docker cp reads it', () => {
  beforeEach(() => {
    mkdirSync(at('etc/conf.d'), { recursive: true })
    writeFileSync(at('etc/conf.d/a'), 'a')
    writeFileSync(at('etc/passwd'), 'root')
    linkSync(at('etc/passwd'), at('etc/passwd-'))
    symlinkSync('conf.d', at('etc/link'))
    symlinkSync('etc', at('to-etc'))
  })

  it('names a directory and what lies in it as it is told', () => {
    const tree = (name: string) => [
      [`${name}/`, 'directory'], [`${name}/conf.d/`, 'directory'], [`${name}/conf.d/a`, 'file'], [`${name}/link`, 'symlink'], [`${name}/passwd`, 'file'],
      [`${name}/passwd-`, 'hardlink'],
    ]
    expect(pack(at('etc'), 'etc')).toEqual(tree('etc'))
    expect(pack(`${at('etc')}/`, 'other')).toEqual(tree('other'))
    expect(pack(at('etc'), '.')).toEqual(tree('.'))
    expect(pack(at('etc'), '/')).toEqual(tree(''))
    expect(entries([...packTree({ whiteouts: 'none', path: at('etc'), name: 'x' })]).at(-1)?.linkname).toBe('x/passwd')
  })

  it('names what lies in a directory from there if it is told nothing', () => {
    expect(pack(at('etc/conf.d'))).toEqual([['a', 'file']])
    expect(pack(at('etc/passwd'))).toEqual([['passwd', 'file']])
  })

  it('packs one file, and a link itself', () => {
    expect(pack(at('etc/passwd'), 'renamed')).toEqual([['renamed', 'file']])
    expect(pack(at('to-etc'), 'to-etc')).toEqual([['to-etc', 'symlink']])
    expect(pack(at('to-etc/conf.d/a'), 'a')).toEqual([['a', 'file']])
  })

  it('tells when there is nothing', () => {
    expect(() => pack(at('missing'), 'missing')).toThrow(expect.objectContaining({ kind: 'not-found', code: 'PATH_NOT_FOUND' }))
    expect(() => pack(at('etc/passwd/below'))).toThrow(expect.objectContaining({ kind: 'not-found' }))
  })
})

describe('unpacking into a directory, as docker cp writes it', () => {
  it('leaves the directory as it is and makes what lies in it', () => {
    mkdirSync(at('into'))
    chmodSync(at('into'), 0o700)
    lchownSync(at('into'), 5, 6)
    const result = extract([{ name: './', mode: 0o777 }, { name: './deep/.wh.file', content: 'x' }, { name: 'again', type: 'hardlink', linkname: 'deep/.wh.file' }], { into: `${at('into')}/` })
    expect(statSync(at('into'))).toMatchObject({ mode: 0o40700, uid: 5, gid: 6 })
    expect(readFileSync(at('into/deep/.wh.file'), 'utf8')).toBe('x')
    expect(lstatSync(at('into/again')).ino).toBe(lstatSync(at('into/deep/.wh.file')).ino)
    expect(result).toEqual({ entries: 3, impliedDirectories: [at('into/deep')] })
  })

  it('does not leave the directory by a name', () => {
    mkdirSync(at('into'))
    for (const member of [{ name: '../out', content: 'x' }, { name: 'link', type: 'hardlink' as const, linkname: '../out' }]) {
      expect(() => extract([member], { into: at('into') })).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
    }
    expect(readdirSync(root)).toEqual(['into'])
  })

  it('gives all that it makes to one owner', () => {
    extract([
      { name: 'dir/', uid: 1 }, { name: 'dir/file', uid: 2, gid: 3, content: 'x' }, { name: 'dir/link', type: 'symlink', linkname: 'file' }, { name: 'dir/pipe', type: 'fifo', uid: 9 },
    ], { owner: { uid: 1000, gid: 1001 } })
    for (const name of ['dir', 'dir/file', 'dir/link', 'dir/pipe']) expect(lstatSync(at(name))).toMatchObject({ uid: 1000, gid: 1001 })
  })

  it('replaces a directory by a file, and the reverse, only where that is not forbidden', () => {
    const swap = () => {
      rmSync(at('dir'), { recursive: true, force: true })
      mkdirSync(at('dir/in'), { recursive: true })
      writeFileSync(at('file'), 'old')
    }
    swap()
    const refused = (what: string, name: string, by: string) =>
      expect.objectContaining({ kind: 'invalid-argument', code: 'CANNOT_OVERWRITE', message: `cannot overwrite ${what} "${at(name)}" with ${by} "${root}"` })
    expect(() => extract([{ name: 'dir', content: 'x' }], { noOverwriteDirNonDir: true })).toThrow(refused('directory', 'dir', 'non-directory'))
    expect(() => extract([{ name: 'file/' }], { noOverwriteDirNonDir: true })).toThrow(refused('non-directory', 'file', 'directory'))
    extract([{ name: 'file', content: 'new' }, { name: 'dir/', mode: 0o711 }, { name: 'dir/in/new' }], { noOverwriteDirNonDir: true })
    expect(readFileSync(at('file'), 'utf8')).toBe('new')
    expect(readdirSync(at('dir/in'))).toEqual(['new'])
    chownSync(at('dir'), 7, 7)
    extract([{ name: 'dir', content: 'x' }, { name: 'file/' }])
    expect(lstatSync(at('dir'))).toMatchObject({ uid: 0, size: 1 })
    expect(lstatSync(at('file')).isDirectory()).toBe(true)
  })
})
