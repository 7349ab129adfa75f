import { describe, expect, it } from 'vitest'
import { decodePax, encodePax } from './pax.ts'
import { encodeHeader, type TarEntry } from './tar-header.ts'
import { tarOf } from './tar-of.ts'
import { TarReader } from './tar-reader.ts'
import { encodeEntry, endOfArchive } from './tar-writer.ts'

const plain: TarEntry = {
  name: 'file', type: 'file', mode: 0o644, uid: 0, gid: 0, size: 0, mtime: 0n, linkname: '', devmajor: 0, devminor: 0, xattrs: new Map(),
}

/** Reads an archive in pieces of `step` bytes. */
function read(tar: Buffer, step = tar.length) {
  const found: { entry: TarEntry; content: string }[] = []
  const reader = new TarReader({
    entry: (entry) => void found.push({ entry, content: '' }),
    data: (bytes) => void (found.at(-1)!.content += bytes.toString('latin1')),
    end() {},
  })
  for (let offset = 0; offset < tar.length; offset += step) reader.push(tar.subarray(offset, offset + step))
  reader.finish()
  return found
}

/** A header with fields overwritten and its checksum made right again. */
function forged(change: (block: Buffer) => void): Buffer {
  const block = encodeHeader({ ...plain, flag: '0' })
  change(block)
  block.fill(0x20, 148, 156)
  block.write(`${block.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

describe('an archive', () => {
  it('says the same after writing and reading, in pieces of any size', () => {
    const members = [
      { name: 'dir/', mode: 0o1777, mtime: -1_500_000_000n },
      { name: 'dir/file', content: 'content', mode: 0o4755, uid: 1000, gid: 1000, mtime: 1_700_000_000_123_456_789n },
      { name: `long/${'x'.repeat(300)}`, content: 'y'.repeat(1025) },
      { name: 'ünïcödé\n', content: '' },
      { name: 'link', type: 'symlink' as const, linkname: `../${'t'.repeat(200)}` },
      { name: 'hard', type: 'hardlink' as const, linkname: 'dir/file' },
      { name: 'null', type: 'character-device' as const, devmajor: 1, devminor: 3 },
      { name: 'pipe', type: 'fifo' as const },
      { name: 'ids', uid: 4_000_000_000, gid: 3_000_000, xattrs: new Map([['user.x', Buffer.from([0, 255, 10, 61])]]) },
    ]
    const tar = tarOf(members)
    const whole = read(tar)
    expect(whole.map(({ entry, content }) => ({
      ...entry, name: Buffer.from(entry.name, 'latin1').toString(), content,
    }))).toEqual(members.map((member) => ({
      ...plain, mode: member.name.endsWith('/') ? 0o755 : 0o644, content: '', type: member.name.endsWith('/') ? 'directory' : 'file', ...member,
      size: 'content' in member ? Buffer.byteLength(member.content ?? '') : 0,
    })))
    for (const step of [1, 7, 511, 512, 513, 4096]) expect(read(tar, step)).toEqual(whole)
  })

  it('keeps names that are not UTF-8', () => {
    const [found] = read(Buffer.concat([encodeEntry({ ...plain, name: 'a\xff\xfeb' }), endOfArchive()]))
    expect(found?.entry.name).toBe('a\xff\xfeb')
  })

  it('holds files above 8 GiB', () => {
    const header = encodeEntry({ ...plain, size: 9 * 2 ** 30 })
    const sizes: number[] = []
    const reader = new TarReader({ entry: ({ size }) => void sizes.push(size), data() {}, end() {} })
    reader.push(header)
    expect(sizes).toEqual([9 * 2 ** 30])
    expect(() => reader.finish()).toThrow('it ends too early')
  })

  it('is read in the forms of GNU tar', () => {
    const size = forged((block) => block.set([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5], 124))
    expect(read(Buffer.concat([size, Buffer.alloc(512, 'hello'), endOfArchive()]))[0]).toMatchObject({ entry: { size: 5 }, content: 'hello' })
    const before1970 = forged((block) => block.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], 136))
    expect(read(Buffer.concat([before1970, endOfArchive()]))[0]?.entry.mtime).toBe(-2_000_000_000n)
    const name = `${'n'.repeat(200)}\0`
    const long = [encodeHeader({ ...plain, name: '././@LongLink', size: name.length, flag: 'L' }), Buffer.from(name), Buffer.alloc(512 - name.length)]
    expect(read(Buffer.concat([...long, encodeHeader({ ...plain, flag: '0' }), endOfArchive()]))[0]?.entry.name).toBe('n'.repeat(200))
  })

  it('may lack its end, as other tools accept', () => {
    expect(read(encodeEntry(plain))).toHaveLength(1)
    expect(read(Buffer.alloc(0))).toHaveLength(0)
    expect(read(Buffer.concat([encodeEntry(plain), endOfArchive(), Buffer.from('whatever')]))).toHaveLength(1)
  })
})

/** A PAX header of records, as other archivers may write them. */
function paxHeader(records: [string, string | Buffer][], flag = 'x'): Buffer {
  const body = Buffer.concat(records.map(([key, value]) => encodePax(new Map([[key, Buffer.from(value)]]))))
  return Buffer.concat([encodeHeader({ ...plain, flag, size: body.length }), body, Buffer.alloc((512 - (body.length % 512)) % 512)])
}

const block = (text: string) => Buffer.concat([Buffer.from(text), Buffer.alloc((512 - (text.length % 512)) % 512)])
const header = (fields: Partial<TarEntry> & { flag?: string }) => encodeHeader({ ...plain, flag: '0', ...fields })

describe('what the headers of others say', () => {
  const one = (...parts: Buffer[]) => read(Buffer.concat([...parts, endOfArchive()]))[0]!.entry

  it('counts in the order of Go: long names, then PAX, then the header', () => {
    const long = (flag: string, name: string) => Buffer.concat([header({ flag, size: name.length + 1 }), block(`${name}\0junk`.slice(0, name.length + 1))])
    const link = header({ name: 'h', linkname: 'i', flag: '2' })
    expect(one(paxHeader([['path', 'p'], ['linkpath', 'q']]), link)).toMatchObject({ name: 'p', linkname: 'q' })
    expect(one(long('L', 'l'), long('K', 'k'), paxHeader([['path', 'p'], ['linkpath', 'q']]), link)).toMatchObject({ name: 'l', linkname: 'k' })
    expect(one(paxHeader([['path', 'p']]), paxHeader([['linkpath', 'q']]), link)).toMatchObject({ name: 'h', linkname: 'q' })
    expect(one(paxHeader([['path', ''], ['mtime', '']]), link)).toMatchObject({ name: 'h', mtime: 0n })
  })

  it('is for one entry, and nothing for later ones', () => {
    const found = read(Buffer.concat([paxHeader([['path', 'p'], ['uid', '7'], ['SCHILY.xattr.user.x', 'v']]), header({ name: 'a' }), header({ name: 'b' }), endOfArchive()]))
    expect(found.map(({ entry }) => [entry.name, entry.uid, entry.xattrs.size])).toEqual([['p', 7, 1], ['b', 0, 0]])
  })

  it('is read over in global headers, as Docker does', () => {
    expect(one(paxHeader([['path', 'everywhere'], ['uid', '5'], ['comment', 'of git']], 'g'), header({ name: 'a' }))).toMatchObject({ name: 'a', uid: 0 })
    expect(() => one(Buffer.concat([header({ flag: 'g', size: 4 }), block('junk')]), header({}))).toThrow('PAX record')
  })

  it('gives times to the nanosecond, before 1970 too', () => {
    expect(one(paxHeader([['mtime', '1700000000.1234567891'], ['atime', '12.5'], ['ctime', '3']]), header({}))).toMatchObject({ mtime: 1_700_000_000_123_456_789n, atime: 12_500_000_000n })
    expect(one(paxHeader([['mtime', '-1.25']]), header({}))).toMatchObject({ mtime: -1_250_000_000n })
    expect(one(header({}))).not.toHaveProperty('atime')
  })

  it('gives extended attributes in the forms of Go, of GNU tar and of libarchive', () => {
    const { xattrs } = one(paxHeader([
      ['LIBARCHIVE.xattr.user.lib%20%3Dx', 'AP8='], ['LIBARCHIVE.xattr.user.both', 'AAAA'], ['SCHILY.xattr.user.both', 'text'], ['SCHILY.xattr.user.a%3Db%25', Buffer.from([0, 10])],
    ]), header({}))
    expect(Object.fromEntries(xattrs)).toEqual({ 'user.lib =x': Buffer.from([0, 255]), 'user.both': Buffer.from('text'), 'user.a=b%': Buffer.from([0, 10]) })
  })

  it('makes a directory of what V7 called a file with a slash, and a file of a contiguous one', () => {
    expect(one(header({ name: 'dir/', flag: '\0' }))).toMatchObject({ type: 'directory' })
    expect(one(header({ name: 'file/', flag: '0' }))).toMatchObject({ type: 'file' })
    expect(read(Buffer.concat([header({ flag: '7', size: 3 }), block('abc'), endOfArchive()]))[0]).toMatchObject({ entry: { type: 'file' }, content: 'abc' })
  })

  it('takes the prefix of ustar, and not what GNU has in its place', () => {
    const prefixed = (magic: string) => forged((bytes) => {
      bytes.write(magic, 257, 'latin1')
      bytes.write('pre/fix', 345)
    })
    expect(one(prefixed('ustar\x0000')).name).toBe('pre/fix/file')
    expect(one(prefixed('ustar  \0')).name).toBe('file')
  })

  it('takes the size from PAX to find where the content ends, so that no second archive hides in it (CVE-2025-62518)', () => {
    const inner = Buffer.concat([header({ name: 'smuggled' }), endOfArchive()])
    const found = read(Buffer.concat([paxHeader([['size', String(inner.length)]]), header({ name: 'outer', size: 0 }), inner, header({ name: 'last' }), endOfArchive()]))
    expect(found.map(({ entry }) => entry.name)).toEqual(['outer', 'last'])
  })
})

describe('a sparse file', () => {
  const sparse = (records: [string, string][], data: string, size = data.length) =>
    Buffer.concat([paxHeader(records), header({ size }), block(data), endOfArchive()])
  const old = (pieces: number[][], size: number, data: string) => Buffer.concat([
    forged((bytes) => {
      bytes.write('ustar  \0', 257, 'latin1')
      bytes.write('S', 156)
      bytes.write(data.length.toString(8).padStart(11, '0'), 124)
      pieces.slice(0, 4).forEach((piece, index) => writePiece(bytes, 386 + index * 24, piece))
      bytes[482] = pieces.length > 4 ? 1 : 0
      bytes.write(size.toString(8).padStart(11, '0'), 483)
    }),
    ...Array.from({ length: Math.ceil(Math.max(0, pieces.length - 4) / 21) }, (_, number) => {
      const bytes = Buffer.alloc(512)
      const from = 4 + number * 21
      pieces.slice(from, from + 21).forEach((piece, index) => writePiece(bytes, index * 24, piece))
      bytes[504] = pieces.length > from + 21 ? 1 : 0
      return bytes
    }),
    block(data),
    endOfArchive(),
  ])
  const writePiece = (bytes: Buffer, offset: number, [start, length]: number[]) => {
    bytes.write(start!.toString(8).padStart(11, '0'), offset)
    bytes.write(length!.toString(8).padStart(11, '0'), offset + 12)
  }
  const expected = 'ab\0\0\0cd\0'

  it.each<[string, Buffer]>([
    ['GNU old', old([[0, 2], [5, 2], [8, 0]], 8, 'abcd')],
    ['PAX 0.0', sparse([['GNU.sparse.size', '8'], ['GNU.sparse.numblocks', '2'], ['GNU.sparse.offset', '0'], ['GNU.sparse.numbytes', '2'], ['GNU.sparse.offset', '5'], ['GNU.sparse.numbytes', '2']], 'abcd')],
    ['PAX 0.1', sparse([['GNU.sparse.size', '8'], ['GNU.sparse.map', '0,2,5,2'], ['GNU.sparse.name', 'file']], 'abcd')],
    ['PAX 1.0', sparse([['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0'], ['GNU.sparse.name', 'file'], ['GNU.sparse.realsize', '8']], `${block('2\n0\n2\n5\n2\n').toString()}abcd`)],
  ])('is whole again in the form %s, in pieces of any size', (_, tar) => {
    for (const step of [1, 511, 512, 4096]) expect(read(tar, step)).toMatchObject([{ entry: { name: 'file', size: 8, type: 'file' }, content: expected }])
  })

  it('tells holes to who can make them', () => {
    const told: (string | number)[] = []
    const reader = new TarReader({ entry() {}, data: (bytes) => void told.push(bytes.toString()), hole: (length) => void told.push(length), end: () => void told.push('end') })
    reader.push(old([[3, 2], [100, 1]], 1_000_000, 'abc'))
    expect(told).toEqual([3, 'ab', 95, 'c', 999_899, 'end'])
  })

  it('may have many pieces, and none', () => {
    const pieces = Array.from({ length: 60 }, (_, index) => [index * 2, 1])
    const map = ['60', ...pieces.flat()].map((number) => `${number}\n`).join('')
    const content = 'x\0'.repeat(60)
    const v1 = [['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0'], ['GNU.sparse.realsize', '120']] as [string, string][]
    expect(read(old(pieces, 120, 'x'.repeat(60)))).toMatchObject([{ content }])
    expect(read(sparse(v1, block(map).toString() + 'x'.repeat(60)))).toMatchObject([{ content }])
    expect(read(old([], 3, ''))).toMatchObject([{ content: '\0\0\0' }])
  })

  const v1: [string, string][] = [['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0'], ['GNU.sparse.realsize', '8']]
  it.each<[string, Buffer]>([
    ['out of order', old([[5, 2], [0, 2]], 8, 'abcd')],
    ['out of order', old([[0, 2], [1, 2]], 8, 'abcd')],
    ['out of order', old([[0, 2], [7, 2]], 8, 'abcd')],
    ['not the data', old([[0, 2]], 8, 'abcd')],
    ['not the data', old([[0, 5]], 8, 'abcd')],
    ['is larger than', sparse([['GNU.sparse.size', String(2 ** 41)], ['GNU.sparse.map', '']], '')],
    ['no size', sparse([['GNU.sparse.map', '0,2']], 'ab')],
    ['odd', sparse([['GNU.sparse.size', '8'], ['GNU.sparse.map', '0,2,3']], 'ab')],
    ['no number', sparse([['GNU.sparse.size', '8'], ['GNU.sparse.map', '0,-2']], 'ab')],
    ['ends too early', sparse(v1, `300\n${'1\n'.repeat(254)}`)],
    ['ends too early', sparse(v1, 'ab')],
    ['no number', sparse(v1, block('x\n').toString())],
    ['no number', sparse(v1, block('1'.repeat(40)).toString())],
    ['more than', sparse(v1, block('99999999\n').toString())],
  ])('is told when broken: %s', (message, tar) => {
    expect(() => read(tar)).toThrow(expect.objectContaining({ kind: 'data-loss', message: expect.stringContaining(message) as string }))
  })

  it('is refused in a form that is not known', () => {
    expect(() => read(sparse([['GNU.sparse.major', '2'], ['GNU.sparse.minor', '0'], ['GNU.sparse.realsize', '8']], 'ab'))).toThrow(expect.objectContaining({ kind: 'not-implemented' }))
  })
})

describe('a broken archive', () => {
  it.each([
    ['a name holds a NUL', Buffer.concat([paxHeader([['path', 'a\0b']]), header({})])],
    ['an owner is out of range', Buffer.concat([paxHeader([['uid', '4294967295']]), header({})])],
    ['an owner is out of range', forged((bytes) => bytes.fill(0xff, 116, 124))],
    ['a device number is out of range', header({ flag: '3', devmajor: 4096 })],
    ['PAX size is not a number', Buffer.concat([paxHeader([['size', '1e9']]), header({})])],
    ['PAX mtime is not a time', Buffer.concat([paxHeader([['mtime', '1e9']]), header({})])],
    ['it ends too early', paxHeader([['path', 'x']])],
    ['it ends too early', Buffer.concat([header({ flag: 'K', size: 2 }), block('x\0')])],
    ['wrong checksum', Buffer.concat([Buffer.from('other'), encodeEntry(plain).subarray(5)])],
    ['a number is not octal', Buffer.alloc(512, 'x')],
    ['it ends too early', encodeEntry({ ...plain, size: 1 })],
    ['it ends too early', encodeEntry(plain).subarray(0, 100)],
    ['it ends too early', tarOf([{ name: 'x'.repeat(200) }]).subarray(0, 1024)],
    ['a size is negative', forged((block) => block.fill(0xff, 124, 136))],
    ['a number is out of range', forged((block) => block.fill(0x7f, 124, 136).set([0x80], 124))],
    ['a number is not octal', forged((block) => block.write('99', 124))],
    ['unknown type', forged((block) => block.write('Z', 156))],
    ['an extended header is too large', encodeHeader({ ...plain, flag: 'x', size: 2 ** 30 })],
  ])('is told: %s', (message, tar) => {
    expect(() => read(tar)).toThrow(expect.objectContaining({ kind: 'data-loss', message: expect.stringContaining(message) as string }))
  })
})

describe('PAX records', () => {
  it('count their own length', () => {
    for (const length of [0, 1, 88, 89, 90, 91, 92, 988, 989, 990, 991]) {
      const records = new Map([['key', Buffer.alloc(length, 'v')], ['other', Buffer.from('\n=')]])
      expect(decodePax(encodePax(records))).toEqual(records)
    }
  })

  it.each(['5', '5 a=b', '0 a=b\n', '-5 a=b\n', '999 a=b\n', '6 a=b\nx', '5 ab\n', '1 \n', '99999999999 a=b\n'])('are told when broken: %j', (text) => {
    expect(() => decodePax(Buffer.from(text))).toThrow(expect.objectContaining({ kind: 'data-loss' }))
  })
})
