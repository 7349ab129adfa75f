import { join } from 'node:path'
import type { ContainerInspectResponse, ContainerState } from '@berth/api-types'
import type { Container } from './container.ts'
import { type Context, stateDirOf } from './context.ts'
import { configDefaults, hostDefaults, withDefaults } from './inspect-defaults.ts'
import { openLog } from './log-driver.ts'
import { maskedPathsOf } from './spec/index.ts'

type ApiState = NonNullable<ContainerState>

/** A container's state in the words of the Engine API. */
function stateOf(container: Container): ApiState {
  const { state, status, isRunning, health } = container
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
    ...(health ? { Health: health.health } : {}),
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

/** Everything about a container. */
export async function inspectContainer(ctx: Context, container: Container, { size }: { size: boolean }): Promise<ContainerInspectResponse> {
  const { id, name, record } = container
  const { definition } = record
  const settings = ctx.deps.networks.settings(id)
  const [path = '', ...args] = commandOf(container)
  return {
    Id: id,
    Created: definition.createdAt,
    Path: path,
    Args: args,
    State: stateOf(container),
    Image: definition.imageId,
    ResolvConfPath: join(stateDirOf(ctx, id), 'resolv.conf'),
    HostnamePath: join(stateDirOf(ctx, id), 'hostname'),
    HostsPath: join(stateDirOf(ctx, id), 'hosts'),
    LogPath: logPathOf(ctx, container),
    Name: `/${name}`,
    RestartCount: record.state.restartCount,
    Driver: definition.driver,
    Platform: definition.platform,
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: container.execs.size > 0 ? [...container.execs.keys()] : null,
    HostConfig: withDefaults({ ...hostDefaults, ...maskedPathsOf(definition.host) }, definition.host),
    GraphDriver: { Name: definition.driver, Data: {} },
    Mounts: ctx.deps.volumes.mountPoints(id),
    Config: withDefaults(configDefaults, definition.config),
    NetworkSettings: settings,
    ...(size ? await sizesOf(ctx, container) : {}),
  } as unknown as ContainerInspectResponse
}

/** Where the log is; asked of the driver once. */
function logPathOf(ctx: Context, container: Container): string {
  if (container.logPath === undefined) {
    const current = container.run?.log ?? container.streams?.log
    const log = current ?? openLog(ctx, container)
    container.logPath = log?.path ?? ''
    if (log !== current) log?.close()
  }
  return container.logPath
}
