import { cpus } from 'node:os'
import type { HostConfig, Resources } from '@berth/api-types'
import type { KernelLimit, MachineFeatures } from '../spec/index.ts'
import { invalid } from './validate-config.ts'

const smallestMemory = 6 * 1024 * 1024

/** What is left out where the kernel has no such limit, with Docker's words for it. */
const discarded: { needs: KernelLimit; fields: (keyof Resources)[]; what: string; how: string }[] = [
  { needs: 'memory', fields: ['Memory', 'MemorySwap'], what: 'memory limit capabilities or the cgroup is not mounted', how: 'Limitation discarded' },
  { needs: 'swappiness', fields: ['MemorySwappiness'], what: 'memory swappiness capabilities or the cgroup is not mounted', how: 'Memory swappiness discarded' },
  { needs: 'reservation', fields: ['MemoryReservation'], what: 'memory soft limit capabilities or the cgroup is not mounted', how: 'Limitation discarded' },
  { needs: 'kernelTcp', fields: ['KernelMemoryTCP'], what: 'kernel memory TCP limit capabilities or the cgroup is not mounted', how: 'Limitation discarded' },
  { needs: 'oomKillDisable', fields: ['OomKillDisable'], what: 'OomKillDisable', how: 'OomKillDisable discarded' },
  { needs: 'pids', fields: ['PidsLimit'], what: 'PIDs limit capabilities or the cgroup is not mounted', how: 'PIDs limit discarded' },
  { needs: 'cpuShares', fields: ['CpuShares'], what: 'CPU shares or the cgroup is not mounted', how: 'Shares discarded' },
  { needs: 'cpuQuota', fields: ['CpuPeriod', 'CpuQuota'], what: 'CPU CFS scheduler', how: 'CPU period/quota discarded' },
  { needs: 'cpuset', fields: ['CpusetCpus', 'CpusetMems'], what: 'cpuset or the cgroup is not mounted', how: 'Cpuset discarded' },
  { needs: 'blkioWeight', fields: ['BlkioWeight'], what: 'Block I/O weight or the cgroup is not mounted', how: 'Weight discarded' },
  { needs: 'blkioWeightDevice', fields: ['BlkioWeightDevice'], what: 'Block I/O weight_device or the cgroup is not mounted', how: 'Weight-device discarded' },
  { needs: 'blkioReadBps', fields: ['BlkioDeviceReadBps'], what: 'BPS Block I/O read limit or the cgroup is not mounted', how: 'Block I/O BPS read limit discarded' },
  { needs: 'blkioWriteBps', fields: ['BlkioDeviceWriteBps'], what: 'BPS Block I/O write limit or the cgroup is not mounted', how: 'Block I/O BPS write limit discarded' },
  { needs: 'blkioReadIops', fields: ['BlkioDeviceReadIOps'], what: 'IOPS Block read limit or the cgroup is not mounted', how: 'Block I/O IOPS read limit discarded' },
  { needs: 'blkioWriteIops', fields: ['BlkioDeviceWriteIOps'], what: 'IOPS Block write limit or the cgroup is not mounted', how: 'Block I/O IOPS write limit discarded' },
]

/** Whether a member asks for something: zero does of swappiness only. */
function isGiven(field: keyof Resources, value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : Boolean(value) || (field === 'MemorySwappiness' && value === 0)
}

export interface CheckedResources<T extends Resources> {
  resources: T
  warnings: string[]
}

/**
 * Checks limits against each other and the machine, in an update only what it changes. Gives them without what the machine cannot do, and a warning for each
 * such thing. Throws `invalid-argument` for what cannot be.
 */
export function validateResources<T extends Resources>(asked: T, machine: MachineFeatures, { isUpdate = false } = {}): CheckedResources<T> {
  const resources: T = { ...asked }
  // -1 is the old way to say nothing of it.
  if (resources.MemorySwappiness === -1) delete resources.MemorySwappiness
  const warnings: string[] = []
  for (const { needs, fields, what, how } of discarded) {
    const given = fields.filter((field) => isGiven(field, resources[field]))
    if (given.length === 0 || machine.limits.has(needs)) continue
    for (const field of given) delete resources[field]
    warnings.push(`Your kernel does not support ${what}. ${how}.`)
  }
  if (resources.Memory && resources.MemorySwap !== -1 && !machine.swap) {
    warnings.push('Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.')
    resources.MemorySwap = -1
  }
  validateMemory(resources, isUpdate)
  validateProcessors(resources, machine)
  validateWindowsOnly(resources)
  if (resources.BlkioWeight && (resources.BlkioWeight < 10 || resources.BlkioWeight > 1000)) throw invalid('Range of blkio weight is from 10 to 1000')
  if (resources.OomKillDisable && !resources.Memory) {
    warnings.push('OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.')
  }
  if (resources.KernelMemoryTCP) warnings.push('KernelMemoryTCP depends on the OCI runtime: runc ignores it.')
  if (resources.CpuPercent) warnings.push('linux does not support CPU percent. Percent discarded.')
  if (resources.CpuCount) warnings.push('linux does not support CPU count. Count discarded.')
  delete resources.CpuPercent
  delete resources.CpuCount
  return { resources, warnings }
}

