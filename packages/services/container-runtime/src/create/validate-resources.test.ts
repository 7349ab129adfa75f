import type { Resources } from '@berth/api-types'
import { describe, expect, it } from 'vitest'
import type { KernelLimit, MachineFeatures } from '../spec/index.ts'
import { validateResources, validateUlimits } from './validate-resources.ts'

const everything: KernelLimit[] = [
  'memory', 'reservation', 'swappiness', 'oomKillDisable', 'kernelTcp', 'cpuShares', 'cpuQuota', 'cpuRealtime', 'cpuset', 'pids', 'blkioWeight',
  'blkioWeightDevice', 'blkioReadBps', 'blkioWriteBps', 'blkioReadIops', 'blkioWriteIops',
] // prettier-ignore
const machine: MachineFeatures = { cgroups: 1, swap: true, limits: new Set(everything), hugepageSizes: [], memoryNodes: '0-1', appArmor: false, initPath: undefined, capabilities: 0n }
const check = (resources: Resources, changes: Partial<MachineFeatures> = {}) => validateResources(resources, { ...machine, ...changes })

describe('limits', () => {
  it('that the machine has are as asked for, without a warning', () => {
    const asked: Resources = { Memory: 64 << 20, MemorySwap: 128 << 20, CpuShares: 2, CpusetCpus: '0', CpusetMems: '0-1', PidsLimit: 5, BlkioWeight: 10 }
    expect(check(asked)).toEqual({ resources: asked, warnings: [] })
  })

  it('that the kernel lacks are left out, each with a warning', () => {
    const asked: Resources = {
      Memory: 64 << 20, MemorySwap: -1, MemorySwappiness: 0, MemoryReservation: 32 << 20, OomKillDisable: true, PidsLimit: 5, CpuShares: 5, CpuQuota: 5000, CpusetCpus: '0',
      BlkioWeight: 5, BlkioWeightDevice: [{ Path: '/dev/null', Weight: 10 }], BlkioDeviceReadBps: [{ Path: '/dev/null', Rate: 1 }],
    } // prettier-ignore
    const { resources, warnings } = check(asked, { limits: new Set() })
    expect(resources).toEqual({})
    expect(warnings).toHaveLength(11)
    expect(warnings).toContain('Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.')
    expect(() => check({ NanoCpus: 1e9 }, { limits: new Set() })).toThrow(/NanoCPUs can not be set/)
    expect(() => check({ CpuRealtimeRuntime: 1000 }, { limits: new Set() })).toThrow('Your kernel does not support CPU real-time scheduler')
  })

  it('of memory are without swap where the kernel does not account it', () => {
    expect(check({ Memory: 64 << 20 }, { swap: false })).toEqual({
      resources: { Memory: 64 << 20, MemorySwap: -1 },
      warnings: ['Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.'],
    })
  })

  it.each<[Resources, RegExp]>([
    [{ Memory: 5 }, /Minimum memory limit allowed is 6MB/],
    [{ Memory: 64 << 20, MemorySwap: 32 << 20 }, /memoryswap limit should be larger than memory limit/],
    [{ MemorySwap: 64 << 20 }, /always set the Memory limit when using Memoryswap/],
    [{ MemorySwappiness: 101 }, /valid memory swappiness range is 0-100/],
    [{ MemoryReservation: 5 }, /Minimum memory reservation allowed is 6MB/],
    [{ Memory: 8 << 20, MemoryReservation: 16 << 20 }, /can not be less than memory reservation limit/],
    [{ NanoCpus: 1e9, CpuPeriod: 1000 }, /Nano CPUs and CPU Period cannot both be set/],
    [{ NanoCpus: 1e15 }, /range of CPUs is from 0.01/],
    [{ CpuShares: -1 }, /shares: invalid argument/],
    [{ CpuPeriod: 5 }, /CPU cfs period can not be less than 1ms/],
    [{ CpuQuota: 5 }, /CPU cfs quota can not be less than 1ms/],
    [{ CpuRealtimePeriod: 1000, CpuRealtimeRuntime: 2000 }, /cpu real-time runtime cannot be higher/],
    [{ CpusetCpus: '0,x' }, /Invalid value 0,x for cpuset cpus/],
    [{ CpusetCpus: '0-9999' }, /Requested CPUs are not available/],
    [{ CpusetMems: '2' }, /Requested memory nodes are not available - requested 2, available: 0-1/],
    [{ BlkioWeight: 5 }, /Range of blkio weight is from 10 to 1000/],
  ])('%j cannot be', (resources, why) => {
    expect(() => check(resources)).toThrow(expect.objectContaining({ kind: 'invalid-argument', message: expect.stringMatching(why) }))
  })

  it('of processes exist, and are not over themselves', () => {
    expect(() => validateUlimits([{ Name: 'nofile', Soft: 1, Hard: 2 }, { Name: 'core', Soft: -1, Hard: -1 }])).not.toThrow()
    expect(() => validateUlimits([{ Name: 'nonsense', Soft: 1, Hard: 2 }])).toThrow('invalid ulimit type: nonsense')
    expect(() => validateUlimits([{ Name: 'nofile', Soft: 3, Hard: 2 }])).toThrow(/soft limit must be less than or equal to hard limit/)
  })
})
