import type { ContainerCreateRequest, DeviceMapping, EndpointSettings, HealthConfig, HostConfig, RestartPolicy } from '@berth/api-types'
import { type Cli, usageError } from '../cli.ts'
import type { CreateFlags } from './create-flags.ts'
import { parseDuration } from './durations.ts'
import { parseEnvironment, parsePairs, readEnvironmentFile } from './environment.ts'
import { parseMount, parseVolumes } from './mounts.ts'
import { parsePublished } from './ports.ts'
import { parseSize } from './sizes.ts'

/** `on-failure:3`. Throws `invalid-argument`. */
export function parseRestartPolicy(text: string): RestartPolicy {
  const names = ['no', 'always', 'unless-stopped', 'on-failure'] as const
  const [name, times] = text.split(':')
  const known = names.find((candidate) => candidate === name)
  if (!known || (times !== undefined && (known !== 'on-failure' || !/^\d+$/.test(times)))) throw usageError(`invalid restart policy '${text}': it is no, always, unless-stopped or on-failure[:times]`)
  return { Name: known, ...(times === undefined ? {} : { MaximumRetryCount: Number(times) }) }
}

function parseUlimit(text: string): { Name: string; Soft: number; Hard: number } {
  const [, name, soft, hard] = /^(\w+)=(-?\d+)(?::(-?\d+))?$/.exec(text) ?? []
  if (name === undefined) throw usageError(`invalid ulimit '${text}': it is name=soft[:hard]`)
  return { Name: name, Soft: Number(soft), Hard: Number(hard ?? soft) }
}

function parseDevice(text: string): DeviceMapping {
  const [source = '', second, third] = text.split(':')
  const isMode = second !== undefined && third === undefined && /^[rwm]+$/.test(second)
  return { PathOnHost: source, PathInContainer: isMode || second === undefined ? source : second, CgroupPermissions: (isMode ? second : third) ?? 'rwm' }
}

/** A size, or -1 for none. */
const limit = (text: string | undefined): number | undefined => (text === undefined ? undefined : text === '-1' ? -1 : parseSize(text))
const duration = (text: string | undefined): number | undefined => (text === undefined ? undefined : parseDuration(text))

function health(flags: CreateFlags): HealthConfig | undefined {
  if (flags.healthcheck === false) return { Test: ['NONE'] }
  const { healthCmd, healthInterval, healthTimeout, healthStartPeriod, healthRetries } = flags
  if ([healthCmd, healthInterval, healthTimeout, healthStartPeriod, healthRetries].every((flag) => flag === undefined)) return undefined
  return {
    Test: healthCmd === undefined ? undefined : ['CMD-SHELL', healthCmd],
    Interval: duration(healthInterval),
    Timeout: duration(healthTimeout),
    StartPeriod: duration(healthStartPeriod),
    Retries: healthRetries,
  }
}

/** Settings of the endpoints: all networks are named where the first alone does not say everything. */
function endpoints({ network = [], networkAlias, ip, macAddress }: CreateFlags): Record<string, EndpointSettings> | undefined {
  if (network.length < 2 && !networkAlias && !ip && !macAddress) return undefined
  const [first = 'default', ...others] = network
  const settings: EndpointSettings = { Aliases: networkAlias, IPAMConfig: ip === undefined ? undefined : { IPv4Address: ip }, MacAddress: macAddress }
  return { [first]: settings, ...Object.fromEntries(others.map((name) => [name, {}])) }
}

