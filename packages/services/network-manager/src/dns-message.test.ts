import { describe, expect, it } from 'vitest'
import { answers, errorResponse, fitForUdp, isTruncated, nameData, parseQuery, type ParsedQuery, recordTypes, response, responseCodes } from './dns-message.ts'

/** A query of one question, perhaps with an OPT record of a size. */
export function queryFor(name: string, type: number = recordTypes.A, { id = 7, edns }: { id?: number; edns?: number } = {}): Buffer {
  const header = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns ? 1 : 0])
  const opt = edns ? Buffer.from([0, 0, recordTypes.OPT, edns >> 8, edns & 255, 0, 0, 0, 0, 0, 0]) : Buffer.alloc(0)
  return Buffer.concat([header, nameData(name)!, Buffer.from([type >> 8, type & 255, 0, 1]), opt])
}

const parsed = (message: Buffer) => (parseQuery(message) as Extract<ParsedQuery, { query: unknown }>).query

describe('queries', () => {
  it('are read with their size', () => {
    expect(parsed(queryFor('WEB.Front', recordTypes.AAAA))).toMatchObject({ id: 7, name: 'web.front', type: 28, class: 1, udpSize: 512, hasEdns: false })
    expect(parsed(queryFor('a', 1, { edns: 4096 }))).toMatchObject({ udpSize: 1232, hasEdns: true })
    expect(parsed(queryFor('a', 1, { edns: 1 }))).toMatchObject({ udpSize: 512 })
  })

  it('are answered, with EDNS when they have it', () => {
    const message = queryFor('a', 1, { edns: 1232 })
    const answer = response(message, parsed(message), responseCodes.noError, [Buffer.of(1, 2, 3, 4)])
    expect(answer.readUInt16BE(2)).toBe(0x8180)
    expect([4, 6, 8, 10].map((at) => answer.readUInt16BE(at))).toEqual([1, 1, 0, 1])
    expect(answer.includes(Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 88, 0, 4, 1, 2, 3, 4]))).toBe(true)
    expect(answers(answer, message, parsed(message))).toBe(true)
  })

  it('are told to come over TCP when the answer is too long', () => {
    const message = queryFor('a')
    const long = response(message, parsed(message), 0, Array.from({ length: 40 }, () => Buffer.alloc(4)))
    const short = fitForUdp(long, message, parsed(message))
    expect(isTruncated(short)).toBe(true)
    expect(short.length).toBeLessThanOrEqual(512)
    expect(fitForUdp(short, message, parsed(message))).toBe(short)
  })
})

describe('hostile messages', () => {
  const message = queryFor('web')
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['half a header', message.subarray(0, 11)],
    ['an answer', Buffer.concat([Buffer.of(0, 7, 0x80, 0), message.subarray(4)])],
  ])('%s is not answered', (_what, bytes) => {
    expect(parseQuery(bytes)).toBeUndefined()
  })

  it.each([
    ['no question', Buffer.from([0, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
    ['two questions', Buffer.concat([Buffer.from([0, 7, 1, 0, 0, 2]), message.subarray(6)])],
    ['a name without an end', message.subarray(0, 15)],
    ['a question without a class', message.subarray(0, -1)],
    ['a pointer to itself', Buffer.concat([message.subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])])],
    ['a label of 64 bytes', Buffer.concat([message.subarray(0, 12), Buffer.of(64), Buffer.alloc(64, 97), Buffer.from([0, 0, 1, 0, 1])])],
    ['a name of 300 bytes', Buffer.concat([message.subarray(0, 12), ...Array.from({ length: 10 }, () => Buffer.concat([Buffer.of(29), Buffer.alloc(29, 97)])), Buffer.from([0, 0, 1, 0, 1])])],
  ])('%s is a format error', (_what, bytes) => {
    expect(parseQuery(bytes)).toEqual({ id: 7, flags: 0x0100, error: responseCodes.formatError })
    expect(errorResponse(7, 0x0100, responseCodes.formatError)).toEqual(Buffer.from([0, 7, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]))
  })

  it('other operations are not implemented', () => {
    expect(parseQuery(Buffer.concat([Buffer.of(0, 7, 0x28, 0), message.subarray(4)]))).toMatchObject({ error: responseCodes.notImplemented })
  })

  it('no bytes at all make it throw', () => {
    let seed = 1
    let answered = 0
    const random = (): number => (seed = (seed * 48271) % 2147483647)
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.from(queryFor('some.name', random() % 300, { edns: 512 }))
      for (let change = random() % 6; change >= 0; change--) bytes[random() % bytes.length] = random() % 256
      const cut = bytes.subarray(0, random() % (bytes.length + 1))
      const result = parseQuery(cut)
      if (result && 'query' in result && response(cut, result.query, 0, [Buffer.alloc(4)]).length > 28) answered++
    }
    expect(answered).toBeGreaterThan(1000)
  })

  it('a dot in a label does not make it another name', () => {
    expect(parsed(Buffer.concat([message.subarray(0, 12), Buffer.from([3, 97, 46, 98, 0, 0, 1, 0, 1])])).name).toBe(String.raw`a\.b`)
  })

  it('the answer to another question is no answer', () => {
    const answer = response(message, parsed(message), 0, [])
    const other = queryFor('elsewhere')
    expect(answers(answer, other, parsed(other))).toBe(false)
    const otherId = queryFor('web', 1, { id: 8 })
    expect(answers(answer, otherId, parsed(otherId))).toBe(false)
    expect(answers(message, message, parsed(message))).toBe(false)
  })
})
