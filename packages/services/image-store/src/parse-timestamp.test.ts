import { expect, it } from 'vitest'
import { parseTimestamp } from './parse-timestamp.ts'

const now = Date.parse('2026-05-05T12:00:00Z')

it.each([
  ['1700000000', 1_700_000_000_000],
  ['1700000000.5', 1_700_000_000_500],
  ['1h30m', now - 5_400_000],
  ['10s', now - 10_000],
  ['1.5h', now - 5_400_000],
  ['2026-01-01', Date.parse('2026-01-01T00:00:00')],
  ['2026-01-01T10', Date.parse('2026-01-01T10:00:00')],
  ['2026-01-01Z', Date.parse('2026-01-01T00:00:00Z')],
  ['2026-01-01T10:00:00.123456789+02:00', Date.parse('2026-01-01T08:00:00.123Z')],
])('%s', (value, expected) => {
  expect(parseTimestamp(value, now)).toBe(expected)
})

it.each(['', 'yesterday', '10x', '2026-13-01', '-5'])('%j is refused', (value) => {
  expect(() => parseTimestamp(value)).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
})
