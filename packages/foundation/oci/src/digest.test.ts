import { describe, expect, it } from 'vitest'
import { digestOf, isDigest, parseDigest, verified } from './digest.ts'

const hello = 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'

async function* chunks(...texts: string[]) {
  for (const text of texts) yield Buffer.from(text)
}

async function read(stream: AsyncIterable<Uint8Array>) {
  const parts: Uint8Array[] = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts).toString()
}

describe('digests', () => {
  it('are computed and taken apart', () => {
    expect(digestOf('hello')).toBe(hello)
    expect(parseDigest(hello)).toEqual({ algorithm: 'sha256', encoded: hello.slice(7) })
    expect(parseDigest(digestOf('x', 'sha512')).encoded).toHaveLength(128)
  })

  it.each([
    ['', 'invalid checksum digest format'],
    ['sha256', 'invalid checksum digest format'],
    [`sha256:${'g'.repeat(64)}`, 'invalid checksum digest format'],
    [`sha256:${'A'.repeat(64)}`, 'invalid checksum digest format'],
    [`sha256:../${'a'.repeat(61)}`, 'invalid checksum digest format'],
    ['sha256:abc', 'invalid checksum digest length'],
    [`md5:${'a'.repeat(32)}`, 'unsupported digest algorithm'],
    [`constructor:${'a'.repeat(64)}`, 'unsupported digest algorithm'],
  ])('refuse %s', (text, message) => {
    expect(() => parseDigest(text)).toThrow(message)
    expect(isDigest(text)).toBe(false)
  })

  it('verify a stream', async () => {
    expect(await read(verified(chunks('he', 'llo'), { digest: hello, size: 5 }))).toBe('hello')
    expect(await read(verified(chunks('hello'), { digest: hello }))).toBe('hello')
    await expect(read(verified(chunks('hell'), { digest: hello, size: 5 }))).rejects.toMatchObject({ kind: 'data-loss' })
    await expect(read(verified(chunks('hellx'), { digest: hello, size: 5 }))).rejects.toMatchObject({ kind: 'data-loss' })
    await expect(read(verified(chunks(), { digest: hello }))).rejects.toMatchObject({ kind: 'data-loss' })
  })

  it.each(['sha256', 'sha384', 'sha512'] as const)('verify by %s', async (algorithm) => {
    const digest = digestOf('hello', algorithm)
    expect(await read(verified(chunks('hel', 'lo'), { digest, size: 5 }))).toBe('hello')
    await expect(read(verified(chunks('hellx'), { digest, size: 5 }))).rejects.toMatchObject({ kind: 'data-loss' })
  })

  it('never pass on more than was expected', async () => {
    let passed = 0
    const reading = async () => {
      for await (const chunk of verified(chunks('hello', 'x', 'y'), { digest: hello, size: 5 })) passed += chunk.length
    }
    await expect(reading()).rejects.toMatchObject({ kind: 'data-loss', message: expect.stringContaining('more than the expected 5 bytes') as string })
    expect(passed).toBe(5)
  })
})
