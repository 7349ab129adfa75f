import { Readable } from 'node:stream'
import { BerthError, isKind } from '@berth/core'
import { describe, expect, it } from 'vitest'
import { demultiplex } from './output-frames.ts'

function frame(stream: number, text: string, length = text.length): Buffer {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0])
  header.writeUInt32BE(length, 4)
  return Buffer.concat([header, Buffer.from(text)])
}

async function read(...chunks: Buffer[]): Promise<string> {
  let text = ''
  const source = (async function* () {
    yield* chunks
  })()
  for await (const { stream, data } of demultiplex(source)) text += `${stream}:${Buffer.from(data).toString()};`
  return text
}

describe('demultiplex', () => {
  it('tells the outputs apart', async () => {
    expect(await read(Buffer.concat([frame(1, 'out'), frame(2, 'err'), frame(1, '')]))).toBe('stdout:out;stderr:err;')
  })

  it('puts frames together that come in any pieces', async () => {
    const bytes = Buffer.concat([frame(1, 'out'), frame(2, 'err')])
    const pieces = [...bytes].map((byte) => Buffer.from([byte]))
    expect((await read(...pieces)).replaceAll(/;stdout:|;stderr:(?=rr?;|r;)/g, '')).toBe('stdout:out;stderr:err;')
  })

  it.each([
    ['another protocol', Buffer.from('HTTP/1.1 200 OK'), 'STREAM_CORRUPT'],
    ['an unknown stream', frame(4, 'x'), 'STREAM_CORRUPT'],
    ['an end within a header', frame(1, 'x').subarray(0, 5), 'STREAM_TRUNCATED'],
    ['an end within a frame', frame(1, 'x', 4_000_000_000), 'STREAM_TRUNCATED'],
  ])('refuses %s', async (_, bytes, code) => {
    await expect(read(bytes)).rejects.toMatchObject({ kind: 'data-loss', code })
  })

  it('throws what the engine says of itself', async () => {
    await expect(read(frame(1, 'out'), frame(3, 'disk full\n'))).rejects.toMatchObject({ kind: 'internal', message: 'disk full' })
  })

  /** Numbers that look random and are the same each time. */
  function random(seed: number): (below: number) => number {
    let state = seed
    return (below) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
  }

  it('gives every byte of any frames in any pieces, and of garbage only errors of its own', async () => {
    for (let seed = 1; seed <= 300; seed++) {
      const next = random(seed)
      const frames = Array.from({ length: next(8) }, () => ({ stream: 1 + next(2), text: String.fromCharCode(97 + next(26)).repeat(next(40)) }))
      const bytes = Buffer.concat(frames.map(({ stream, text }) => frame(stream, text)))
      const pieces: Buffer[] = []
      for (let at = 0; at < bytes.length; ) pieces.push(bytes.subarray(at, (at += 1 + next(12))))
      const seen = { stdout: '', stderr: '' }
      for await (const { stream, data } of demultiplex(Readable.from(pieces))) seen[stream] += Buffer.from(data).toString()
      const textOf = (wanted: number): string => frames.map(({ stream, text }) => (stream === wanted ? text : '')).join('')
      expect(seen).toEqual({ stdout: textOf(1), stderr: textOf(2) })

      for (let times = 0; bytes.length > 0 && times < 3; times++) bytes[next(bytes.length)] = next(256)
      const outcome = await read(...pieces).catch((error: unknown) => error)
      expect(typeof outcome === 'string' || (outcome instanceof BerthError && isKind(outcome, 'data-loss', 'internal'))).toBe(true)
    }
  })
})
