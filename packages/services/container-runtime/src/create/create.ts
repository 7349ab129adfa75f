import { mkdirSync, writeFileSync } from 'node:fs'
import { hostname as hostName } from 'node:os'
import { join } from 'node:path'
import type { ContainerConfig, ContainerCreateRequest, HostConfig } from '@berth/api-types'
import { BerthError, formatNano, newId, nowNano, shortId } from '@berth/core'
import { Container } from '../container.ts'
import { type Context, emit, stateDirOf, together } from '../context.ts'
import type { ContainerImage } from '../dependencies.ts'
import { logDriverOf } from '../logs/log-driver.ts'
import { macAddressesOf } from './mac-address.ts'
import { mergeConfig } from './merge-config.ts'
import { checkName, generateName } from './names.ts'
import { planHost } from './plan-host.ts'
import { zeroTime } from '../records.ts'
import { releaseContainer } from '../life/release.ts'
import { runtimeOf } from '../life/runtime-by-name.ts'
import { chooseMapping } from '../userns/choose-mapping.ts'
import { hostWarnings, invalid, validateConfig, validateHost, validateRestartPolicy } from './validate-config.ts'
import { validateResources, validateUlimits } from './validate-resources.ts'

/** What a request asks for once everything left open is decided. */
interface Plan {
  config: ContainerConfig
  host: HostConfig
  warnings: string[]
}

function plan(ctx: Context, request: ContainerCreateRequest, image: ContainerImage): Plan {
  const { HostConfig: givenHost, NetworkingConfig: _networking, ...given } = request
  // Nothing of an image but its configuration counts, and of that only what `mergeConfig` names.
  const imageConfig = (image.config.config ?? {}) as ContainerConfig
  const planned = planHost(ctx, givenHost ?? {})
  validateHost(planned, given, ctx.machine)
  const config = mergeConfig(given, imageConfig)
  validateConfig(config)
  validateRestartPolicy(planned.RestartPolicy, planned.AutoRemove ?? false)
  validateUlimits(planned.Ulimits)
  const { resources: host, warnings } = validateResources(planned, ctx.machine)
  runtimeOf(ctx, host.Runtime ?? '')
  logDriverOf(ctx, host)?.validate(host.LogConfig?.Config ?? {})
  return { config, host, warnings: [...warnings, ...hostWarnings(host, given)] }
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

export interface CreateContainerOptions {
  /** Which of an image's platforms: `linux/arm64`. */
  platform?: string
  /** The minor number of the API version that the client speaks, 51 for 1.51; the newest when absent. */
  version?: number
  signal?: AbortSignal
}

/** Makes a container that can be started; nothing of it stays when it fails. */
export async function createContainer(
  ctx: Context,
  name: string | undefined,
  request: ContainerCreateRequest,
  { platform, version = Infinity, signal }: CreateContainerOptions,
): Promise<{ Id: string; Warnings: string[] }> {
  if (name) name = checkName(name)
  const reference = request.Image ?? ''
  if (reference === '') throw invalid('no image specified')
  const image = await ctx.deps.images.resolve(reference, platform ? { platform } : {})
  signal?.throwIfAborted()
  try {
    return await makeContainer(ctx, name, request, image, { version, signal })
  } catch (error) {
    throw asRequestError(error)
  }
}

async function makeContainer(
  ctx: Context,
  name: string | undefined,
  request: ContainerCreateRequest,
  image: ContainerImage,
  { version, signal }: { version: number; signal: AbortSignal | undefined },
): Promise<{ Id: string; Warnings: string[] }> {
  const id = newId()
  const { config, host, warnings } = plan(ctx, request, image)
  const mac = macAddressesOf(request, host.NetworkMode ?? '', version)
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
    await reserve(ctx, container, mac, image.chainId)
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
  return { Id: id, Warnings: [...warnings, ...mac.warnings] }
}

async function reserve(ctx: Context, container: Container, mac: ReturnType<typeof macAddressesOf>, chainId: string | undefined): Promise<void> {
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
    networkMode: networkModeOf(config, host),
    endpoints: config.NetworkDisabled ? {} : mac.endpoints,
    host,
    exposedPorts: Object.keys(config.ExposedPorts ?? {}),
    macAddress: config.NetworkDisabled ? undefined : mac.main,
  })
  await together([fileSystem(), network])
}

/** What the network service is asked for. Nothing but a loopback interface is in the network of a container whose network is disabled. */
function networkModeOf({ NetworkDisabled }: ContainerConfig, { NetworkMode = 'default' }: HostConfig): string {
  if (NetworkDisabled) return 'none'
  return NetworkMode === 'bridge' ? 'default' : NetworkMode
}
