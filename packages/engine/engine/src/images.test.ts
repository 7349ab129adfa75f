import { describe, expect, it } from 'vitest'
import { searchFilters } from './images.ts'

const filters = (entries: Record<string, string[]>): Map<string, string[]> => new Map(Object.entries(entries))

describe('filters of a search', () => {
  it.each<[Record<string, string[]>, object]>([
    [{}, {}],
    [{ 'is-official': ['true'] }, { official: true }],
    [{ 'is-official': ['0'], 'is-automated': ['1'] }, { official: false, automated: true }],
    [{ stars: ['3', '10'] }, { stars: 10 }],
  ])('%o', (given, read) => {
    expect(searchFilters(filters(given))).toEqual(read)
  })

  it.each([
    [{ stars: ['many'] }, "invalid filter 'stars=many'"],
    [{ 'is-official': ['perhaps'] }, "invalid filter 'is-official=[perhaps]'"],
    [{ 'is-official': ['true', 'false'] }, "invalid filter 'is-official=[true false]'"],
    [{ name: ['x'] }, "invalid filter 'name'"],
  ])('refuses %o', (given, message) => {
    expect(() => searchFilters(filters(given))).toThrow(message)
  })
})
