import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ContainerBlkioStatEntry, ContainerStatsResponse } from '@berth/api-types'

/** Directories of one container's control group: by controller on v1, the one directory under `unified` on v2. */
export type CgroupDirectories = Readonly<Record<string, string | undefined>>

export type CgroupSample = Pick<ContainerStatsResponse, 'blkio_stats' | 'pids_stats' | 'memory_stats'> & {
  cpu: NonNullable<ContainerStatsResponse['cpu_stats']>
}

/** Members of the block devices' figures that no current kernel counts. */
export const unreadBlockIo = {
  io_queue_recursive: null, io_service_time_recursive: null, io_wait_time_recursive: null, io_merged_recursive: null, io_time_recursive: null, sectors_recursive: null,
} as unknown as NonNullable<ContainerStatsResponse['blkio_stats']> // prettier-ignore

/** As the kernel says "no limit" on v1; more than any machine has. */
const unlimited = 2 ** 62

/** The kernel answers from memory: a read through the thread pool would cost ten times as much. */
function text(directory: string | undefined, file: string): string {
  if (directory === undefined) return ''
  try {
    return readFileSync(join(directory, file), 'utf8')
  } catch {
    return '' // a controller that is not there, or a container that has just ended, counts nothing
  }
}

function number(directory: string | undefined, file: string): number {
  return Number(text(directory, file).trim()) || 0
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

function readV1(directories: CgroupDirectories, machineMemory: number): CgroupSample {
  const { memory, cpuacct, cpu, pids, blkio } = directories
  const times = text(cpuacct, 'cpuacct.stat')
  const perCpu = text(cpuacct, 'cpuacct.usage_percpu')
  const throttled = text(cpu, 'cpu.stat')
  const limit = number(memory, 'memory.limit_in_bytes')
  const { user = 0, system = 0 } = pairs(times)
  const throttling = pairs(throttled)
  const ticks = 1e9 / 100
  return {
    cpu: {
      cpu_usage: {
        total_usage: number(cpuacct, 'cpuacct.usage'),
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
    memory_stats: {
      usage: number(memory, 'memory.usage_in_bytes'),
      max_usage: number(memory, 'memory.max_usage_in_bytes'),
      failcnt: number(memory, 'memory.failcnt'),
      limit: Math.min(limit || unlimited, machineMemory),
      stats: pairs(text(memory, 'memory.stat')),
    },
    pids_stats: pidsStats(pids),
    blkio_stats: {
      io_service_bytes_recursive: entriesV1(text(blkio, 'blkio.throttle.io_service_bytes_recursive')),
      io_serviced_recursive: entriesV1(text(blkio, 'blkio.throttle.io_serviced_recursive')),
      ...unreadBlockIo,
    },
  }
}

function readV2(directory: string | undefined, machineMemory: number): CgroupSample {
  const io = text(directory, 'io.stat')
  const limit = text(directory, 'memory.max')
  const cpu = pairs(text(directory, 'cpu.stat'))
  const nano = (field: string): number => (cpu[field] ?? 0) * 1000
  return {
    cpu: {
      cpu_usage: { total_usage: nano('usage_usec'), usage_in_usermode: nano('user_usec'), usage_in_kernelmode: nano('system_usec') },
      throttling_data: { periods: cpu['nr_periods'] ?? 0, throttled_periods: cpu['nr_throttled'] ?? 0, throttled_time: nano('throttled_usec') },
    },
    memory_stats: {
      usage: number(directory, 'memory.current'),
      // As in Docker: how often memory ran out.
      failcnt: pairs(text(directory, 'memory.events'))['oom'] ?? 0,
      limit: Math.min(Number(limit.trim()) || unlimited, machineMemory),
      stats: pairs(text(directory, 'memory.stat')),
    },
    pids_stats: pidsStats(directory),
    blkio_stats: {
      io_service_bytes_recursive: entriesV2(io, { rbytes: 'read', wbytes: 'write' }),
      io_serviced_recursive: entriesV2(io, { rios: 'read', wios: 'write' }),
      ...unreadBlockIo,
    },
  }
}

function pidsStats(directory: string | undefined): NonNullable<ContainerStatsResponse['pids_stats']> {
  const limit = Number(text(directory, 'pids.max').trim())
  return { current: number(directory, 'pids.current'), ...(limit > 0 ? { limit } : {}) }
}

/** Reads what a control group has used, as `stats` tells it. @see kernel documentation, cgroup-v1 and cgroup-v2 */
export function readCgroup(directories: CgroupDirectories, machineMemory: number): CgroupSample {
  return directories['memory'] ? readV1(directories, machineMemory) : readV2(directories['unified'], machineMemory)
}
