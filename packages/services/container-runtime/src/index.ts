/**
 * Containers over an OCI runtime: their records, states, specs, streams, execs and health.
 *
 * @example
 * await using runtime = await openContainerRuntime(dependencies, { stateDir, execDir })
 * const { Id } = await runtime.containers.create('web', { Image: 'busybox', Cmd: ['true'] }, {})
 * await runtime.containers.start(Id)
 */
export type { AccountReader } from './accounts.ts'
export type { AttachOptions } from './attach.ts'
export type { PathStat } from './archive/path-stat.ts'
export type { ContainerChange } from './changes.ts'
export type { CheckpointOperations, CheckpointPlace, CreateCheckpointOptions } from './checkpoints.ts'
export type { CommitContainerOptions } from './commit.ts'
export type { WaitCondition, WaitResult } from './container.ts'
export type { ContainerRuntimeOptions } from './context.ts'
export type { StopOptions } from './control.ts'
export type { WriteArchiveOptions } from './copy.ts'
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
export { type ContainerFailPoint, failPoints } from './fail-points.ts'
export type { ListOptions } from './list.ts'
export type { Filters } from './list-filters.ts'
export type { LogsOptions } from './logs.ts'
export { type ContainerOperations, type ContainerRuntime, type ExecOperations, type ImageUser, openContainerRuntime } from './runtime.ts'
export type { OpenOciRuntime } from './local/default-runtime.ts'
export { type LocalContainers, type LocalContainersOptions, openLocalContainers } from './local/local-containers.ts'
export { runContainer, type RunContainerOptions, type RunResult } from './local/run-container.ts'
export type { StatsOptions } from './stats.ts'
export type { Attachment } from './streams.ts'
