import { mkdirSync, writeFileSync } from 'node:fs'
import { hostname as hostName } from 'node:os'
import { join } from 'node:path'
import type { ContainerConfig, ContainerCreateRequest, HostConfig } from '@berth/api-types'
import { BerthError, formatNano, newId, nowNano, shortId } from '@berth/core'
import { Container } from './container.ts'
import { type Context, emit, stateDirOf, together } from './context.ts'
import type { ContainerImage } from './dependencies.ts'
import { logDriverOf } from './log-driver.ts'
import { mergeConfig } from './merge-config.ts'
import { checkName, generateName } from './names.ts'
import { zeroTime } from './records.ts'
import { releaseContainer } from './release.ts'
import { chooseMapping } from './userns/choose-mapping.ts'
import { invalid, validateConfig, validateHost, validateResources, validateRestartPolicy } from './validate-config.ts'

/** What a request asks for once everything left open is decided. */
interface Plan {
  config: ContainerConfig
  host: HostConfig
  warnings: string[]
}

const joinedModes = [['NetworkMode', 'network'], ['PidMode', 'PID'], ['IpcMode', 'IPC']] as const

/** The host configuration with defaults, and references to other containers made full IDs. */
function planHost(ctx: Context, given: HostConfig): HostConfig {
  const host: HostConfig = { ...ctx.options.defaults, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null && value !== undefined)) }
  if (!host.NetworkMode || host.NetworkMode === 'default') host.NetworkMode = 'bridge'
  for (const [field] of joinedModes) {
    const mode = host[field]
    if (typeof mode === 'string' && mode.startsWith('container:')) host[field] = `container:${ctx.containers.resolve(mode.slice('container:'.length)).id}`
  }
  if (host.VolumesFrom) host.VolumesFrom = host.VolumesFrom.map((spec) => spec.replace(/^[^:]*/, (ref) => ctx.containers.resolve(ref).id))
  host.RestartPolicy = { Name: host.RestartPolicy?.Name || 'no', MaximumRetryCount: host.RestartPolicy?.MaximumRetryCount ?? 0 }
  const logDriver = ctx.options.defaults?.LogConfig?.Type ?? ctx.deps.logDrivers.keys().next().value ?? 'none'
  // A driver may have any name.
  host.LogConfig = { Type: host.LogConfig?.Type || (logDriver as NonNullable<HostConfig['LogConfig']>['Type']), Config: host.LogConfig?.Config ?? {} }
  host.ShmSize ||= 64 * 1024 * 1024
  // Clients send an empty one for none.
  host.CgroupParent ||= ctx.options.defaults?.CgroupParent ?? ''
  host.Runtime ||= ctx.deps.runtimes.keys().next().value ?? ''
  host.IpcMode ||= 'private'
  host.CgroupnsMode ||= ctx.machine.cgroups === 2 && !host.Privileged ? 'private' : 'host'
  return host
}

function plan(ctx: Context, request: ContainerCreateRequest, image: ContainerImage): Plan {
  const { HostConfig: givenHost, NetworkingConfig: _networking, ...given } = request
  const imageConfig = (image.config.config ?? {}) as ContainerConfig
  const host = planHost(ctx, givenHost ?? {})
  validateHost(host, given)
  const config = mergeConfig(given, imageConfig)
  validateConfig(config)
  validateRestartPolicy(host.RestartPolicy, host.AutoRemove ?? false)
  const warnings = validateResources(host, ctx.machine)
  if (!ctx.deps.runtimes.has(host.Runtime ?? '')) throw invalid(`unknown or invalid runtime name: ${host.Runtime}`)
  logDriverOf(ctx, host)?.validate(host.LogConfig?.Config ?? {})
  return { config, host, warnings }
}

/** Clients pull the image when a creation is answered by `not-found`: anything else that is missing is the request's fault. */
function asRequestError(error: unknown): unknown {
  if (!(error instanceof BerthError) || error.kind !== 'not-found') return error
  return new BerthError('invalid-argument', error.code, error.message, { cause: error })
}

