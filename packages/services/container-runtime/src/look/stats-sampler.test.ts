import { expect, it } from 'vitest'
import { systemCpu } from './stats-sampler.ts'

it('sums the time of all processors without counting guests twice', () => {
  const stat = 'cpu  10 20 30 40 50 60 70 80 1000 1000\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 1 2 3 4 5 6 7 8 9 10\nintr 5\n'
  expect(systemCpu(stat)).toEqual({ system_cpu_usage: 360 * 10_000_000, online_cpus: 2 })
})
