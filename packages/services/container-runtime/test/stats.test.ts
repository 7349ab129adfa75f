import type { ContainerStatsResponse } from '@berth/api-types'
import { expect, it } from 'vitest'
import { type FakeEngine, fakeEngine } from './fake-engine.ts'

async function running(): Promise<{ engine: FakeEngine; counted: () => number }> {
  let counted = 0
  const engine = await fakeEngine({}, ({ networks }) => ({
    networks: {
      ...networks,
      async counters() {
        counted++
        return {}
      },
    },
  }))
  await engine.runtime.containers.create('web', { Image: 'busybox', Cmd: ['sleep', '1000'] }, {})
  await engine.runtime.containers.start('web')
  return { engine, counted: () => counted }
}

const take = async (samples: AsyncIterable<ContainerStatsResponse>, count: number): Promise<ContainerStatsResponse[]> => {
  const taken: ContainerStatsResponse[] = []
  for await (const sample of samples) if (taken.push(sample) === count) break
  return taken
}

it('samples a container once for all who watch it, each sample compared with the one before', async () => {
  const { engine, counted } = await running()
  await using _ = engine
  const { signal } = new AbortController()
  const watched = await Promise.all(Array.from({ length: 20 }, () => take(engine.runtime.containers.stats('web', { stream: true, oneShot: false, signal }), 3)))
  for (const [, second, third] of watched) {
    expect(third?.preread).toBe(second?.read)
    expect(third?.precpu_stats).toEqual(second?.cpu_stats)
  }
  expect(new Set(watched.map(([, , third]) => third?.read)).size).toBe(1)
  // The first, and two rounds.
  expect(counted()).toBe(3)
})

it('ends for who leaves, for a container that is removed, and with the engine', async () => {
  const { engine } = await running()
  await using _ = engine
  const leaving = new AbortController()
  const { signal } = new AbortController()
  const ended = Promise.all([leaving.signal, signal].map((own) => take(engine.runtime.containers.stats('web', { stream: true, oneShot: false, signal: own }), 1000)))
  await take(engine.runtime.containers.stats('web', { stream: true, oneShot: false, signal }), 1)
  leaving.abort()
  await engine.runtime.containers.remove('web', { force: true, volumes: false, link: false })
  expect((await ended).every((samples) => samples.length > 0)).toBe(true)
})

it('is one sample where one is asked for, of nothing where nothing runs', async () => {
  const { engine, counted } = await running()
  await using _ = engine
  const { signal } = new AbortController()
  const [once] = await take(engine.runtime.containers.stats('web', { stream: false, oneShot: true, signal }), 2)
  expect([once?.name, counted()]).toEqual(['/web', 1])
  expect(Date.parse(once?.read ?? '')).toBeGreaterThan(0)
  await engine.runtime.containers.kill('web', {})
  await engine.event('die')
  const [after, ...more] = await take(engine.runtime.containers.stats('web', { stream: false, oneShot: false, signal }), 2)
  expect([after?.read, more]).toEqual(['0001-01-01T00:00:00Z', []])
})