function hostConfig(flags: CreateFlags, binds: string[], bindings: HostConfig['PortBindings'], { stdout }: Cli['io']): HostConfig {
  return {
    AutoRemove: flags.rm,
    Binds: binds,
    VolumesFrom: flags.volumesFrom,
    Mounts: flags.mount?.map(parseMount),
    Tmpfs: flags.tmpfs && Object.fromEntries(flags.tmpfs.map((text) => text.split(/:(.*)/s)).map(([path = '', options = '']) => [path, options])),
    PortBindings: bindings,
    PublishAllPorts: flags.publishAll,
    Memory: limit(flags.memory),
    MemorySwap: limit(flags.memorySwap),
    MemoryReservation: limit(flags.memoryReservation),
    NanoCpus: flags.cpus === undefined ? undefined : Math.round(flags.cpus * 1e9),
    CpuShares: flags.cpuShares,
    CpusetCpus: flags.cpusetCpus,
    PidsLimit: flags.pidsLimit,
    ShmSize: limit(flags.shmSize),
    Ulimits: flags.ulimit?.map(parseUlimit),
    NetworkMode: flags.network?.[0],
    ExtraHosts: flags.addHost?.map((entry) => entry.replace(/^([^:=]+)=/, '$1:')),
    Dns: flags.dns,
    DnsSearch: flags.dnsSearch,
    DnsOptions: flags.dnsOption,
    ReadonlyRootfs: flags.readOnly,
    Init: flags.init,
    RestartPolicy: flags.restart === undefined ? undefined : parseRestartPolicy(flags.restart),
    Privileged: flags.privileged,
    CapAdd: flags.capAdd,
    CapDrop: flags.capDrop,
    SecurityOpt: flags.securityOpt,
    Devices: flags.device?.map(parseDevice),
    GroupAdd: flags.groupAdd,
    PidMode: flags.pid,
    IpcMode: flags.ipc,
    Sysctls: flags.sysctl && parsePairs(flags.sysctl),
    Runtime: flags.runtime,
    OomScoreAdj: flags.oomScoreAdj,
    CgroupParent: flags.cgroupParent,
    LogConfig: flags.logDriver === undefined && !flags.logOpt ? undefined : { Type: flags.logDriver as 'json-file', Config: parsePairs(flags.logOpt ?? []) },
    ConsoleSize: flags.tty && stdout.isTTY && stdout.rows && stdout.columns ? [stdout.rows, stdout.columns] : undefined,
  }
}

/** The request that `run` and `create` make of their flags. Throws `invalid-argument` for a flag that is wrong. */
export function createRequest(image: string, command: readonly string[], flags: CreateFlags, { io, attached }: { io: Cli['io']; attached: boolean }): ContainerCreateRequest {
  if (flags.rm && flags.restart !== undefined && flags.restart !== 'no') throw usageError("conflicting options: cannot specify both --restart and --rm")
  const { exposed, bindings } = parsePublished(flags.publish ?? [])
  for (const port of flags.expose ?? []) Object.assign(exposed, parsePublished([port]).exposed)
  const { binds, anonymous } = parseVolumes(flags.volume ?? [])
  const endpointsConfig = endpoints(flags)
  return {
    Image: image,
    Cmd: command.length > 0 ? [...command] : undefined,
    Entrypoint: flags.entrypoint === undefined ? undefined : [flags.entrypoint],
    Hostname: flags.hostname,
    User: flags.user,
    WorkingDir: flags.workdir,
    Env: parseEnvironment([...(flags.envFile ?? []).flatMap(readEnvironmentFile), ...(flags.env ?? [])], io.env),
    Labels: parsePairs(flags.label ?? []),
    Tty: flags.tty ?? false,
    OpenStdin: flags.interactive ?? false,
    StdinOnce: attached && (flags.interactive ?? false),
    AttachStdin: attached && (flags.interactive ?? false),
    AttachStdout: attached,
    AttachStderr: attached,
    ExposedPorts: exposed,
    Volumes: anonymous,
    StopSignal: flags.stopSignal,
    StopTimeout: flags.stopTimeout,
    Healthcheck: health(flags),
    HostConfig: hostConfig(flags, binds, bindings, io),
    NetworkingConfig: endpointsConfig && { EndpointsConfig: endpointsConfig },
  }
}
