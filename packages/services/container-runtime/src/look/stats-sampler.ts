import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { ContainerStatsResponse } from '@berth/api-types'
import { formatNano, messageOf, nowNano } from '@berth/core'
import { type CgroupDirectories, readCgroup, unreadBlockIo } from './cgroup-stats.ts'
import type { Container } from '../container.ts'
import { bundleOf, type Context } from '../context.ts'
import { zeroTime } from '../records.ts'
import type { OciSpec } from '../spec/index.ts'

/** Milliseconds between two samples of a container. */
const interval = 1000
const clockTicks = 100

type SystemCpu = Pick<NonNullable<ContainerStatsResponse['cpu_stats']>, 'system_cpu_usage' | 'online_cpus'>

/** Processor time of the whole machine in nanoseconds, to compare a container's with, and of how many processors it is the sum. @see proc(5), /proc/stat */
export function systemCpu(stat: string): SystemCpu {
  const lines = stat.split('\n')
  // guest time is in user time already: the first eight columns
  const ticks = (lines[0] ?? '').trim().split(/\s+/).slice(1, 9).reduce((sum, value) => sum + Number(value), 0)
  return { system_cpu_usage: ticks * (1e9 / clockTicks), online_cpus: lines.filter((text) => /^cpu\d/.test(text)).length }
}

const noCpu = { cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 }, throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 } }

function identity({ id, name }: Container): { id: string; name: string } {
  return { id, name: `/${name}` }
}

/** What a container that does not run uses. */
function nothing(container: Container): ContainerStatsResponse {
  return {
    ...identity(container), read: zeroTime, preread: zeroTime, num_procs: 0, pids_stats: {}, storage_stats: {}, memory_stats: {}, cpu_stats: noCpu, precpu_stats: noCpu,
    blkio_stats: { ...unreadBlockIo, io_service_bytes_recursive: null, io_serviced_recursive: null },
  } as unknown as ContainerStatsResponse // prettier-ignore
}

/** A container that somebody watches. */
interface Watched {
  watchers: number
  /** Its processes' first, and where its control groups are. */
  place: { pid: number; directories: CgroupDirectories } | undefined
  /** What all see who come before the first round. */
  first: Promise<ContainerStatsResponse> | undefined
  last: ContainerStatsResponse | undefined
  /** Wakes who waits for the next sample. */
  waiting: Set<() => void>
}

function wakeAll({ waiting }: Watched): void {
  for (const wake of waiting) wake()
  waiting.clear()
}

/** Takes samples of containers, once a second of each that is watched, however many watch it. */
export class StatsSampler {
  readonly #ctx: Context
  readonly #watched = new Map<Container, Watched>()
  #timer: NodeJS.Timeout | undefined
  #isTaking = false

  constructor(ctx: Context) {
    this.#ctx = ctx
    ctx.closed.addEventListener('abort', () => {
      clearTimeout(this.#timer)
      for (const watched of this.#watched.values()) wakeAll(watched)
    })
  }

  /** What a container uses now, compared with the last sample if it is watched. */
  async now(container: Container): Promise<ContainerStatsResponse> {
    return this.#sample(container, this.#watched.get(container), systemCpu(readFileSync('/proc/stat', 'utf8')))
  }

  /** Samples as they are taken, until `signal` aborts or the container is gone: the first at once. A reader that is slow misses some. */
  async *watch(container: Container, signal: AbortSignal): AsyncGenerator<ContainerStatsResponse> {
    const watched = this.#add(container)
    const isOver = (): boolean => signal.aborted || this.#ctx.closed.aborted || this.#ctx.containers.get(container.id) !== container
    const abort = (): void => wakeAll(watched)
    signal.addEventListener('abort', abort)
    try {
      if (isOver()) return
      watched.first ??= this.now(container)
      let seen = (watched.last ??= await watched.first)
      for (;;) {
        yield seen
        while (!isOver() && watched.last === seen) await new Promise<void>((resolve) => watched.waiting.add(resolve))
        if (isOver()) return
        seen = watched.last
      }
    } finally {
      signal.removeEventListener('abort', abort)
      this.#leave(container, watched)
    }
  }

  #add(container: Container): Watched {
    let watched = this.#watched.get(container)
    if (!watched) {
      watched = { watchers: 0, place: undefined, first: undefined, last: undefined, waiting: new Set() }
      this.#watched.set(container, watched)
    }
    watched.watchers++
    if (!this.#isTaking) this.#timer ??= setTimeout(() => void this.#takeAll(), interval).unref()
    return watched
  }

  #leave(container: Container, watched: Watched): void {
    if (--watched.watchers > 0) return
    this.#watched.delete(container)
    if (this.#watched.size > 0 || this.#isTaking) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  async #takeAll(): Promise<void> {
    const begun = performance.now()
    this.#isTaking = true
    const system = systemCpu(readFileSync('/proc/stat', 'utf8'))
    for (const [container, watched] of this.#watched) {
      try {
        watched.last = await this.#sample(container, watched, system)
      } catch (error) {
        this.#ctx.logger.debug('a container could not be sampled', { container: container.id, error: messageOf(error) })
      }
      wakeAll(watched)
      await setImmediate() // requests come between two containers
    }
    this.#isTaking = false
    this.#timer = undefined
    if (this.#watched.size > 0 && !this.#ctx.closed.aborted) this.#timer = setTimeout(() => void this.#takeAll(), Math.max(0, interval - (performance.now() - begun))).unref()
  }

  async #sample(container: Container, watched: Watched | undefined, system: SystemCpu): Promise<ContainerStatsResponse> {
    const { pid } = container.state
    if (!container.run || pid === 0) return nothing(container)
    const place = watched?.place?.pid === pid ? watched.place : { pid, directories: this.#directoriesOf(container) }
    if (watched) watched.place = place
    const { cpu, ...rest } = readCgroup(place.directories, totalmem())
    const networks = await this.#ctx.deps.networks.counters(container.id)
    const last = watched?.last?.read === zeroTime ? undefined : watched?.last
    return {
      ...identity(container),
      read: formatNano(nowNano()),
      preread: last?.read ?? zeroTime,
      ...rest,
      num_procs: 0,
      storage_stats: {},
      cpu_stats: { ...cpu, ...system },
      precpu_stats: last?.cpu_stats ?? noCpu,
      ...(Object.keys(networks).length > 0 ? { networks } : {}),
    } as ContainerStatsResponse
  }

  #directoriesOf({ id }: Container): CgroupDirectories {
    const { linux } = JSON.parse(readFileSync(join(bundleOf(this.#ctx, id), 'config.json'), 'utf8')) as OciSpec
    return Object.fromEntries(Object.entries(this.#ctx.cgroupMounts).map(([controller, mount]) => [controller, mount && join(mount, linux.cgroupsPath)]))
  }
}
