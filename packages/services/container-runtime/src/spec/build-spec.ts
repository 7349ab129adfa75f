import type { ContainerConfig, HostConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { VolumeMount } from '../dependencies.ts'
import { capabilitiesOf } from './capabilities.ts'
import { devicesOf } from './devices.ts'
import type { MachineFeatures } from './machine-features.ts'
import type { OciMount, OciProcess, OciSpec } from './oci-spec.ts'
import { resourcesOf } from './resources.ts'
import { defaultSeccomp, resolveProfile } from './seccomp.ts'
import { parseSecurityOptions, parseSeccomp, type SecurityOptions } from './security.ts'
import type { ResolvedUser } from './user.ts'

/** What a container gets that says nothing of it. */
export interface SpecDefaults {
  noNewPrivileges?: boolean | undefined
  /** `builtin`, `unconfined` or a profile as JSON; `builtin` when absent. */
  seccompProfile?: string | undefined
  /** By name; those of the container come first. */
  ulimits?: HostConfig['Ulimits'] | undefined
}

export interface SpecInput {
  id: string
  /** The request merged with the image's config. */
  config: ContainerConfig
  host: HostConfig
  user: ResolvedUser
  /** File of the network namespace, or `host`. */
  netns: string
  /** Paths of the namespaces joined for `PidMode`, `IpcMode` `container:…`. */
  joined?: { pid?: string; ipc?: string }
  volumes: readonly VolumeMount[]
  /** Host files bound over the container's; writable by it, as in Docker. */
  files: { hosts?: string | undefined; resolvConf?: string | undefined; hostname?: string | undefined }
  machine: MachineFeatures
  defaults?: SpecDefaults | undefined
}

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const initTarget = '/sbin/docker-init'

const maskedPaths = [
  '/proc/acpi', '/proc/asound', '/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/sched_debug', '/proc/scsi',
  '/proc/timer_list', '/proc/timer_stats', '/sys/devices/virtual/powercap', '/sys/firmware',
] // prettier-ignore
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

const kernelMount = (destination: string, type: string, source: string, options: string[]): OciMount => ({ destination, type, source, options })

function mountsOf({ host, volumes, files, machine }: SpecInput): OciMount[] {
  const access = host.Privileged ? 'rw' : 'ro'
  const inert = ['nosuid', 'noexec', 'nodev']
  const bound = (source: string, destination: string): OciMount => kernelMount(destination, 'bind', source, ['rbind', 'rprivate'])
  const file = (source: string, destination: string): OciMount => kernelMount(destination, 'bind', source, ['rbind', ...(host.ReadonlyRootfs ? ['ro'] : []), 'rprivate'])
  const sharedMemory =
    host.IpcMode === 'host' ? bound('/dev/shm', '/dev/shm') : kernelMount('/dev/shm', 'tmpfs', 'shm', [...inert, 'mode=1777', `size=${host.ShmSize || 64 * 1024 * 1024}`])
  const mounts: OciMount[] = [
    kernelMount('/proc', 'proc', 'proc', inert),
    kernelMount('/dev', 'tmpfs', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
    kernelMount('/dev/pts', 'devpts', 'devpts', ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5']),
    kernelMount('/sys', 'sysfs', 'sysfs', [...inert, access]),
    kernelMount('/sys/fs/cgroup', 'cgroup', 'cgroup', [...inert, access, 'relatime']),
    kernelMount('/dev/mqueue', 'mqueue', 'mqueue', inert),
    ...(host.IpcMode === 'none' ? [] : [sharedMemory]),
    ...(files.resolvConf ? [file(files.resolvConf, '/etc/resolv.conf')] : []),
    ...(files.hostname ? [file(files.hostname, '/etc/hostname')] : []),
    ...(files.hosts ? [file(files.hosts, '/etc/hosts')] : []),
    ...(runsInit(host) ? [kernelMount(initTarget, 'bind', initOf(machine), ['bind', 'ro'])] : []),
  ]
  const taken = new Set(volumes.map(({ destination }) => destination))
  const depth = ({ destination }: OciMount): number => (destination === '/' ? 0 : destination.split('/').length)
  // A mount point may lie inside another mount: the outer one comes first. The kernel's own keep their order before those of the user.
  return [...mounts.filter(({ destination }) => !taken.has(destination)), ...volumes.toSorted((a, b) => depth(a) - depth(b))]
}

/** In a process namespace that is somebody else's, the container's first process is not process 1. */
function runsInit({ Init, PidMode }: HostConfig): boolean {
  return Boolean(Init) && !PidMode
}

function initOf({ initPath }: MachineFeatures): string {
  if (!initPath) {
    throw new BerthError('invalid-argument', 'INIT_MISSING', 'an init process was asked for but the machine has none: install the Debian package tini')
  }
  return initPath
}

function namespacesOf({ host, netns, joined, machine }: SpecInput): { type: string; path?: string }[] {
  const pid = host.PidMode ?? ''
  const ipc = host.IpcMode ?? ''
  const privateCgroup = host.CgroupnsMode ? host.CgroupnsMode === 'private' : machine.cgroups === 2 && !host.Privileged
  return [
    { type: 'mount' },
    ...(netns === 'host' ? [] : [{ type: 'network', path: netns }]),
    ...(host.UTSMode === 'host' ? [] : [{ type: 'uts' }]),
    ...(pid === 'host' ? [] : [joined?.pid ? { type: 'pid', path: joined.pid } : { type: 'pid' }]),
    ...(ipc === 'host' ? [] : [joined?.ipc ? { type: 'ipc', path: joined.ipc } : { type: 'ipc' }]),
    ...(privateCgroup ? [{ type: 'cgroup' }] : []),
  ]
}

/** The defaults and what was given, which takes a default's place; `NAME` alone unsets it. */
function environmentOf({ id, config }: SpecInput): string[] {
  const variables = new Map([
    ['PATH', defaultPath],
    ['HOSTNAME', config.Hostname || id.slice(0, 12)],
    ...(config.Tty ? [['TERM', 'xterm'] as const] : []),
  ])
  for (const entry of config.Env ?? []) {
    const at = entry.indexOf('=')
    if (at < 0) variables.delete(entry)
    else variables.set(entry.slice(0, at), entry.slice(at + 1))
  }
  return [...variables].map(([name, value]) => `${name}=${value}`)
}

/** -1 is no limit; the runtime takes an unsigned number, of which this is the greatest that JSON carries. */
const limited = (value: number): number => (value < 0 ? Number.MAX_SAFE_INTEGER : value)

function rlimitsOf({ Ulimits }: HostConfig, defaults: HostConfig['Ulimits']): OciProcess['rlimits'] {
  const given = new Set((Ulimits ?? []).map(({ Name }) => Name))
  const all = [...(Ulimits ?? []), ...(defaults ?? []).filter(({ Name }) => !given.has(Name))]
  if (all.length === 0) return undefined
  return all.map(({ Name = '', Soft = 0, Hard = 0 }) => ({ type: `RLIMIT_${Name.toUpperCase()}`, soft: limited(Soft), hard: limited(Hard) }))
}

function capabilitySets(capabilities: string[], uid: number): OciProcess['capabilities'] {
  // As after an execve by that user: another user than root has only the bounding set, and nothing is inherited.
  return uid === 0 ? { bounding: capabilities, effective: capabilities, permitted: capabilities, inheritable: [] } : { bounding: capabilities, inheritable: [] }
}

function processUser({ uid, gid, additionalGids }: ResolvedUser): OciProcess['user'] {
  return { uid, gid, ...(additionalGids.length > 0 ? { additionalGids } : {}) }
}

/** The paths that are hidden from a container and those that it cannot write to, in `HostConfig`'s words. */
export function maskedPathsOf(host: HostConfig): { MaskedPaths: string[]; ReadonlyPaths: string[] } {
  if (host.Privileged || parseSecurityOptions(host).unmaskPaths) return { MaskedPaths: [], ReadonlyPaths: [] }
  return { MaskedPaths: host.MaskedPaths ?? maskedPaths, ReadonlyPaths: host.ReadonlyPaths ?? readonlyPaths }
}

/** Mounts made below it in the container appear on the machine, for which the root must be shared too; otherwise it follows the machine (the runtime's default). */
function isShared({ options }: OciMount): boolean {
  return options.includes('shared') || options.includes('rshared')
}

/** The filter of system calls. A privileged container has only the one that it asks for itself, as in Docker. */
function seccompOf({ host, defaults }: SpecInput, { seccomp }: SecurityOptions, capabilities: string[]): object | undefined {
  const choice = seccomp ?? (host.Privileged ? 'unconfined' : parseSeccomp(defaults?.seccompProfile ?? 'builtin'))
  if (choice === 'unconfined' || (choice === 'default' && host.Privileged)) return undefined
  return choice === 'default' ? defaultSeccomp(capabilities) : resolveProfile(choice.profile, capabilities)
}

/** In a network of its own a container may listen on low ports and ping without privileges, as in Docker. */
function defaultSysctls({ host, netns }: SpecInput): Record<string, string> {
  if (netns === 'host' || host.NetworkMode?.startsWith('container:')) return {}
  return { 'net.ipv4.ip_unprivileged_port_start': '0', 'net.ipv4.ping_group_range': '0 2147483647' }
}

/**
 * The OCI configuration of a container, with a root file system in the bundle's `rootfs`. Throws `invalid-argument` for what cannot be.
 * @see OCI runtime specification v1.2
 */
export function buildSpec(input: SpecInput): OciSpec {
  const { id, config, host, user, volumes, machine } = input
  const security = parseSecurityOptions(host)
  const capabilities = capabilitiesOf(host, machine.capabilities)
  const command = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])]
  const seccomp = seccompOf(input, security, capabilities)
  const appArmor = machine.appArmor ? security.appArmor : undefined
  const { MaskedPaths, ReadonlyPaths } = maskedPathsOf(host)
  // Runtimes before OCI 1.1 know no `domainname`, but all know this.
  const domain: Record<string, string> = config.Domainname && host.UTSMode !== 'host' ? { 'kernel.domainname': config.Domainname } : {}
  const sysctls = { ...defaultSysctls(input), ...domain, ...host.Sysctls }
  const rlimits = rlimitsOf(host, input.defaults?.ulimits)
  const devices = devicesOf(host)
  return {
    ociVersion: '1.0.2',
    ...(host.UTSMode === 'host' ? {} : { hostname: config.Hostname || id.slice(0, 12) }),
    root: { path: 'rootfs', readonly: host.ReadonlyRootfs ?? false },
    process: {
      terminal: config.Tty ?? false,
      ...(config.Tty && host.ConsoleSize?.[0] ? { consoleSize: { height: host.ConsoleSize[0], width: host.ConsoleSize[1] ?? 0 } } : {}),
      user: processUser(user),
      args: runsInit(host) ? [initTarget, '--', ...command] : command,
      env: environmentOf(input),
      cwd: config.WorkingDir || '/',
      capabilities: capabilitySets(capabilities, user.uid),
      noNewPrivileges: security.noNewPrivileges ?? input.defaults?.noNewPrivileges ?? false,
      ...(appArmor ? { apparmorProfile: appArmor } : {}),
      oomScoreAdj: host.OomScoreAdj ?? 0,
      ...(rlimits ? { rlimits } : {}),
    },
    mounts: mountsOf(input),
    ...(host.Annotations ? { annotations: host.Annotations } : {}),
    linux: {
      namespaces: namespacesOf(input),
      cgroupsPath: `${host.CgroupParent ? `/${host.CgroupParent.replace(/^\/+/, '')}` : '/berth'}/${id}`,
      resources: resourcesOf(host, machine),
      ...(devices.length > 0 ? { devices } : {}),
      ...(Object.keys(sysctls).length > 0 ? { sysctl: sysctls } : {}),
      ...(seccomp ? { seccomp } : {}),
      maskedPaths: MaskedPaths,
      readonlyPaths: ReadonlyPaths,
      ...(volumes.some(isShared) ? { rootfsPropagation: 'shared' } : {}),
    },
  }
}

