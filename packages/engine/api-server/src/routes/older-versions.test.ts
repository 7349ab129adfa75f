import { expect, it } from 'vitest'
import { inspectedFor, listedFor } from './older-versions.ts'

const container = { Id: '0123456789abcdef', Config: { Hostname: 'box' }, NetworkSettings: { Networks: { web: { Aliases: ['app', 'box'] }, bridge: {} } } }

it('gives clients before 1.45 the short ID and the host name among the aliases', () => {
  expect(inspectedFor(44, container).NetworkSettings?.Networks).toEqual({ web: { Aliases: ['app', 'box', '0123456789ab'] }, bridge: {} })
  expect(inspectedFor(45, container)).toBe(container)
})

it('tells clients before 1.46 of no annotations', () => {
  const list = [{ HostConfig: { NetworkMode: 'bridge', Annotations: { a: 'b' } } }]
  expect(listedFor(45, list)).toEqual([{ HostConfig: { NetworkMode: 'bridge' } }])
  expect(listedFor(51, list)).toBe(list)
})
