import { expect, it } from 'vitest'
import { parseUntil } from './prune.ts'

it.each([
  ['10m', 1_000_000 - 600_000],
  ['1h30m', 1_000_000 - 5_400_000],
  ['1700000000', 1_700_000_000_000],
  ['2023-11-14T22:13:20Z', 1_700_000_000_000],
])('reads %s', (text, time) => {
  expect(parseUntil(text, 1_000_000)).toBe(time)
})

it('refuses what is no time', () => {
  expect(() => parseUntil('yesterday', 0)).toThrow('failed to parse value as time or duration: "yesterday"')
})
