import { expect, it } from 'vitest'
import { backOff, retryAfter } from './retry.ts'

const now = Date.parse('Wed, 21 Oct 2015 07:28:00 GMT')

it.each([
  [undefined, undefined],
  ['0', 0],
  ['7', 7000],
  ['31', 'too-long'],
  ['Wed, 21 Oct 2015 07:28:05 GMT', 5000],
  ['Wed, 21 Oct 2015 07:27:00 GMT', 0],
  ['Wed, 21 Oct 2015 08:28:00 GMT', 'too-long'],
  ['soon', undefined],
  ['-1e9', undefined],
])('waits after Retry-After: %s', (header, expected) => {
  expect(retryAfter(header, now)).toBe(expected)
})

it('waits longer each time, and never quite alike', () => {
  const waits = Array.from({ length: 50 }, () => backOff(3, 100))
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(200)
  expect(Math.max(...waits)).toBeLessThanOrEqual(600)
  expect(new Set(waits).size).toBeGreaterThan(1)
})
