/**
 * Containers over an OCI runtime: their records, states, specs, streams, execs and health.
 *
 * @example
 * await using runtime = await openContainerRuntime(dependencies, { stateDir, execDir })
 * const { Id } = await runtime.containers.create('web', { Image: 'busybox', Cmd: ['true'] }, {})
 * await runtime.containers.start(Id)
 */
export type { AccountReader } from './create/accounts.ts'
export type { AttachOptions } from './streams/attach.ts'
export type { PathStat } from './files/path-stat.ts'
export type { ContainerChange } from './files/changes.ts'
export type { CheckpointOperations, CheckpointPlace, CreateCheckpointOptions } from './life/checkpoints.ts'
export type { CommitContainerOptions } from './files/commit.ts'
export type { WaitCondition, WaitResult } from './container.ts'
export type { ContainerRuntimeOptions } from './context.ts'
export type { StopOptions } from './life/control.ts'
export type { WriteArchiveOptions } from './files/copy.ts'
export type {
  ContainerImage,
  ContainerImages,
  ContainerNetworks,
  ContainerRuntimeDependencies,
  ContainerVolumes,
  ImageCommit,
  InterfaceCounters,
  NetworkRequest,
  NetworkSandbox,
  VolumeMount,
  VolumeRequest,
} from './dependencies.ts'
export { type ContainerFailPoint, failPoints } from './life/fail-points.ts'
export type { ListOptions } from './look/list.ts'
export type { Filters } from './look/list-filters.ts'
export type { LogsOptions } from './logs/logs.ts'
export { type ContainerOperations, type ContainerRuntime, type ExecOperations, type ImageUser, openContainerRuntime } from './runtime.ts'
export type { OpenOciRuntime } from './local/default-runtime.ts'
export { type LocalContainers, type LocalContainersOptions, openLocalContainers } from './local/local-containers.ts'
export { runContainer, type RunContainerOptions, type RunResult } from './local/run-container.ts'
export type { StatsOptions } from './look/stats.ts'
export type { Attachment } from './streams/streams.ts'
