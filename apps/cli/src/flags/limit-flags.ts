import type { Resources } from '@berth/api-types'
import { type Command, InvalidArgumentError } from 'commander'
import { parseSize } from './sizes.ts'

/** Limits that a container is created with and that can be changed while it runs, as commander hands them over. */
export interface LimitFlags {
  memory?: string
  memorySwap?: string
  memoryReservation?: string
  cpus?: number
  cpuShares?: number
  cpuPeriod?: number
  cpuQuota?: number
  cpuRtPeriod?: number
  cpuRtRuntime?: number
  cpusetCpus?: string
  cpusetMems?: string
  pidsLimit?: number
  blkioWeight?: number
}

function number(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.')
  return value
}

export function integer(text: string): number {
  const value = number(text)
  if (!Number.isInteger(value)) throw new InvalidArgumentError('It must be a whole number.')
  return value
}

/** Declares the flags of {@link LimitFlags}. */
export function addLimitFlags(command: Command): Command {
  return command
    .option('-m, --memory <bytes>', 'limit of memory: 64m, 1g')
    .option('--memory-swap <bytes>', 'limit of memory and swap together; -1 for no limit')
    .option('--memory-reservation <bytes>', 'soft limit of memory')
    .option('--cpus <number>', 'limit of CPUs: 0.5', number)
    .option('-c, --cpu-shares <number>', 'weight among other containers', integer)
    .option('--cpu-period <microseconds>', 'period that --cpu-quota counts in', integer)
    .option('--cpu-quota <microseconds>', 'CPU time in a period', integer)
    .option('--cpu-rt-period <microseconds>', 'period of real-time scheduling', integer)
    .option('--cpu-rt-runtime <microseconds>', 'real-time CPU time in a period', integer)
    .option('--cpuset-cpus <list>', 'CPUs it may use: 0-3, 0,1')
    .option('--cpuset-mems <list>', 'memory nodes it may use: 0-3, 0,1')
    .option('--pids-limit <number>', 'limit of processes; -1 for no limit', integer)
    .option('--blkio-weight <number>', 'weight on block devices: 10 to 1000', integer)
}

/** A size in bytes, or -1 for none. Throws `invalid-argument`. */
export function limitOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : text === '-1' ? -1 : parseSize(text)
}

/** The limits as the API has them. Throws `invalid-argument`. */
export function limits(flags: LimitFlags): Resources {
  return {
    Memory: limitOf(flags.memory),
    MemorySwap: limitOf(flags.memorySwap),
    MemoryReservation: limitOf(flags.memoryReservation),
    NanoCpus: flags.cpus === undefined ? undefined : Math.round(flags.cpus * 1e9),
    CpuShares: flags.cpuShares,
    CpuPeriod: flags.cpuPeriod,
    CpuQuota: flags.cpuQuota,
    CpuRealtimePeriod: flags.cpuRtPeriod,
    CpuRealtimeRuntime: flags.cpuRtRuntime,
    CpusetCpus: flags.cpusetCpus,
    CpusetMems: flags.cpusetMems,
    PidsLimit: flags.pidsLimit,
    BlkioWeight: flags.blkioWeight,
  }
}
