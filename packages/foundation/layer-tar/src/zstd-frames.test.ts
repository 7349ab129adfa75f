import { constants, zstdCompressSync } from 'node:zlib'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createZstdFramesDecompress } from './zstd-frames.ts'

const skippable = (size: number, kind = 0): Buffer => {
  const frame = Buffer.alloc(8 + size, 0x28)
  frame.writeUInt32LE(0x184d2a50 + kind, 0)
  frame.writeUInt32LE(size, 4)
  return frame
}

async function inflated(stream: Buffer, pieceSize: number): Promise<Buffer> {
  const pieces = Array.from({ length: Math.ceil(stream.length / pieceSize) }, (_, index) => stream.subarray(index * pieceSize, (index + 1) * pieceSize))
  const chunks: Buffer[] = []
  await pipeline(Readable.from(pieces, { objectMode: false }), createZstdFramesDecompress(), async (from: AsyncIterable<Buffer>) => {
    for await (const chunk of from) chunks.push(chunk)
  })
  return Buffer.concat(chunks)
}

describe('zstd', () => {
  it('of any frames in any pieces gives all that is in them', async () => {
    const content = fc.oneof(fc.uint8Array({ maxLength: 3000 }), fc.nat(300_000).map((length) => new Uint8Array(length).fill(7))) // prettier-ignore
    const frame = fc.record({ content, checksum: fc.boolean(), size: fc.boolean() })
    const part = fc.oneof({ weight: 3, arbitrary: frame }, { weight: 1, arbitrary: fc.record({ skip: fc.nat(300), kind: fc.nat(15) }) })
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 6 }).filter((parts) => parts.some((each) => 'content' in each)), fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 100, max: 70_000 })), async (parts, pieceSize) => {
        const { ZSTD_c_checksumFlag: checksum, ZSTD_c_contentSizeFlag: size } = constants
        const stream = parts.map((each) =>
          'skip' in each ? skippable(each.skip, each.kind) : zstdCompressSync(each.content, { params: { [checksum]: Number(each.checksum), [size]: Number(each.size) } }),
        )
        const expected = Buffer.concat(parts.flatMap((each) => ('skip' in each ? [] : [each.content])))
        expect((await inflated(Buffer.concat(stream), pieceSize)).equals(expected)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  it.each([
    ['what is no frame after one', Buffer.concat([zstdCompressSync('a'), Buffer.from('garbage')])],
    ['a second frame that is cut off', Buffer.concat([zstdCompressSync('a'), zstdCompressSync(Buffer.alloc(1000, 'abc')).subarray(0, -3)])],
  ])('refuses %s', async (_, stream) => {
    for (const pieceSize of [1, 5, 65_536]) await expect(inflated(stream, pieceSize)).rejects.toThrow(/corruption|Unknown frame|unexpected end|Premature|Decompression/i)
  })
})
