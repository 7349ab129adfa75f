import { cpus } from 'node:os'
import type { ContainerConfig, HealthConfig, HostConfig, Resources, RestartPolicy } from '@berth/api-types'
import { BerthError } from '@berth/core'
import { parseSignal } from './signals.ts'
import type { MachineFeatures } from './spec/index.ts'

const mebibyte = 1024 * 1024

/** What is wrong with a request, in Docker's words. */
export function invalid(message: string): BerthError {
  return new BerthError('invalid-argument', 'CONTAINER_CONFIG_INVALID', message)
}

/** Checks what is not checked where it is used. Throws `invalid-argument`. */
export function validateConfig(config: ContainerConfig): void {
  if (![...(config.Entrypoint ?? []), ...(config.Cmd ?? [])].length) throw invalid('No command specified')
  for (const entry of config.Env ?? []) {
    if (entry === '' || entry.startsWith('=')) throw invalid(`invalid environment variable: ${entry}`)
    if (entry.includes('\0')) throw invalid(`invalid environment variable: ${JSON.stringify(entry)}`)
  }
  for (const part of [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])]) {
    if (part.includes('\0')) throw invalid('a command must not hold a NUL byte')
  }
  if (config.WorkingDir && !config.WorkingDir.startsWith('/')) {
    throw invalid(`the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`)
  }
  for (const [field, value] of [['hostname', config.Hostname], ['domainname', config.Domainname]] as const) {
    if (value && (value.length > 253 || !/^[a-zA-Z0-9_.-]+$/.test(value))) throw invalid(`invalid ${field} format: ${JSON.stringify(value)}`)
  }
  if (config.StopSignal) parseSignal(config.StopSignal)
  if (config.Healthcheck) validateHealthcheck(config.Healthcheck)
}

function validateHealthcheck(health: HealthConfig): void {
  for (const field of ['Interval', 'Timeout', 'StartPeriod', 'StartInterval'] as const) {
    const value = health[field]
    if (value && value < 1_000_000) throw invalid(`${field} in Healthcheck cannot be less than 1ms`)
  }
  if (health.Retries && health.Retries < 0) throw invalid('Retries in Healthcheck cannot be negative')
  const kind = health.Test?.[0]
  if (kind !== undefined && !['NONE', 'CMD', 'CMD-SHELL'].includes(kind)) throw invalid(`Unknown healthcheck type ${JSON.stringify(kind)} (expected 'CMD')`)
}

export function validateRestartPolicy(policy: RestartPolicy | undefined, autoRemove: boolean): void {
  const name = policy?.Name ?? ''
  const retries = policy?.MaximumRetryCount ?? 0
  if (!['', 'no', 'always', 'unless-stopped', 'on-failure'].includes(name)) {
    throw invalid(`invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`)
  }
  if (retries !== 0 && name !== 'on-failure') throw invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'")
  if (retries < 0) throw invalid('invalid restart policy: maximum retry count cannot be negative')
  if (autoRemove && !['', 'no'].includes(name)) throw invalid("can't create 'AutoRemove' container with restart policy")
}

/** Checks limits against each other and the machine. Returns warnings for what the machine cannot do. */
export function validateResources(resources: Resources, machine: MachineFeatures): string[] {
  const { Memory = 0, MemorySwap = 0, MemoryReservation = 0, NanoCpus = 0, CpuPeriod = 0, CpuQuota = 0, MemorySwappiness, BlkioWeight = 0 } = resources
  // Not `availableParallelism`, which is what this process may use, not what the machine has.
  const processors = cpus().length
  if (Memory && Memory < 6 * mebibyte) throw invalid('Minimum memory limit allowed is 6MB')
  if (Memory && MemorySwap > 0 && MemorySwap < Memory) throw invalid('Minimum memoryswap limit should be larger than memory limit, see usage')
  if (!Memory && MemorySwap > 0) throw invalid('You should always set the Memory limit when using Memoryswap limit, see usage')
  if (typeof MemorySwappiness === 'number' && (MemorySwappiness < -1 || MemorySwappiness > 100)) {
    throw invalid(`Invalid value: ${MemorySwappiness}, valid memory swappiness range is 0-100`)
  }
  if (MemoryReservation && MemoryReservation < 6 * mebibyte) throw invalid('Minimum memory reservation allowed is 6MB')
  if (Memory && MemoryReservation > Memory) throw invalid('Minimum memory limit can not be less than memory reservation limit, see usage')
  if (NanoCpus && CpuPeriod) throw invalid('Conflicting options: Nano CPUs and CPU Period cannot both be set')
  if (NanoCpus && CpuQuota) throw invalid('Conflicting options: Nano CPUs and CPU Quota cannot both be set')
  if (NanoCpus < 0 || NanoCpus > processors * 1e9) {
    throw invalid(`range of CPUs is from 0.01 to ${processors}.00, as there are only ${processors} CPUs available`)
  }
  if (CpuPeriod && (CpuPeriod < 1000 || CpuPeriod > 1_000_000)) throw invalid('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)')
  if (CpuQuota > 0 && CpuQuota < 1000) throw invalid('CPU cfs quota can not be less than 1ms (i.e. 1000)')
  if (BlkioWeight && (BlkioWeight < 10 || BlkioWeight > 1000)) throw invalid('Range of blkio weight is from 10 to 1000')
  validateSet(resources.CpusetCpus, 'cpus', 'CPUs', processors)
  validateSet(resources.CpusetMems, 'mems', 'memory nodes', undefined)
  return MemorySwap > 0 && !machine.swap ? ['Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.'] : []
}

