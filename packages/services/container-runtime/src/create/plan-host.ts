import type { HostConfig } from '@berth/api-types'
import { withCdiRequests } from '../cdi/requested-devices.ts'
import type { Context } from '../context.ts'
import type { SpecDefaults } from '../spec/index.ts'

const joinedModes = ['NetworkMode', 'PidMode', 'IpcMode'] as const

/** What a container gets that does not say: members of its host configuration, and what is looked up at each of its starts. */
export type ContainerDefaults = Pick<HostConfig, 'LogConfig' | 'Init' | 'ShmSize' | 'CgroupParent' | 'IpcMode' | 'CgroupnsMode'> & SpecDefaults

/** The host configuration of a request with defaults, and references to other containers made full IDs. Throws `not-found` for these. */
export function planHost({ options, deps, machine, containers }: Context, given: HostConfig): HostConfig {
  const { LogConfig, Init, ShmSize, CgroupParent, IpcMode, CgroupnsMode } = options.defaults ?? {}
  const host: HostConfig = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null && value !== undefined))
  Object.assign(host, withCdiRequests(host))
  if (!host.NetworkMode || host.NetworkMode === 'default') host.NetworkMode = 'bridge'
  for (const field of joinedModes) {
    const [, ref] = /^container:(.+)$/.exec(host[field] ?? '') ?? []
    if (ref) host[field] = `container:${containers.resolve(ref).id}`
  }
  if (host.VolumesFrom) host.VolumesFrom = host.VolumesFrom.map((spec) => spec.replace(/^[^:]*/, (ref) => containers.resolve(ref).id))
  host.RestartPolicy = { Name: host.RestartPolicy?.Name || 'no', MaximumRetryCount: host.RestartPolicy?.MaximumRetryCount ?? 0 }
  const logDriver = LogConfig?.Type ?? deps.logDrivers.keys().next().value ?? 'none'
  // A driver may have any name. Options of the default driver are not for another one.
  const type = host.LogConfig?.Type || (logDriver as NonNullable<HostConfig['LogConfig']>['Type'])
  host.LogConfig = { Type: type, Config: { ...(type === LogConfig?.Type ? LogConfig?.Config : {}), ...host.LogConfig?.Config } }
  if (Init !== undefined) host.Init ??= Init
  host.ShmSize ||= ShmSize || 64 * 1024 * 1024
  // Clients send an empty one for none.
  host.CgroupParent ||= CgroupParent ?? ''
  host.Runtime ||= deps.runtimes.keys().next().value ?? ''
  host.IpcMode ||= IpcMode || 'private'
  const cgroupns = CgroupnsMode || (machine.cgroups === 2 ? 'private' : 'host')
  host.CgroupnsMode ||= host.Privileged && machine.cgroups === 1 ? 'host' : cgroupns
  // At creation, zero and less say nothing; only an update takes a limit away by them.
  if ((host.PidsLimit ?? 1) <= 0) delete host.PidsLimit
  if (host.Memory && !host.MemorySwap) host.MemorySwap = host.Memory * 2
  return host
}
