import { expect, it } from 'vitest'
import { ContentCursor } from './content-cursor.ts'

const digits = '0123456789'

function counting() {
  const seen = { opened: 0, closed: 0 }
  const cursor = new ContentCursor(async function* () {
    seen.opened++
    try {
      for (const start of [0, 3, 6, 9]) yield Buffer.from(digits.slice(start, start + 3))
    } finally {
      seen.closed++
    }
  })
  const read = async (start: number, length: number) => Buffer.concat(await Array.fromAsync(cursor.read(start, length))).toString()
  return { cursor, read, seen }
}

it('opens a content once for parts that follow each other', async () => {
  const { cursor, read, seen } = counting()
  expect([await read(0, 4), await read(4, 4), await read(8, 4)]).toEqual(['0123', '4567', '89'])
  await cursor[Symbol.asyncDispose]()
  expect(seen).toEqual({ opened: 1, closed: 1 })
})

it('goes back, skips, and closes what it leaves', async () => {
  const { cursor, read, seen } = counting()
  expect([await read(0, 8), await read(5, 2), await read(9, 5), await read(50, 1)]).toEqual(['01234567', '56', '9', ''])
  for await (const _ of cursor.read(1, 8)) break
  expect(await read(4, 1)).toBe('4')
  await cursor[Symbol.asyncDispose]()
  expect(seen.closed).toBe(seen.opened)
})
