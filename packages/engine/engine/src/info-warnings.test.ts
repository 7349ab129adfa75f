import { expect, it } from 'vitest'
import { infoWarnings } from './info-warnings.ts'

const everything = { MemoryLimit: true, SwapLimit: true, OomKillDisable: true, CpuCfsQuota: true, CpuCfsPeriod: true, CPUShares: true, CPUSet: true, PidsLimit: true, IPv4Forwarding: true, CgroupVersion: '1' as const }

it('warns of what the machine lacks, as dockerd does', () => {
  expect(infoWarnings(everything)).toEqual([])
  expect(infoWarnings({ ...everything, SwapLimit: false, IPv4Forwarding: false })).toEqual(['WARNING: No swap limit support', 'WARNING: IPv4 forwarding is disabled'])
})

it('does not miss on cgroup v2 what only v1 has', () => {
  expect(infoWarnings({ ...everything, OomKillDisable: false })).toEqual(['WARNING: No oom kill disable support'])
  expect(infoWarnings({ ...everything, OomKillDisable: false, CgroupVersion: '2' })).toEqual([])
})
