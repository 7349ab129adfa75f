import { readdirSync, readFileSync } from 'node:fs'
import { arch, cpus, hostname, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { apiVersion, type AuthConfig, minApiVersion, type SystemDataUsageResponse, type SystemInfo, type SystemVersion } from '@berth/api-types'
import type { ContainerRuntime } from '@berth/container-runtime'
import { type EngineEvent, formatNano, isErrno, nowNano } from '@berth/core'
import type { ImageStore } from '@berth/image-store'
import { detectCgroups } from '@berth/linux'
import type { NetworkManager } from '@berth/network-manager'
import type { RegistryClient } from '@berth/registry-client'
import type { VolumeManager } from '@berth/volume-manager'
import type { EngineOptions } from './engine-options.ts'
import { engineId } from './engine-id.ts'
import { checkEventFilters } from './event-filters.ts'
import type { EventHub, EventsOptions } from './event-hub.ts'
import { infoWarnings } from './info-warnings.ts'
import { type ProgramVersions, programVersions } from './program-versions.ts'
import { registryConfig } from './registry-config.ts'
import type { Runtimes } from './runtimes.ts'

export interface SystemDependencies {
  options: EngineOptions
  events: EventHub
  runtime: ContainerRuntime
  images: ImageStore
  networks: NetworkManager
  volumes: VolumeManager
  registry: Pick<RegistryClient, 'login'>
  runtimes: Pick<Runtimes, 'configured' | 'describe'>
  logDrivers: ReadonlyMap<string, unknown>
  snapshotter: { name: string }
  liveRestore: boolean
}

export type DiskUsageType = 'container' | 'image' | 'volume' | 'build-cache'

/** The engine about itself. */
export interface System {
  version(): Promise<SystemVersion>
  info(): Promise<SystemInfo>
  /** Of all kinds, or only of those given. */
  diskUsage(options: { types: readonly DiskUsageType[] }): Promise<SystemDataUsageResponse>
  /** Past events from `since`, then those to come. Throws `invalid-argument` for an unknown filter. */
  events(options: EventsOptions): AsyncIterable<EngineEvent>
  /** Asks a registry whether it takes the credentials. Throws `unauthenticated` when not. */
  auth(config: AuthConfig): Promise<{ Status: string; IdentityToken: string }>
}

const goArchitectures: Record<string, string> = { x64: 'amd64' }
const kernelArchitectures: Record<string, string> = { x64: 'x86_64', arm64: 'aarch64' }

export function createSystem(deps: SystemDependencies): System {
  let programs: Promise<ProgramVersions> | undefined
  const versions = (): Promise<ProgramVersions> => (programs ??= programVersions())
  return {
    version: async () => versionOf(deps, await versions()),
    info: async () => infoOf(deps, await versions()),
    diskUsage: ({ types }) => diskUsageOf(deps, types),
    events(options) {
      checkEventFilters(options.filters)
      return deps.events.listen(options)
    },
    auth: async (config) => {
      const { identityToken = '' } = await deps.registry.login(config, { signal: AbortSignal.timeout(60_000) })
      return { Status: 'Login Succeeded', IdentityToken: identityToken }
    },
  }
}

function versionOf({ options }: SystemDependencies, { runc, shim }: ProgramVersions): SystemVersion {
  const { version = '' } = options
  const about = { Version: version, ApiVersion: apiVersion, MinAPIVersion: minApiVersion, GitCommit: '', GoVersion: '', Os: 'linux', Arch: goArchitectures[arch()] ?? arch(), KernelVersion: release(), BuildTime: '' }
  const { Version: _version, ...details } = about
  return {
    Platform: { Name: `Berth ${version}`.trim() },
    Components: [
      { Name: 'Engine', Version: version, Details: { ...details, Experimental: String(options.experimental ?? false) } },
      { Name: 'node', Version: process.versions.node, Details: {} },
      { Name: 'containerd-shim-runc-v2', Version: shim, Details: {} },
      { Name: 'runc', Version: runc, Details: {} },
    ],
    ...about,
    Experimental: options.experimental ?? false,
  }
}

/** The filter of system calls of containers that bring none; a profile of the user's has no name. */
function seccompName({ containerDefaults }: EngineOptions): string {
  const profile = containerDefaults?.seccompProfile ?? 'builtin'
  return profile === 'builtin' || profile === 'unconfined' ? profile : 'custom'
}

function infoOf(deps: SystemDependencies, { runc, init }: ProgramVersions): SystemInfo {
  const { options, runtime, images, volumes, networks, events, liveRestore } = deps
  const { total, running, paused, stopped } = runtime.counts()
  const cgroups = detectCgroups()
  const cdi = runtime.cdi()
  const controllers = cgroups?.version === 1 ? [...cgroups.controllers.keys()] : (cgroups?.controllers ?? [])
  const has = (controller: string): boolean => controllers.includes(controller)
  const [defaultRuntime = ''] = deps.runtimes.configured.keys()
  const loggingDriver = deps.options.logConfig?.driver ?? 'json-file'
  const info: SystemInfo = {
    ID: engineId(options.dataRoot),
    Containers: total,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: stopped,
    Images: images.count(),
    Driver: deps.snapshotter.name,
    DriverStatus: [],
    DockerRootDir: options.dataRoot,
    Plugins: { Volume: volumes.driverNames, Network: networks.driverNames, Log: [...deps.logDrivers.keys()].toSorted() },
    MemoryLimit: has('memory'),
    SwapLimit: runtime.machine.swap,
    CpuCfsPeriod: has('cpu'),
    CpuCfsQuota: has('cpu'),
    CPUShares: has('cpu'),
    CPUSet: has('cpuset'),
    PidsLimit: has('pids'),
    OomKillDisable: cgroups?.version === 1,
    IPv4Forwarding: readFirstLine('/proc/sys/net/ipv4/ip_forward') === '1',
    Debug: false,
    NFd: readdirSync('/proc/self/fd').length,
    NGoroutines: 0,
    NEventsListener: events.listenerCount,
    SystemTime: formatNano(nowNano()),
    LoggingDriver: loggingDriver,
    CgroupDriver: 'cgroupfs',
    CgroupVersion: cgroups?.version === 2 ? '2' : '1',
    KernelVersion: release(),
    OperatingSystem: osRelease('PRETTY_NAME') ?? 'Linux',
    OSVersion: osRelease('VERSION_ID') ?? '',
    OSType: 'linux',
    Architecture: kernelArchitectures[arch()] ?? arch(),
    NCPU: cpus().length,
    MemTotal: totalmem(),
    IndexServerAddress: 'https://index.docker.io/v1/',
    RegistryConfig: registryConfig(options),
    HttpProxy: shownProxy(options.httpProxy),
    HttpsProxy: shownProxy(options.httpsProxy),
    NoProxy: options.noProxy ?? '',
    Name: hostname(),
    Labels: [],
    ExperimentalBuild: options.experimental ?? false,
    ServerVersion: options.version ?? '',
    Runtimes: deps.runtimes.describe(),
    DefaultRuntime: defaultRuntime,
    Swarm: { NodeID: '', NodeAddr: '', LocalNodeState: 'inactive', ControlAvailable: false, Error: '', RemoteManagers: [] },
    LiveRestoreEnabled: liveRestore,
    InitBinary: runtime.machine.initPath ?? '',
    RuncCommit: { ID: runc },
    InitCommit: { ID: init },
    ContainerdCommit: { ID: '' },
    SecurityOptions: [
      ...(runtime.machine.appArmor ? ['name=apparmor'] : []), `name=seccomp,profile=${seccompName(options)}`, ...(cgroups?.version === 2 ? ['name=cgroupns'] : []),
      ...(options.usernsRemap || options.userns === 'private' ? ['name=userns'] : []), ...(options.containerDefaults?.noNewPrivileges ? ['name=no-new-privileges'] : []),
    ], // prettier-ignore
    CDISpecDirs: [...cdi.directories],
    DiscoveredDevices: cdi.devices.map((ID) => ({ Source: 'cdi', ID })),
  }
  return { ...info, Warnings: infoWarnings(info) }
}

/** What was not asked for is not there, but for the size of the layers, which costs nothing. */
async function diskUsageOf({ images, runtime, volumes }: SystemDependencies, types: readonly DiskUsageType[]): Promise<SystemDataUsageResponse> {
  const wants = (type: DiskUsageType): boolean => types.length === 0 || types.includes(type)
  const [ofImages, Containers, Volumes] = await Promise.all([
    wants('image') ? images.diskUsage() : undefined,
    wants('container') ? runtime.containers.list({ all: true, size: true, filters: new Map() }) : undefined,
    wants('volume') ? volumes.usage() : undefined,
  ])
  return {
    LayersSize: ofImages?.layersSize ?? images.layersSize(),
    ...(ofImages && { Images: ofImages.images }),
    ...(Containers && { Containers }),
    ...(Volumes && { Volumes }),
    ...(wants('build-cache') && { BuildCache: [] }),
  }
}

/** A proxy without the credentials that its URL may hold. */
function shownProxy(url = ''): string {
  const parsed = URL.parse(url)
  if (!parsed?.username && !parsed?.password) return url
  return url.replace(/\/\/[^@/]*@/, '//xxxxx:xxxxx@')
}

function readFirstLine(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').split('\n')[0]
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES')) return undefined
    throw error
  }
}

/** A field of /etc/os-release. @see os-release(5) */
function osRelease(field: string): string | undefined {
  try {
    const line = readFileSync(join('/etc', 'os-release'), 'utf8').split('\n').find((text) => text.startsWith(`${field}=`))
    return line?.slice(field.length + 1).replace(/^"(.*)"$/, '$1')
  } catch {
    return undefined
  }
}
