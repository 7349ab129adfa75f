import { readFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { ContainerStatsResponse } from '@berth/api-types'
import { formatNano, nowNano } from '@berth/core'
import { type CgroupDirectories, readCgroup } from './cgroup-stats.ts'
import type { Container } from './container.ts'
import { bundleOf, type Context } from './context.ts'
import { zeroTime } from './records.ts'
import type { OciSpec } from './spec/index.ts'

export interface StatsOptions {
  stream: boolean
  /** A single sample without waiting for a second one to compare with. */
  oneShot: boolean
  signal: AbortSignal
}

const interval = 1000
const clockTicks = 100

/** Processor time of the whole machine in nanoseconds, to compare a container's with, and of how many processors it is the sum. */
async function systemCpu(): Promise<{ system_cpu_usage: number; online_cpus: number }> {
  const lines = (await readFile('/proc/stat', 'utf8')).split('\n')
  const line = lines[0] ?? ''
  // guest time is in user time already: the first eight columns
  const ticks = line.trim().split(/\s+/).slice(1, 9).reduce((sum, value) => sum + Number(value), 0)
  return { system_cpu_usage: ticks * (1e9 / clockTicks), online_cpus: lines.filter((text) => /^cpu\d/.test(text)).length }
}

/** The control-group directories of a running container. */
async function directoriesOf(ctx: Context, container: Container): Promise<CgroupDirectories> {
  const spec = JSON.parse(await readFile(join(bundleOf(ctx, container.id), 'config.json'), 'utf8')) as OciSpec
  return Object.fromEntries(Object.entries(ctx.cgroupMounts).map(([controller, mount]) => [controller, mount && join(mount, spec.linux.cgroupsPath)]))
}

async function sample(ctx: Context, container: Container, directories: CgroupDirectories): Promise<ContainerStatsResponse> {
  const [{ cpu, ...rest }, networks, system] = await Promise.all([readCgroup(directories, totalmem()), ctx.deps.networks.counters(container.id), systemCpu()])
  return {
    ...identity(container),
    read: formatNano(nowNano()),
    preread: zeroTime,
    ...rest,
    num_procs: 0,
    storage_stats: {},
    cpu_stats: { ...cpu, ...system },
    precpu_stats: noCpu,
    ...(Object.keys(networks).length > 0 ? { networks } : {}),
  }
}

const noCpu = { cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 }, throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 } }

function identity({ id, name }: Container): { id: string; name: string } {
  return { id, name: `/${name}` }
}

/** What a container that does not run uses. */
function nothing(container: Container): ContainerStatsResponse {
  return {
    ...identity(container), read: zeroTime, preread: zeroTime, num_procs: 0, pids_stats: {}, storage_stats: {}, memory_stats: {}, cpu_stats: noCpu, precpu_stats: noCpu,
    blkio_stats: {
      io_service_bytes_recursive: null, io_serviced_recursive: null, io_queue_recursive: null, io_service_time_recursive: null,
      io_wait_time_recursive: null, io_merged_recursive: null, io_time_recursive: null, sectors_recursive: null,
    },
  } as unknown as ContainerStatsResponse // prettier-ignore
}

/** One sample, or one a second until the container is gone or `signal` aborts; each carries the processor times of the one before. */
export async function* statsOf(ctx: Context, container: Container, options: StatsOptions): AsyncGenerator<ContainerStatsResponse> {
  let previous: ContainerStatsResponse | undefined
  let known: { pid: number; directories: CgroupDirectories } | undefined
  const isGone = (): boolean => options.signal.aborted || ctx.closed.aborted || ctx.containers.get(container.id) !== container
  const pause = (): Promise<unknown> => delay(interval, undefined, { signal: options.signal, ref: false }).catch(() => {})
  const next = async (): Promise<ContainerStatsResponse> => {
    const { pid } = container.state
    if (!container.run || pid === 0) return nothing(container)
    if (known?.pid !== pid) known = { pid, directories: await directoriesOf(ctx, container) }
    const now = await sample(ctx, container, known.directories)
    if (previous && previous.read !== zeroTime) Object.assign(now, { preread: previous.read, precpu_stats: previous.cpu_stats })
    return now
  }
  if (!options.stream) {
    // Without a comparison the processor's share cannot be told.
    if (!options.oneShot && container.run) {
      previous = await next()
      await pause()
    }
    if (!isGone()) yield await next()
    return
  }
  while (!isGone()) {
    previous = await next()
    yield previous
    await pause()
  }
}
