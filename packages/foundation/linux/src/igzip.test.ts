import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { GzipInflater } from './igzip.ts'

const text = Buffer.concat(Array.from({ length: 300 }, (_, index) => Buffer.concat([randomBytes(1000), Buffer.from(`line ${index} `.repeat(300))])))

function inflate(pieces: Iterable<Uint8Array>, chunkSize?: number): Buffer {
  const inflater = new GzipInflater(chunkSize)
  const out: Buffer[] = []
  for (const piece of pieces) for (const chunk of inflater.push(piece)) out.push(Buffer.from(chunk))
  inflater.finish()
  return Buffer.concat(out)
}

function* cut(whole: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size)
}

describe.skipIf(!GzipInflater.isAvailable())('GzipInflater (needs libisal2)', () => {
  it('makes the same as zlib, whatever the pieces', () => {
    for (const level of [0, 1, 6, 9]) {
      const zipped = gzipSync(text, { level })
      for (const size of [13, 4096, 65_536, zipped.length]) expect(inflate(cut(zipped, size)).equals(text)).toBe(true)
      expect(inflate([zipped], 1000).equals(text)).toBe(true)
    }
    expect(inflate([gzipSync('')])).toEqual(Buffer.alloc(0))
  })

  it('takes a header with all its fields', () => {
    const zipped = gzipSync('content')
    const fields = Buffer.concat([Buffer.from([5, 0]), Buffer.from('extra'), Buffer.from('name\0'), Buffer.from('comment\0')])
    const whole = Buffer.concat([zipped.subarray(0, 3), Buffer.of(0x1c), zipped.subarray(4, 10), fields, zipped.subarray(10)])
    for (const size of [1, 3, 100]) expect(inflate(cut(whole, size)).toString()).toBe('content')
  })

  it('takes several members, and leaves alone what follows them', () => {
    const members = Buffer.concat([gzipSync('one '), gzipSync(''), gzipSync('two')])
    for (const size of [1, 5, 1000]) {
      expect(inflate(cut(members, size)).toString()).toBe('one two')
      expect(inflate(cut(Buffer.concat([members, Buffer.alloc(700), gzipSync('three')]), size)).toString()).toBe('one two')
    }
  })

  it('finds what is broken and what ends too early', () => {
    const zipped = gzipSync(text)
    const flip = (at: number) => {
      const copy = Buffer.from(zipped)
      copy[at]! ^= 0xff
      return copy
    }
    for (const at of [0, 2, zipped.length >> 1, zipped.length - 8, zipped.length - 1]) expect(() => inflate([flip(at)])).toThrow(expect.objectContaining({ code: 'Z_DATA_ERROR' }))
    for (const length of [0, 1, 10, zipped.length >> 1, zipped.length - 8, zipped.length - 1]) {
      for (const size of [100, 1_000_000]) expect(() => inflate(cut(zipped.subarray(0, length), size))).toThrow(expect.objectContaining({ code: 'Z_BUF_ERROR' }))
    }
    expect(() => inflate([Buffer.concat([gzipSync('one'), Buffer.of(0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)])])).toThrow(expect.objectContaining({ code: 'Z_DATA_ERROR' }))
  })
})
