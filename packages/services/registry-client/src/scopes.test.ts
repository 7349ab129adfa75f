import { expect, it } from 'vitest'
import { mergeScopes } from './scopes.ts'

it.each([
  [[['repository:a:pull'], ['repository:a:push']], ['repository:a:pull,push']],
  [[['repository:b:pull', 'repository:a:push,pull']], ['repository:a:pull,push', 'repository:b:pull']],
  [[['registry:catalog:*']], ['registry:catalog:*']],
  [[['repository:host:5000/app:pull']], ['repository:host:5000/app:pull']],
  [[['nonsense', '', 'a:b', 'repository:a b:pull']], []],
])('%j', (lists, merged) => {
  expect(mergeScopes(...lists)).toEqual(merged)
})

it('has an end', () => {
  expect(mergeScopes(Array.from({ length: 1000 }, (_, index) => `repository:r${index}:pull`)).length).toBeLessThan(100)
})
