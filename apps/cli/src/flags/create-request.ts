import type { ContainerCreateRequest, HealthConfig, HostConfig, RestartPolicy } from '@berth/api-types'
import { type Cli, usageError } from '../cli.ts'
import type { CreateFlags } from './create-flags.ts'
import { parseDeviceRate, parseDeviceRule, parseDevices, parseDeviceWeight, parseGpus } from './devices.ts'
import { parseDuration } from './durations.ts'
import { parseEnvironment, parsePairs, readEnvironmentFile } from './environment.ts'
import { limitOf, limits } from './limit-flags.ts'
import { parseMount, parseVolumes } from './mounts.ts'
import { parseNetworks } from './networks.ts'
import { parsePublished } from './ports.ts'
import { parseSecurityOptions } from './security-options.ts'
import { parseSize } from './sizes.ts'
import type { AttachedStreams } from './streams.ts'

/** `on-failure:3`. Throws `invalid-argument`. */
export function parseRestartPolicy(text: string): RestartPolicy {
  const names = ['no', 'always', 'unless-stopped', 'on-failure'] as const
  const [name, times] = text.split(':')
  const known = names.find((candidate) => candidate === name)
  if (!known || (times !== undefined && (known !== 'on-failure' || !/^\d+$/.test(times)))) throw usageError(`invalid restart policy '${text}': it is no, always, unless-stopped or on-failure[:times]`)
  return { Name: known, ...(times === undefined ? {} : { MaximumRetryCount: Number(times) }) }
}

