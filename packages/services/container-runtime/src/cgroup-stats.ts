import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ContainerBlkioStatEntry, ContainerStatsResponse } from '@berth/api-types'

/** Directories of one container's control group: by controller on v1, the one directory under `unified` on v2. */
export type CgroupDirectories = Readonly<Record<string, string | undefined>>

export type CgroupSample = Pick<ContainerStatsResponse, 'blkio_stats' | 'pids_stats' | 'memory_stats'> & {
  cpu: NonNullable<ContainerStatsResponse['cpu_stats']>
}

/** As the kernel says "no limit" on v1; more than any machine has. */
const unlimited = 2 ** 62

async function text(directory: string | undefined, file: string): Promise<string> {
  if (directory === undefined) return ''
  // A controller that is not there, or a container that has just ended, counts nothing.
  return readFile(join(directory, file), 'utf8').catch(() => '')
}

async function number(directory: string | undefined, file: string): Promise<number> {
  return Number((await text(directory, file)).trim()) || 0
}

/** `name value` lines. */
function pairs(content: string): Record<string, number> {
  const rows = content.trim().split('\n').filter(Boolean).map((line): [string, number] => {
    const [name = '', value] = line.split(/\s+/)
    return [name, Number(value)]
  }) // prettier-ignore
  return Object.fromEntries(rows)
}

/** `8:0 Read 123` lines of v1. */
function entriesV1(content: string): ContainerBlkioStatEntry[] {
  return [...content.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map(([, major, minor, op, value]) => ({
    major: Number(major), minor: Number(minor), op: op ?? '', value: Number(value),
  })) // prettier-ignore
}

/** `8:0 rbytes=1 wbytes=2 rios=3 …` lines of v2. */
function entriesV2(content: string, fields: Record<string, string>): ContainerBlkioStatEntry[] {
  return content.split('\n').flatMap((line) => {
    const device = /^(\d+):(\d+) (.*)$/.exec(line)
    if (!device) return []
    const values = new Map((device[3] ?? '').split(' ').map((part) => part.split('=', 2) as [string, string]))
    return Object.entries(fields)
      .filter(([field]) => values.has(field))
      .map(([field, op]) => ({ major: Number(device[1]), minor: Number(device[2]), op, value: Number(values.get(field)) }))
  })
}

async function readV1(directories: CgroupDirectories, machineMemory: number): Promise<CgroupSample> {
  const { memory, cpuacct, cpu, pids, blkio } = directories
  const [usage, maxUsage, failcnt, limit, memoryStat, total, perCpu, times, throttled, current, pidsMax, bytes, operations] = await Promise.all([
    number(memory, 'memory.usage_in_bytes'),
    number(memory, 'memory.max_usage_in_bytes'),
    number(memory, 'memory.failcnt'),
    number(memory, 'memory.limit_in_bytes'),
    text(memory, 'memory.stat'),
    number(cpuacct, 'cpuacct.usage'),
    text(cpuacct, 'cpuacct.usage_percpu'),
    text(cpuacct, 'cpuacct.stat'),
    text(cpu, 'cpu.stat'),
    number(pids, 'pids.current'),
    text(pids, 'pids.max'),
    text(blkio, 'blkio.throttle.io_service_bytes_recursive'),
    text(blkio, 'blkio.throttle.io_serviced_recursive'),
  ])
  const { user = 0, system = 0 } = pairs(times)
  const throttling = pairs(throttled)
  const ticks = 1e9 / 100
  return {
    cpu: {
      cpu_usage: {
        total_usage: total,
        percpu_usage: perCpu.trim().split(/\s+/).filter(Boolean).map(Number),
        usage_in_usermode: user * ticks,
        usage_in_kernelmode: system * ticks,
      },
      throttling_data: {
        periods: throttling['nr_periods'] ?? 0,
        throttled_periods: throttling['nr_throttled'] ?? 0,
        throttled_time: throttling['throttled_time'] ?? 0,
      },
    },
    memory_stats: { usage, max_usage: maxUsage, failcnt, limit: Math.min(limit || unlimited, machineMemory), stats: pairs(memoryStat) },
    pids_stats: pidsStats(current, pidsMax),
    blkio_stats: { io_service_bytes_recursive: entriesV1(bytes), io_serviced_recursive: entriesV1(operations) },
  }
}

async function readV2(directory: string | undefined, machineMemory: number): Promise<CgroupSample> {
  const [usage, peak, limit, memoryStat, events, cpuStat, current, pidsMax, io] = await Promise.all([
    number(directory, 'memory.current'),
    number(directory, 'memory.peak'),
    text(directory, 'memory.max'),
    text(directory, 'memory.stat'),
    text(directory, 'memory.events'),
    text(directory, 'cpu.stat'),
    number(directory, 'pids.current'),
    text(directory, 'pids.max'),
    text(directory, 'io.stat'),
  ])
  const cpu = pairs(cpuStat)
  const nano = (field: string): number => (cpu[field] ?? 0) * 1000
  return {
    cpu: {
      cpu_usage: { total_usage: nano('usage_usec'), usage_in_usermode: nano('user_usec'), usage_in_kernelmode: nano('system_usec') },
      throttling_data: { periods: cpu['nr_periods'] ?? 0, throttled_periods: cpu['nr_throttled'] ?? 0, throttled_time: nano('throttled_usec') },
    },
    memory_stats: {
      usage,
      ...(peak ? { max_usage: peak } : {}),
      failcnt: pairs(events)['max'] ?? 0,
      limit: Math.min(Number(limit.trim()) || unlimited, machineMemory),
      stats: pairs(memoryStat),
    },
    pids_stats: pidsStats(current, pidsMax),
    blkio_stats: {
      io_service_bytes_recursive: entriesV2(io, { rbytes: 'read', wbytes: 'write' }),
      io_serviced_recursive: entriesV2(io, { rios: 'read', wios: 'write' }),
    },
  }
}

function pidsStats(current: number, max: string): NonNullable<ContainerStatsResponse['pids_stats']> {
  const limit = Number(max.trim())
  return { current, ...(limit > 0 ? { limit } : {}) }
}

/** Reads what a control group has used, as `stats` tells it. @see kernel documentation, cgroup-v1 and cgroup-v2 */
export function readCgroup(directories: CgroupDirectories, machineMemory: number): Promise<CgroupSample> {
  return directories['memory'] ? readV1(directories, machineMemory) : readV2(directories['unified'], machineMemory)
}
