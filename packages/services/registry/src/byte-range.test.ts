import { expect, it } from 'vitest'
import { parseByteRange } from './byte-range.ts'

it.each([
  [undefined, undefined],
  ['bytes=0-', { start: 0, end: 9 }],
  ['bytes=3-5', { start: 3, end: 5 }],
  ['bytes=3-500', { start: 3, end: 9 }],
  ['bytes=-4', { start: 6, end: 9 }],
  ['bytes=-40', { start: 0, end: 9 }],
  ['bytes=9-', { start: 9, end: 9 }],
  ['bytes=10-', 'unsatisfiable'],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=5-3', undefined],
  ['bytes=-', undefined],
  ['bytes=0-1,3-4', undefined],
  ['lines=0-1', undefined],
  [`bytes=${'9'.repeat(99)}-`, undefined],
] as const)('%s', (header, expected) => {
  expect(parseByteRange(header, 10)).toEqual(expected)
})

it('is unsatisfiable for nothing', () => {
  expect(parseByteRange('bytes=0-', 0)).toBe('unsatisfiable')
})
