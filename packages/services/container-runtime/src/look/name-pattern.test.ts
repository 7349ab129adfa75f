import { expect, it } from 'vitest'
import { compilePatterns } from './name-pattern.ts'

it.each([
  ['web', 'my-web-1', true],
  ['^/web$', '/web', true],
  ['^/web$', '/webs', false],
  ['w.b', 'wub', true],
  ['(?i)WEB', 'web', true],
  ['[', '[', false],
  ['(', 'x', false],
])('%s on %s', async (pattern, text, expected) => {
  expect((await compilePatterns([pattern]))(text)).toBe(expected)
})

it('matches by any of several', async () => {
  const matches = await compilePatterns(['^a$', 'b'])
  expect(['a', 'xbx', 'aa'].map(matches)).toEqual([true, true, false])
})

it('ReDoS: is done in a moment with what ruins a backtracking matcher', async () => {
  const matches = await compilePatterns(['^(a+)+$', '(a|aa)*c', '(.*)*(.*)*(.*)*x'])
  expect(matches(`${'a'.repeat(200)}!`)).toBe(false)
})

it('refuses what takes long to compile', async () => {
  await expect(compilePatterns(['a{1000}'.repeat(80)])).rejects.toMatchObject({ kind: 'invalid-argument' })
  expect((await compilePatterns(['(a{1000}){1000}']))('a')).toBe(false)
})