function parseUlimit(text: string): { Name: string; Soft: number; Hard: number } {
  const [, name, soft, hard = soft] = /^(\w+)=(-?\d+|unlimited)(?::(-?\d+|unlimited))?$/.exec(text) ?? []
  if (name === undefined) throw usageError(`invalid ulimit '${text}': it is name=soft[:hard]`)
  const [Soft = 0, Hard = 0] = [soft, hard].map((value) => (value === 'unlimited' ? -1 : Number(value)))
  if (Hard !== -1 && (Soft === -1 || Soft > Hard)) throw usageError(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`)
  return { Name: name, Soft, Hard }
}

/** One of the modes of a namespace. Throws `invalid-argument` in Docker's words. */
function namespaceMode(flag: string, what: string, value: string | undefined, known: RegExp): string | undefined {
  if (value !== undefined && !known.test(value)) throw usageError(`--${flag}: invalid ${what} mode`)
  return value
}

/** What is asked of this engine beyond the API, as annotations. Throws `invalid-argument`. */
function annotations({ annotation = [], restartUnhealthy, execOnDisconnect, hugetlb = [] }: CreateFlags): Record<string, string> | undefined {
  if (execOnDisconnect !== undefined && !['keep', 'kill'].includes(execOnDisconnect)) throw usageError(`invalid policy '${execOnDisconnect}': it is keep or kill`)
  const pages = hugetlb.map((text): [string, string] => {
    const [, size, bytes] = /^([1-9]\d*[KMG]B)=(.+)$/.exec(text) ?? []
    if (size === undefined || bytes === undefined) throw usageError(`invalid limit of huge pages '${text}': it is size=bytes, 2MB=64m`)
    return [`io.berth.hugetlb.${size}`, String(parseSize(bytes))]
  })
  const all = {
    ...parsePairs(annotation),
    ...(restartUnhealthy && { 'io.berth.restart-unhealthy': 'true' }),
    ...(execOnDisconnect && { 'io.berth.exec-on-disconnect': execOnDisconnect }),
    ...Object.fromEntries(pages),
  }
  return Object.keys(all).length > 0 ? all : undefined
}

const duration = (text: string | undefined): number | undefined => (text === undefined ? undefined : parseDuration(text))

function health(flags: CreateFlags): HealthConfig | undefined {
  const { healthCmd, healthInterval, healthTimeout, healthStartPeriod, healthStartInterval, healthRetries } = flags
  const isSilent = [healthCmd, healthInterval, healthTimeout, healthStartPeriod, healthStartInterval, healthRetries].every((flag) => flag === undefined)
  if (flags.healthcheck === false && !isSilent) throw usageError('--no-healthcheck conflicts with --health-* options')
  if (flags.healthcheck === false) return { Test: ['NONE'] }
  if (isSilent) return undefined
  return {
    Test: healthCmd === undefined ? undefined : ['CMD-SHELL', healthCmd],
    Interval: duration(healthInterval),
    Timeout: duration(healthTimeout),
    StartPeriod: duration(healthStartPeriod),
    StartInterval: duration(healthStartInterval),
    Retries: healthRetries,
  }
}

function hostConfig(flags: CreateFlags, binds: string[], bindings: HostConfig['PortBindings'], { stdout }: Cli['io']): HostConfig {
  const { devices, requests } = parseDevices(flags.device ?? [])
  const deviceRequests = [...(flags.gpus ?? []).map(parseGpus), ...requests]
  if (flags.memorySwappiness !== undefined && (flags.memorySwappiness < -1 || flags.memorySwappiness > 100)) throw usageError(`invalid value: ${flags.memorySwappiness}. Valid memory swappiness range is 0-100`)
  if (flags.logDriver === 'none' && flags.logOpt) throw usageError('invalid logging opts for driver none')
  return {
    ...limits(flags),
    Annotations: annotations(flags),
    AutoRemove: flags.rm,
    Binds: binds,
    VolumeDriver: flags.volumeDriver,
    VolumesFrom: flags.volumesFrom,
    Mounts: flags.mount?.map(parseMount),
    Tmpfs: flags.tmpfs && Object.fromEntries(flags.tmpfs.map((text) => text.split(/:(.*)/s)).map(([path = '', options = '']) => [path, options])),
    PortBindings: bindings,
    PublishAllPorts: flags.publishAll,
    MemorySwappiness: flags.memorySwappiness,
    OomKillDisable: flags.oomKillDisable,
    BlkioWeightDevice: flags.blkioWeightDevice?.map(parseDeviceWeight),
    BlkioDeviceReadBps: flags.deviceReadBps?.map((text) => parseDeviceRate(text, 'bytes')),
    BlkioDeviceReadIOps: flags.deviceReadIops?.map((text) => parseDeviceRate(text, 'operations')),
    BlkioDeviceWriteBps: flags.deviceWriteBps?.map((text) => parseDeviceRate(text, 'bytes')),
    BlkioDeviceWriteIOps: flags.deviceWriteIops?.map((text) => parseDeviceRate(text, 'operations')),
    StorageOpt: flags.storageOpt && parsePairs(flags.storageOpt),
    ShmSize: limitOf(flags.shmSize),
    Ulimits: flags.ulimit?.map(parseUlimit),
    NetworkMode: parseNetworks(flags).mode,
    Links: flags.link,
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
    ...(flags.securityOpt && parseSecurityOptions(flags.securityOpt)),
    Devices: devices.length > 0 ? devices : undefined,
    DeviceCgroupRules: flags.deviceCgroupRule?.map(parseDeviceRule),
    DeviceRequests: deviceRequests.length > 0 ? deviceRequests : undefined,
    GroupAdd: flags.groupAdd,
    PidMode: namespaceMode('pid', 'PID', flags.pid, /^(|host|container:.+)$/),
    IpcMode: flags.ipc,
    UTSMode: namespaceMode('uts', 'UTS', flags.uts, /^(|host)$/),
    UsernsMode: namespaceMode('userns', 'USER', flags.userns, /^(|host|private)$/),
    CgroupnsMode: namespaceMode('cgroupns', 'CGROUP', flags.cgroupns, /^(|host|private)$/) as HostConfig['CgroupnsMode'],
    Isolation: flags.isolation as HostConfig['Isolation'],
    Sysctls: flags.sysctl && parsePairs(flags.sysctl),
    Runtime: flags.runtime,
    OomScoreAdj: flags.oomScoreAdj,
    CgroupParent: flags.cgroupParent,
    LogConfig: flags.logDriver === undefined && !flags.logOpt ? undefined : { Type: flags.logDriver as 'json-file', Config: parsePairs(flags.logOpt ?? []) },
    ConsoleSize: flags.tty && stdout.isTTY && stdout.rows && stdout.columns ? [stdout.rows, stdout.columns] : undefined,
  }
}

/** The request that `run` and `create` make of their flags. Throws `invalid-argument` for a flag that is wrong. */
export function createRequest(image: string, command: readonly string[], flags: CreateFlags, { io, streams }: { io: Cli['io']; streams: AttachedStreams }): ContainerCreateRequest {
  if (flags.rm && flags.restart !== undefined && flags.restart !== 'no') throw usageError("conflicting options: cannot specify both --restart and --rm")
  const { exposed, bindings } = parsePublished(flags.publish ?? [])
  for (const port of flags.expose ?? []) Object.assign(exposed, parsePublished([port]).exposed)
  const { binds, anonymous } = parseVolumes(flags.volume ?? [])
  const { endpoints } = parseNetworks(flags)
  return {
    Image: image,
    Cmd: command.length > 0 ? [...command] : undefined,
    Entrypoint: flags.entrypoint === undefined ? undefined : [flags.entrypoint],
    Hostname: flags.hostname,
    Domainname: flags.domainname,
    User: flags.user,
    WorkingDir: flags.workdir,
    Env: parseEnvironment([...(flags.envFile ?? []).flatMap(readEnvironmentFile), ...(flags.env ?? [])], io.env),
    Labels: parsePairs([...(flags.labelFile ?? []).flatMap(readEnvironmentFile), ...(flags.label ?? [])]),
    Tty: flags.tty ?? false,
    OpenStdin: flags.interactive ?? false,
    StdinOnce: streams.stdin && (flags.interactive ?? false),
    AttachStdin: streams.stdin,
    AttachStdout: streams.stdout,
    AttachStderr: streams.stderr,
    ExposedPorts: exposed,
    Volumes: anonymous,
    StopSignal: flags.stopSignal,
    StopTimeout: flags.stopTimeout,
    Healthcheck: health(flags),
    HostConfig: hostConfig(flags, binds, bindings, io),
    NetworkingConfig: endpoints && { EndpointsConfig: endpoints },
  }
}
