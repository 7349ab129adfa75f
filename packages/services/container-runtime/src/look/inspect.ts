import { join } from 'node:path'
import type { ContainerInspectResponse, ContainerState } from '@berth/api-types'
import type { Container } from '../container.ts'
import { type Context, stateDirOf } from '../context.ts'
import { configDefaults, hostDefaults, withDefaults } from './inspect-defaults.ts'
import { closeQuietly } from '../logs/container-log.ts'
import { openLog } from '../logs/log-driver.ts'
import { maskedPathsOf, parseSecurityOptions } from '../spec/index.ts'

type ApiState = NonNullable<ContainerState>

/** A container's state in the words of the Engine API. */
function stateOf(container: Container): ApiState {
  const { state, status, isRunning } = container
  return {
    Status: status as ApiState['Status'],
    Running: isRunning,
    Paused: state.status === 'paused',
    Restarting: state.status === 'restarting',
    OOMKilled: state.oomKilled,
    Dead: state.status === 'dead',
    Pid: state.pid,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: state.startedAt,
    FinishedAt: state.finishedAt,
    ...(state.health ? { Health: state.health } : {}),
  }
}

/** The command that runs, as path and arguments. */
export function commandOf(container: Container): string[] {
  const { config } = container.record.definition
  return [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])]
}

/** Bytes that the container has written, and those with its image's layers. */
export async function sizesOf({ deps: { snapshotter } }: Context, container: Container): Promise<{ SizeRw: number; SizeRootFs: number }> {
  const { bytes: SizeRw } = await snapshotter.usage(container.id)
  let SizeRootFs = SizeRw
  for (let { parent } = await snapshotter.stat(container.id); parent !== undefined; { parent } = await snapshotter.stat(parent)) {
    SizeRootFs += (await snapshotter.usage(parent)).bytes
  }
  return { SizeRw, SizeRootFs }
}

/** The directories of an overlay file system, as Docker names them. */
async function graphDriverOf({ deps: { snapshotter } }: Context, { id, record }: Container): Promise<ContainerInspectResponse['GraphDriver']> {
  const names: Record<string, string> = { lowerdir: 'LowerDir', upperdir: 'UpperDir', workdir: 'WorkDir' }
  // One that is being removed may have no file system any more.
  const mounts = await snapshotter.mounts(id).catch(() => [])
  const options = mounts.filter(({ type }) => type === 'overlay').flatMap((mount) => mount.options.map((option) => option.split(/=(.*)/s)))
  return { Name: record.definition.driver, Data: Object.fromEntries(options.flatMap(([key = '', value = '']) => (names[key] ? [[names[key], value]] : []))) }
}

/** What changes only with the definition. Programs inspect again and again while they wait for something. */
async function describe(ctx: Context, container: Container): Promise<object> {
  const { id, record } = container
  const { definition } = record
  if (container.described?.definition === definition) return container.described.as
  const [path = '', ...args] = commandOf(container)
  const as = {
    Id: id,
    Created: definition.createdAt,
    Path: path,
    Args: args,
    Image: definition.imageId,
    ResolvConfPath: join(stateDirOf(ctx, id), 'resolv.conf'),
    HostnamePath: join(stateDirOf(ctx, id), 'hostname'),
    HostsPath: join(stateDirOf(ctx, id), 'hosts'),
    Driver: definition.driver,
    Platform: definition.platform,
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: (ctx.machine.appArmor && parseSecurityOptions(definition.host).appArmor) || '',
    HostConfig: withDefaults({ ...hostDefaults, ...maskedPathsOf(definition.host) }, definition.host),
    GraphDriver: await graphDriverOf(ctx, container),
    Config: withDefaults(configDefaults, definition.config),
  }
  container.described = { definition, as }
  return as
}

/** Everything about a container. */
export async function inspectContainer(ctx: Context, container: Container, { size }: { size: boolean }): Promise<ContainerInspectResponse> {
  const { id, name, record } = container
  return {
    ...(await describe(ctx, container)),
    State: stateOf(container),
    LogPath: logPathOf(ctx, container),
    Name: `/${name}`,
    RestartCount: record.state.restartCount,
    ExecIDs: container.execs.size > 0 ? [...container.execs.keys()] : null,
    Mounts: ctx.deps.volumes.mountPoints(id),
    NetworkSettings: ctx.deps.networks.settings(id),
    ...(size ? await sizesOf(ctx, container) : {}),
  } as unknown as ContainerInspectResponse
}

/** Where the log is; asked of the driver once. */
function logPathOf(ctx: Context, container: Container): string {
  if (container.logPath === undefined) {
    const current = container.logWriter?.log
    const log = current ?? openLog(ctx, container)
    container.logPath = log?.path ?? ''
    if (log && log !== current) closeQuietly(log)
  }
  return container.logPath
}