export interface ExecProcessInput {
  /** The process of the running container. */
  container: OciProcess
  host: HostConfig
  user: ResolvedUser
  command: readonly string[]
  env: readonly string[]
  workingDir: string | undefined
  terminal: boolean
  consoleSize?: { width: number; height: number } | undefined
  privileged: boolean
  machine: Pick<MachineFeatures, 'capabilities'>
}

/** The OCI process of an exec: the container's environment and confinement, changed as asked. */
export function buildExecProcess(input: ExecProcessInput): OciProcess {
  const { container, host, user, command, env, terminal } = input
  const replaced = new Set(env.map((entry) => entry.split('=', 1)[0]))
  const kept = container.env.filter((entry) => !replaced.has(entry.split('=', 1)[0]))
  const { consoleSize: _size, oomScoreAdj: _adjustment, ...inherited } = container
  return {
    ...inherited,
    terminal,
    ...(terminal && input.consoleSize ? { consoleSize: input.consoleSize } : {}),
    user: processUser(user),
    args: [...command],
    env: [...kept, ...(terminal && !replaced.has('TERM') && !kept.some((entry) => entry.startsWith('TERM=')) ? ['TERM=xterm'] : []), ...env.filter((entry) => entry.includes('='))],
    cwd: input.workingDir || container.cwd,
    capabilities: capabilitySets(capabilitiesOf({ ...host, Privileged: host.Privileged || input.privileged }, input.machine.capabilities), user.uid),
  }
}
