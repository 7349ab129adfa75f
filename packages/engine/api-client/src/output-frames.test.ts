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
})
