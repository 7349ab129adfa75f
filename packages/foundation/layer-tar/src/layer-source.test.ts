import { randomBytes } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { GzipInflater } from '@berth/linux'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Growth, tarIn } from './layer-source.ts'

const content = Buffer.concat([randomBytes(600_000), Buffer.alloc(600_000)])
let directory: string

beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'berth-source-'))))
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(directory, { recursive: true })
})

async function read(file: Buffer): Promise<Buffer> {
  const path = join(directory, 'layer')
  writeFileSync(path, file)
  const fd = openSync(path, 'r')
  const growth = new Growth()
  growth.grow(file.length >> 1)
  const pieces: Buffer[] = []
  try {
    for await (const piece of tarIn(fd, growth)) {
      pieces.push(Buffer.from(piece))
      growth.end(file.length)
    }
    return Buffer.concat(pieces)
  } finally {
    closeSync(fd)
  }
}

describe.each([['with ISA-L, if it is there', GzipInflater.isAvailable()], ['without ISA-L', false]])('a layer in gzip, %s', (_, isAvailable) => {
  beforeEach(() => void vi.spyOn(GzipInflater, 'isAvailable').mockReturnValue(isAvailable))

  it('is inflated while its file grows, its members one after the other, without what follows them', async () => {
    const file = Buffer.concat([gzipSync(content.subarray(0, 500_000)), gzipSync(content.subarray(500_000)), Buffer.alloc(1000)])
    expect((await read(file)).equals(content)).toBe(true)
  })

  it('is found to be broken, or cut off', async () => {
    const file = gzipSync(content)
    const broken = Buffer.from(file)
    broken[file.length - 6]! ^= 1
    for (const bad of [broken, file.subarray(0, file.length - 1)]) await expect(read(bad)).rejects.toMatchObject({ kind: 'data-loss', code: 'LAYER_CORRUPT' })
  })
})