/** The host name inside: asked for, the joined container's, the machine's, or the short ID. */
function hostnameOf(ctx: Context, id: string, config: ContainerConfig, host: HostConfig): string {
  if (config.Hostname) return config.Hostname
  if (host.NetworkMode?.startsWith('container:')) {
    const other = ctx.containers.get(host.NetworkMode.slice('container:'.length))
    if (other?.record.definition.config.Hostname) return other.record.definition.config.Hostname
  }
  return host.NetworkMode === 'host' || host.UTSMode === 'host' ? hostName() : shortId(id)
}

/** Makes a container that can be started; nothing of it stays when it fails. */
export async function createContainer(
  ctx: Context,
  name: string | undefined,
  request: ContainerCreateRequest,
  { platform, signal }: { platform?: string; signal?: AbortSignal },
): Promise<{ Id: string; Warnings: string[] }> {
  if (name) name = checkName(name)
  const reference = request.Image ?? ''
  if (reference === '') throw invalid('no image specified')
  const image = await ctx.deps.images.resolve(reference, platform ? { platform } : {})
  signal?.throwIfAborted()
  try {
    return await makeContainer(ctx, name, request, image, signal)
  } catch (error) {
    throw asRequestError(error)
  }
}

async function makeContainer(
  ctx: Context,
  name: string | undefined,
  request: ContainerCreateRequest,
  image: ContainerImage,
  signal: AbortSignal | undefined,
): Promise<{ Id: string; Warnings: string[] }> {
  const id = newId()
  const { config, host, warnings } = plan(ctx, request, image)
  config.Hostname = hostnameOf(ctx, id, config, host)
  const userns = chooseMapping(ctx, host)
  const container = new Container({
    id,
    name: name || generateName((taken) => ctx.containers.hasName(taken)),
    phase: 'creating',
    definition: {
      createdAt: formatNano(nowNano()),
      imageId: image.id,
      config,
      host,
      driver: ctx.deps.snapshotter.name,
      runtime: host.Runtime ?? '',
      platform: image.config.os ?? 'linux',
      ...(userns ? { userns } : {}),
    },
    state: {
      status: 'created',
      pid: 0,
      exitCode: 0,
      error: '',
      oomKilled: false,
      startedAt: zeroTime,
      finishedAt: zeroTime,
      restartCount: 0,
      manuallyStopped: false,
    },
  })
  ctx.containers.add(container)
  try {
    ctx.records.insert(container.record)
    ctx.failPoint('create.recorded')
    await reserve(ctx, container, request, image.chainId)
    ctx.failPoint('create.reserved')
    signal?.throwIfAborted()
  } catch (error) {
    await releaseContainer(ctx, container, { removeAnonymous: true })
    throw error
  }
  container.record.phase = 'ready'
  ctx.records.savePhase(container.record)
  ctx.failPoint('create.ready')
  emit(ctx, container, 'create')
  return { Id: id, Warnings: warnings }
}

async function reserve(ctx: Context, container: Container, request: ContainerCreateRequest, chainId: string | undefined): Promise<void> {
  const { id, name } = container
  const { config, host } = container.record.definition
  const { networks, volumes, snapshotter } = ctx.deps
  const directory = stateDirOf(ctx, id)
  mkdirSync(directory, { recursive: true, mode: 0o710 })
  writeFileSync(join(directory, 'hostname'), `${config.Hostname}\n`)
  const fileSystem = async (): Promise<void> => {
    await snapshotter.prepare(id, { parent: chainId })
    const anonymous = Object.keys(config.Volumes ?? {})
    await volumes.reserve({ containerId: id, host, anonymous, rootfs: await snapshotter.mounts(id) })
  }
  const network = networks.reserve({
    containerId: id,
    containerName: name,
    hostname: config.Hostname ?? '',
    domainname: config.Domainname ?? '',
    networkMode: host.NetworkMode === 'bridge' ? 'default' : (host.NetworkMode ?? 'default'),
    endpoints: request.NetworkingConfig?.EndpointsConfig ?? {},
    host,
    exposedPorts: Object.keys(config.ExposedPorts ?? {}),
    macAddress: macAddressOf(request),
  })
  await together([fileSystem(), network])
}

/** Before API 1.44 the address was part of the configuration. */
function macAddressOf(request: ContainerCreateRequest): string | undefined {
  const address = (request as { MacAddress?: string | null }).MacAddress
  if (address && !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(address)) throw new BerthError('invalid-argument', 'MAC_ADDRESS_INVALID', `invalid MAC address: ${address}`)
  return address || undefined
}
