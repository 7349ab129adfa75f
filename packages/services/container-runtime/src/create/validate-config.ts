import type { ContainerConfig, HealthConfig, HostConfig, RestartPolicy } from '@berth/api-types'
import { BerthError } from '@berth/core'
import { engineAnnotations } from '../annotations.ts'
import { requestedDevices } from '../cdi/requested-devices.ts'
import { parseSignal } from '../life/signals.ts'
import { capabilitiesOf, checkDevices, checkSysctls, type MachineFeatures, parseSecurityOptions } from '../spec/index.ts'

/** What is wrong with a request, in Docker's words. */
export function invalid(message: string): BerthError {
  return new BerthError('invalid-argument', 'CONTAINER_CONFIG_INVALID', message)
}

/** The kernel's limit of both names. @see sethostname(2) */
const longestName = 64

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
    if (value && (value.length > longestName || !/^[a-zA-Z0-9_.-]+$/.test(value))) throw invalid(`invalid ${field} format: ${JSON.stringify(value)}`)
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

const isJoined = (mode: string | undefined): boolean => mode?.startsWith('container:') ?? false

/** Modes of namespaces that are known. */
function validateModes({ UTSMode, PidMode, IpcMode, CgroupnsMode, NetworkMode, Isolation, Cgroup }: HostConfig): void {
  const known = (mode: string | undefined, modes: string[]): boolean => !mode || modes.includes(mode)
  if (!known(UTSMode, ['host'])) throw invalid(`invalid UTS mode: ${UTSMode}`)
  if (!known(PidMode, ['host']) && !isJoined(PidMode)) throw invalid(`invalid PID mode: ${PidMode}`)
  if (!known(IpcMode, ['host', 'none', 'private', 'shareable']) && !isJoined(IpcMode)) throw invalid(`invalid IPC mode: ${IpcMode}`)
  if (!known(CgroupnsMode, ['host', 'private'])) throw invalid(`invalid cgroup namespace mode: ${CgroupnsMode}`)
  if (NetworkMode === 'container:') throw invalid('Invalid network mode: invalid container format container:<name|id>')
  if (!known(Isolation, ['default'])) throw invalid(`Invalid isolation: "${Isolation}" - linux only supports 'default'`)
  // Docker takes it and does nothing with it.
  if (Cgroup) throw invalid(`invalid Cgroup: ${Cgroup}: a container has a control group of its own, below CgroupParent`)
}

/** Options that exclude each other. */
function validateConflicts(host: HostConfig, config: ContainerConfig): void {
  const conflict = (what: string): never => {
    throw invalid(`conflicting options: ${what}`)
  }
  if (host.UTSMode === 'host' && config.Hostname) conflict('hostname and the UTS mode')
  if (host.NetworkMode === 'host' && host.Links?.length) conflict("host type networking can't be used with links. This would result in undefined behavior")
  if ((host.NetworkMode === 'host' || isJoined(host.NetworkMode)) && config.MacAddress) conflict('mac-address and the network mode')
  if (!isJoined(host.NetworkMode)) return
  if (config.Hostname) conflict('hostname and the network mode')
  if (host.Links?.length) conflict("container type network can't be used with links. This would result in undefined behavior")
  if (host.Dns?.length) conflict('dns and the network mode')
  if (host.ExtraHosts?.length) conflict('custom host-to-IP mapping and the network mode')
  if (Object.keys(host.PortBindings ?? {}).length > 0 || host.PublishAllPorts) conflict('port publishing and the container type network mode')
  if (Object.keys(config.ExposedPorts ?? {}).length > 0) conflict('port exposing and the container type network mode')
}

/** Checks what a host configuration asks for, alone and together with the configuration. Throws `invalid-argument`. */
export function validateHost(host: HostConfig, config: ContainerConfig, machine: MachineFeatures): void {
  if (host.ShmSize && host.ShmSize < 0) throw invalid('SHM size can not be less than 0')
  if (host.OomScoreAdj && (host.OomScoreAdj < -1000 || host.OomScoreAdj > 1000)) {
    throw invalid(`Invalid value ${host.OomScoreAdj}, range for oom score adj is [-1000, 1000]`)
  }
  const [storage] = Object.keys(host.StorageOpt ?? {})
  if (storage !== undefined) throw invalid(`--storage-opt ${storage} is not supported: the file systems of containers share their disk without quotas`)
  if (host.CgroupParent?.split('/').includes('..')) throw invalid(`invalid cgroup parent: ${host.CgroupParent} leads out of its hierarchy`)
  validateModes(host)
  validateConflicts(host, config)
  validateAnnotations(host, machine)
  requestedDevices(host)
  capabilitiesOf(host, machine.capabilities)
  checkDevices(host)
  checkSysctls(host)
  const { appArmor } = parseSecurityOptions(host)
  if (appArmor && appArmor !== 'unconfined' && !machine.appArmor) {
    throw invalid(`invalid --security-opt 2: "apparmor=${appArmor}": the kernel does not enforce AppArmor profiles`)
  }
}

function validateAnnotations(host: HostConfig, { hugepageSizes }: MachineFeatures): void {
  if (Object.hasOwn(host.Annotations ?? {}, '')) throw invalid('invalid Annotations: the empty string is not permitted as an annotation key')
  for (const { pageSize } of engineAnnotations(host).hugepageLimits) {
    if (hugepageSizes.includes(pageSize)) continue
    throw invalid(`huge pages of ${pageSize} cannot be limited: ${hugepageSizes.length > 0 ? `this machine has ${hugepageSizes.join(', ')}` : 'this machine has no control groups for huge pages'}`)
  }
}

/** What is granted but will not be what was meant. */
export function hostWarnings({ NetworkMode, PortBindings }: HostConfig, { ArgsEscaped }: ContainerConfig): string[] {
  return [
    ...(NetworkMode === 'host' && Object.keys(PortBindings ?? {}).length > 0 ? ['Published ports are discarded when using host network mode'] : []),
    ...(ArgsEscaped ? ['linux does not support ArgsEscaped. It is discarded.'] : []),
  ]
}