function validateSet(value: string | undefined, field: string, what: string, count: number | undefined): void {
  if (!value) return
  const ranges = value.split(',').map((part) => /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part.trim()))
  if (ranges.some((range) => range === null || Number(range[2] ?? range[1]) < Number(range[1]))) throw invalid(`Invalid value ${value} for cpuset ${field}`)
  if (count !== undefined && ranges.some((range) => Number(range?.[2] ?? range?.[1]) >= count)) {
    throw invalid(`Requested ${what} are not available - requested ${value}, available: ${count === 1 ? '0' : `0-${count - 1}`}`)
  }
}

/** Checks what a host configuration asks for together. */
export function validateHost(host: HostConfig, config: ContainerConfig): void {
  const mode = host.NetworkMode ?? ''
  const isJoined = mode.startsWith('container:')
  const publishes = Object.keys(host.PortBindings ?? {}).length > 0
  if (host.ShmSize && host.ShmSize < 0) throw invalid('SHM size can not be less than 0')
  if (host.OomScoreAdj && (host.OomScoreAdj < -1000 || host.OomScoreAdj > 1000)) {
    throw invalid(`Invalid value ${host.OomScoreAdj}, range for oom score adj is [-1000, 1000]`)
  }
  const [device] = host.DeviceRequests ?? []
  if (device) throw invalid(`could not select device driver "${device.Driver ?? ''}" with capabilities: [${(device.Capabilities ?? []).map((names) => `[${names.join(' ')}]`).join(' ')}]`)
  const [storage] = Object.keys(host.StorageOpt ?? {})
  if (storage !== undefined) throw invalid(`--storage-opt is not supported: ${storage}`)
  if (host.UTSMode && host.UTSMode !== 'host') throw invalid(`invalid UTS mode: ${host.UTSMode}`)
  if (host.PidMode && host.PidMode !== 'host' && !host.PidMode.startsWith('container:')) throw invalid(`invalid PID mode: ${host.PidMode}`)
  if (host.IpcMode && !['host', 'none', 'private', 'shareable'].includes(host.IpcMode) && !host.IpcMode.startsWith('container:')) {
    throw invalid(`invalid IPC mode: ${host.IpcMode}`)
  }
  if (host.CgroupParent?.split('/').includes('..')) throw invalid(`invalid cgroup parent: ${host.CgroupParent} leads out of its hierarchy`)
  if (host.CgroupnsMode && !['host', 'private'].includes(host.CgroupnsMode)) throw invalid(`invalid CGROUP mode: ${host.CgroupnsMode}`)
  if (host.UTSMode === 'host' && config.Hostname) throw invalid('conflicting options: hostname and the UTS mode')
  if (isJoined && config.Hostname) throw invalid('conflicting options: hostname and the network mode')
  if (isJoined && host.Links?.length) throw invalid('conflicting options: container type network can\'t be used with links. This would result in undefined behavior')
  if (mode === 'host' && host.Links?.length) throw invalid('conflicting options: host type networking can\'t be used with links. This would result in undefined behavior')
  if (isJoined && host.Dns?.length) throw invalid('conflicting options: dns and the network mode')
  if (isJoined && host.ExtraHosts?.length) throw invalid('conflicting options: custom host-to-IP mapping and the network mode')
  if (isJoined && (publishes || host.PublishAllPorts)) throw invalid('conflicting options: port publishing and the container type network mode')
  if (isJoined && Object.keys(config.ExposedPorts ?? {}).length > 0) throw invalid('conflicting options: port exposing and the container type network mode')
}
