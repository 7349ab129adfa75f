import { expect, it, vi } from 'vitest'
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

it('counts a probe that neither ends nor can be killed as failed, and begins no other behind it', async () => {
  let probes = 0
  const statuses: string[] = []
  const { promise: told, resolve: tell } = Promise.withResolvers<void>()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const within = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => AbortSignal.abort(new DOMException('', 'TimeoutError')))
  try {
    using _monitor = new HealthMonitor({
      config: { Test: ['CMD', 'true'], Interval: 1_000_000, Timeout: 1_000_000, Retries: 2 },
      shell: [],
      health: { Status: 'starting', FailingStreak: 0, Log: [] },
      startedAt: Date.now(),
      onProbed: () => {},
      probe: () => (probes++, new Promise(() => {})),
      isPaused: () => false,
      onStatus: (status) => (statuses.push(status), tell()),
    })
    await Promise.race([told, vi.advanceTimersByTimeAsync(1000)])
  } finally {
    within.mockRestore()
    vi.useRealTimers()
  }
  expect(statuses).toEqual(['unhealthy'])
  expect(probes).toBeLessThanOrEqual(1)
})
