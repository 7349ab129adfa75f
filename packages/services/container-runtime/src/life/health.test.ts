import { expect, it } from 'vitest'
import { HealthMonitor } from './health.ts'

it('leaves a paused container in peace', async () => {
  const looked = Promise.withResolvers<void>()
  let looks = 0
  let probes = 0
  using monitor = new HealthMonitor({
    config: { Test: ['CMD', 'true'], Interval: 1_000_000, Retries: 1 },
    shell: [],
    health: { Status: 'starting', FailingStreak: 0, Log: [] },
    startedAt: Date.now(),
    onProbed: () => probes++,
    async probe() {
      probes++
      throw new Error('the container is paused')
    },
    isPaused() {
      if (++looks === 3) looked.resolve()
      return true
    },
    onStatus: () => {},
  })
  await looked.promise
  expect(probes).toBe(0)
  expect(monitor.status).toBe('starting')
})
