import { expect, it } from 'vitest'
import { canFollow, checkMove, type ContainerStatus } from './state-machine.ts'

const all: ContainerStatus[] = ['created', 'starting', 'running', 'paused', 'restarting', 'exited', 'dead']

it('lets every state be reached, and death be the end', () => {
  const reached = new Set<ContainerStatus>(['created'])
  for (const before of reached) for (const next of all) if (canFollow(before, next)) reached.add(next)
  expect([...reached].toSorted()).toEqual(all.toSorted())
  expect(all.filter((next) => canFollow('dead', next))).toEqual(['dead'])
})

it.each([['created', 'running'], ['exited', 'paused'], ['exited', 'restarting'], ['restarting', 'running']] as const)('refuses that what is %s becomes %s', (before, next) => {
  expect(() => checkMove('c1', before, next)).toThrow(`a container that is ${before} cannot become ${next}`)
})
