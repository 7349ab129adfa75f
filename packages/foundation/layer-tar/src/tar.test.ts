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

describe('a broken archive', () => {
  it.each([
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

  it('is told when it holds sparse files', () => {
    expect(() => read(encodeHeader({ ...plain, flag: 'S' }))).toThrow(expect.objectContaining({ kind: 'not-implemented' }))
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