function validateMemory({ Memory = 0, MemorySwap = 0, MemoryReservation = 0, MemorySwappiness, KernelMemoryTCP = 0 }: Resources, isUpdate: boolean): void {
  if (Memory && Memory < smallestMemory) throw invalid('Minimum memory limit allowed is 6MB')
  if (MemorySwap < -1 || KernelMemoryTCP < -1) throw invalid('a memory limit is a number of bytes, or -1 for none')
  if (Memory && MemorySwap > 0 && MemorySwap < Memory) throw invalid('Minimum memoryswap limit should be larger than memory limit, see usage')
  if (!Memory && MemorySwap > 0 && !isUpdate) throw invalid('You should always set the Memory limit when using Memoryswap limit, see usage')
  if (typeof MemorySwappiness === 'number' && (MemorySwappiness < 0 || MemorySwappiness > 100)) {
    throw invalid(`Invalid value: ${MemorySwappiness}, valid memory swappiness range is 0-100`)
  }
  if (MemoryReservation && MemoryReservation < smallestMemory) throw invalid('Minimum memory reservation allowed is 6MB')
  if (Memory && MemoryReservation > Memory) throw invalid('Minimum memory limit can not be less than memory reservation limit, see usage')
}

function validateProcessors(resources: Resources, { limits, memoryNodes }: MachineFeatures): void {
  const { NanoCpus = 0, CpuPeriod = 0, CpuQuota = 0, CpuShares = 0, CpuRealtimePeriod = 0, CpuRealtimeRuntime = 0 } = resources
  // Not `availableParallelism`, which is what this process may use, not what the machine has.
  const processors = cpus().length
  if (NanoCpus && CpuPeriod) throw invalid('Conflicting options: Nano CPUs and CPU Period cannot both be set')
  if (NanoCpus && CpuQuota) throw invalid('Conflicting options: Nano CPUs and CPU Quota cannot both be set')
  if (NanoCpus && !limits.has('cpuQuota')) throw invalid('NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted')
  if (NanoCpus < 0 || NanoCpus > processors * 1e9) {
    throw invalid(`range of CPUs is from 0.01 to ${processors}.00, as there are only ${processors} CPUs available`)
  }
  if (CpuShares && (CpuShares < 2 || CpuShares > 262_144)) throw invalid(`shares: invalid argument: ${CpuShares} is not in the range 2-262144`)
  if (CpuPeriod && (CpuPeriod < 1000 || CpuPeriod > 1_000_000)) throw invalid('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)')
  if (CpuQuota > 0 && CpuQuota < 1000) throw invalid('CPU cfs quota can not be less than 1ms (i.e. 1000)')
  if ((CpuRealtimePeriod || CpuRealtimeRuntime) && !limits.has('cpuRealtime')) throw invalid('Your kernel does not support CPU real-time scheduler')
  if (CpuRealtimePeriod && CpuRealtimeRuntime > CpuRealtimePeriod) throw invalid('cpu real-time runtime cannot be higher than cpu real-time period')
  validateSet(resources.CpusetCpus, 'cpus', 'CPUs', processors === 1 ? '0' : `0-${processors - 1}`)
  validateSet(resources.CpusetMems, 'mems', 'memory nodes', memoryNodes)
}

function validateWindowsOnly({ IOMaximumIOps, IOMaximumBandwidth }: Resources): void {
  if (IOMaximumBandwidth) throw invalid('Invalid QoS settings: linux does not support configuration of maximum bandwidth')
  if (IOMaximumIOps) throw invalid('Invalid QoS settings: linux does not support configuration of maximum IOPs')
}

/** First and last of each range of a list such as `0-2,7`; undefined when it is none. */
function rangesOf(list: string): [number, number][] | undefined {
  const ranges = list.split(',').map((part): [number, number] | undefined => {
    const [, first, last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part.trim()) ?? []
    return first !== undefined && Number(last) >= Number(first) ? [Number(first), Number(last)] : undefined
  })
  return ranges.some((range) => range === undefined) ? undefined : (ranges as [number, number][])
}

function validateSet(value: string | undefined, field: string, what: string, available: string): void {
  if (!value) return
  const ranges = rangesOf(value)
  if (!ranges) throw invalid(`Invalid value ${value} for cpuset ${field}: invalid format: ${value}`)
  const there = rangesOf(available) ?? []
  const isThere = (number: number): boolean => there.some(([first, last]) => number >= first && number <= last)
  if (!ranges.every(([first, last]) => isThere(first) && isThere(last))) throw invalid(`Requested ${what} are not available - requested ${value}, available: ${available}`)
}

const limitNames = new Set(['core', 'cpu', 'data', 'fsize', 'locks', 'memlock', 'msgqueue', 'nice', 'nofile', 'nproc', 'rss', 'rtprio', 'rttime', 'sigpending', 'stack', 'as'])

/** Throws `invalid-argument` for a limit of processes that does not exist or whose soft limit is over the hard one. */
export function validateUlimits(ulimits: HostConfig['Ulimits']): void {
  for (const { Name = '', Soft = 0, Hard = 0 } of ulimits ?? []) {
    if (!limitNames.has(Name)) throw invalid(`invalid ulimit type: ${Name}`)
    if (Hard >= 0 && (Soft < 0 || Soft > Hard)) throw invalid(`ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`)
  }
}
