import { expect, it } from 'vitest'
import { globPattern } from './glob-pattern.ts'

it.each([
  ['busybox*', 'busybox:latest', true],
  ['*', 'a/b', false],
  ['*/*', 'a/b', true],
  ['a?c', 'abc', true],
  ['a?c', 'a/c', false],
  ['[ab]c', 'bc', true],
  ['[^ab]c', 'bc', false],
  ['[a-c]x', 'bx', true],
  ['a.c', 'abc', false],
  ['a\\*', 'a*', true],
  ['a\\*', 'ab', false],
  ['(a+)+$', 'aaa', false],
  ['', '', true],
])('%j matches %j: %j', (pattern, text, expected) => {
  expect(globPattern(pattern)(text)).toBe(expected)
})

it.each(['[a', 'a\\', '[', '[]'])('%j is refused', (pattern) => {
  expect(() => globPattern(pattern)).toThrow('syntax error in pattern')
})

it('answers hostile patterns at once', () => {
  expect(globPattern(`${'*a'.repeat(200)}b`)('a'.repeat(255))).toBe(false)
})
