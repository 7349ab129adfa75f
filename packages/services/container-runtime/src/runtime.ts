import { join } from 'node:path'
import type { ContainerCreateRequest, ContainerInspectResponse, ContainerStatsResponse, ContainerSummary, ExecConfig, ExecInspectResponse, Resources, RestartPolicy } from '@berth/api-types'
import { BerthError, KeyedMutex, silent } from '@berth/core'
import { NamespaceRunner } from '@berth/linux'
import { AccountCache } from './create/accounts.ts'
import type { PathStat } from './files/path-stat.ts'
import { attachContainer, type AttachOptions } from './streams/attach.ts'
import { changesOf, type ContainerChange } from './files/changes.ts'
import { defaultCdiSpecDirs, findDevices } from './cdi/cdi-devices.ts'
import { type CheckpointOperations, createCheckpoint, findCheckpoint, listCheckpoints, removeCheckpoint } from './life/checkpoints.ts'
import { type CommitContainerOptions, commitContainer } from './files/commit.ts'
import type { Container, WaitCondition, WaitResult } from './container.ts'
import { ContainerFiles } from './container-files.ts'
import { ContainerIndex } from './container-index.ts'
import type { ContainerRuntimeOptions, Context } from './context.ts'
import { killContainer, pauseContainer, resizeContainer, restartContainer, stopContainer, type StopOptions, unpauseContainer } from './life/control.ts'
import { exportContainer, readArchive, statPath, writeArchive, type WriteArchiveOptions } from './files/copy.ts'
import { createContainer, type CreateContainerOptions } from './create/create.ts'
import type { ContainerRuntimeDependencies } from './dependencies.ts'
import { Execs } from './execs/execs.ts'
import { inspectContainer } from './look/inspect.ts'
import { Lifecycle } from './life/lifecycle.ts'
import { listContainers, type ListOptions } from './look/list.ts'
import type { Filters } from './look/list-filters.ts'
import { type ContainerLogs, type LogsOptions, readLogs } from './logs/logs.ts'
import { Leftovers } from './life/leftovers.ts'
import { findMachine } from './machine.ts'
import { Backlog } from './streams/output-spool.ts'
import { pruneContainers } from './life/prune.ts'
import { ContainerRecords } from './records.ts'
import { renameContainer } from './life/rename.ts'
import { restoreContainers } from './life/restore.ts'
import { stopAll } from './life/stop-all.ts'
import type { MachineFeatures } from './spec/index.ts'
import { statsOf, type StatsOptions } from './look/stats.ts'
import { StatsSampler } from './look/stats-sampler.ts'
import type { Attachment } from './streams/streams.ts'
import { topContainer } from './look/top.ts'
import { updateContainer } from './create/update.ts'
import { checkUserns } from './userns/choose-mapping.ts'

/** The operations on containers. `ref` is a name, a full ID or a unique prefix of one; an unknown one throws `not-found`. */
export interface ContainerOperations {
  create(name: string | undefined, request: ContainerCreateRequest, options: CreateContainerOptions): Promise<{ Id: string; Warnings: string[] }>
  list(options: ListOptions): Promise<ContainerSummary[]>
  inspect(ref: string, options: { size: boolean }): Promise<ContainerInspectResponse>
  /** From a checkpoint, it goes on from where it was then. */
  start(ref: string, options?: { checkpoint?: string | undefined; checkpointDir?: string | undefined }): Promise<void>
  stop(ref: string, options: StopOptions): Promise<void>
  restart(ref: string, options: StopOptions): Promise<void>
  kill(ref: string, options: { signal?: string }): Promise<void>
  pause(ref: string): Promise<void>
  unpause(ref: string): Promise<void>
  rename(ref: string, name: string): Promise<void>
  update(ref: string, request: Resources & { RestartPolicy?: RestartPolicy }): Promise<{ Warnings: string[] }>
  wait(ref: string, options: { condition: WaitCondition; signal: AbortSignal }): Promise<{ result: Promise<WaitResult> }>
  remove(ref: string, options: { force: boolean; volumes: boolean; link: boolean }): Promise<void>
  prune(filters: Filters): Promise<{ ContainersDeleted: string[]; SpaceReclaimed: number }>
  top(ref: string, psArgs: string): Promise<{ Titles: string[]; Processes: string[][] }>
  stats(ref: string, options: StatsOptions): AsyncIterable<ContainerStatsResponse>
  resize(ref: string, size: { width: number; height: number }): Promise<void>
  logs(ref: string, options: LogsOptions): Promise<ContainerLogs>
  attach(ref: string, options: AttachOptions): Promise<Attachment>
  /** Its root file system as a tar, without volumes. */
  export(ref: string, options: { signal: AbortSignal }): Promise<AsyncIterable<Uint8Array>>
  /** What it has changed in its image's files. */
  changes(ref: string, options: { signal?: AbortSignal }): Promise<ContainerChange[]>
  /** What a path is, links before its last part followed inside the container. Throws `not-found` also for the path. */
  statPath(ref: string, path: string): Promise<PathStat>
  /** A path with all below it as a tar. A start waits until it is read or given up; a removal ends it. */
  readArchive(ref: string, path: string, options: { signal: AbortSignal }): Promise<{ stat: PathStat; archive: AsyncIterable<Uint8Array> }>
  /** Unpacks a tar, perhaps compressed, into a directory. A start waits for it; a removal ends it. */
  writeArchive(ref: string, path: string, source: AsyncIterable<Uint8Array>, options: WriteArchiveOptions): Promise<void>
  /** Makes an image of its image and what it has changed. */
  commit(ref: string, options: CommitContainerOptions): Promise<{ Id: string }>
}

export interface ExecOperations {
  create(container: string, request: ExecConfig): Promise<{ Id: string }>
  start(id: string, options: { detach: boolean; tty: boolean; consoleSize?: { width: number; height: number } }): Promise<Attachment | undefined>
  inspect(id: string): Promise<ExecInspectResponse>
  resize(id: string, size: { width: number; height: number }): Promise<void>
}

export interface ImageUser {
  id: string
  name: string
  state: string
}

/** Containers, found again when it is opened; disposing it lets go of them and they run on. */
export interface ContainerRuntime extends AsyncDisposable {
  readonly containers: ContainerOperations
  readonly execs: ExecOperations
  readonly checkpoints: CheckpointOperations
  /** Containers by the ID of their image. */
  imagesInUse(): Map<string, ImageUser[]>
  /** The full ID. Throws `not-found`. */
  resolveId(ref: string): string
  /** What the machine offers: control of swap, AppArmor, the program that `--init` runs. */
  readonly machine: Pick<MachineFeatures, 'swap' | 'appArmor' | 'initPath'>
  /** Where CDI specifications are looked for, and the qualified names of the devices that they bring now. */
  cdi(): { directories: readonly string[]; devices: string[] }
  /** Name by full ID. */
  names(): Map<string, string>
  /** Full IDs, also of containers that were removed while something of them is left to be given back. */
  ids(): Set<string>
  counts(): { total: number; running: number; paused: number; stopped: number }
  /**
   * Stops all that run, side by side, but what others depend on after these: each in its own time, all in `timeout` seconds. They count as running for
   * restart policies.
   */
  stopAll(options?: { timeout?: number }): Promise<void>
}

/** Opens the records in `stateDir` and takes over the containers that run. */
export async function openContainerRuntime(deps: ContainerRuntimeDependencies, options: ContainerRuntimeOptions): Promise<ContainerRuntime> {
  checkUserns(options.userns)
  const closing = new AbortController()
  const { machine, cgroupMounts } = findMachine(options.machine)
  const context: Omit<Context, 'files' | 'leftovers'> = {
    deps,
    options,
    machine,
    cgroupMounts,
    accounts: new AccountCache(),
    logger: deps.logger ?? silent,
    records: new ContainerRecords(join(options.stateDir, 'containers.db')),
    containers: new ContainerIndex(),
    namespaces: new NamespaceRunner(),
    backlog: new Backlog(join(options.stateDir, 'backlog'), options.backlog),
    locks: new KeyedMutex(),
    failPoint: (step) => options.failPoint?.(`container.${step}`),
    closed: closing.signal,
  }
  // What each of them asks of the others is asked when all are there.
  const ctx = context as Context
  const files = new ContainerFiles(ctx)
  Object.assign(ctx, { files, leftovers: new Leftovers(ctx) })
  const execs = new Execs(ctx)
  const lifecycle = new Lifecycle(ctx, execs)
  const close = async (): Promise<void> => {
    await ctx.leftovers.settle(2000)
    closing.abort()
    await files[Symbol.asyncDispose]()
    await context.namespaces[Symbol.asyncDispose]()
    for (const container of ctx.containers.all()) letGo(container)
    ctx.records[Symbol.dispose]()
  }
  try {
    await restoreContainers(ctx, lifecycle)
  } catch (error) {
    await close()
    throw error
  }
  return {
    containers: containerOperations(ctx, lifecycle),
    execs: {
      create: async (ref, request) => ({ Id: execs.create(ctx.containers.resolve(ref), request) }),
      start: (id, startOptions) => execs.start(id, startOptions),
      inspect: async (id) => execs.inspect(id),
      resize: (id, size) => execs.resize(id, size),
    },
    checkpoints: {
      create: async (ref, checkpoint) => createCheckpoint(ctx, ctx.containers.resolve(ref), checkpoint),
      list: async (ref, place) => listCheckpoints(ctx, ctx.containers.resolve(ref), place),
      remove: async (ref, id, place) => removeCheckpoint(ctx, ctx.containers.resolve(ref), id, place),
    },
    imagesInUse: () => Map.groupBy(ctx.containers.all().map(({ id, name, status, record }) => ({ id, name, state: status, image: record.definition.imageId })), ({ image }) => image),
    machine,
    cdi() {
      const directories = options.cdiSpecDirs ?? defaultCdiSpecDirs
      return { directories, devices: [...findDevices(directories).devices.keys()].toSorted() }
    },
    resolveId: (ref) => ctx.containers.resolve(ref).id,
    names: () => new Map(ctx.containers.all().map(({ id, name }) => [id, name])),
    ids: () => new Set([...ctx.containers.all().map(({ id }) => id), ...ctx.leftovers.hidden]),
    counts: () => countsOf(ctx.containers.all()),
    stopAll: (stopOptions) => stopAll(ctx, lifecycle, stopOptions?.timeout ?? Infinity),
    [Symbol.asyncDispose]: async () => {
      if (!closing.signal.aborted) await close()
    },
  }
}

function containerOperations(ctx: Context, lifecycle: Lifecycle): ContainerOperations {
  const resolve = (ref: string): Container => ctx.containers.resolve(ref)
  const sampler = new StatsSampler(ctx)
  return {
    create: (name, request, options) => createContainer(ctx, name, request, options),
    list: (options) => listContainers(ctx, options),
    inspect: async (ref, options) => inspectContainer(ctx, resolve(ref), options),
    async start(ref, { checkpoint, checkpointDir } = {}) {
      const container = resolve(ref)
      await lifecycle.start(container, checkpoint ? findCheckpoint(ctx, container, checkpoint, { dir: checkpointDir }) : undefined)
    },
    stop: async (ref, options) => stopContainer(ctx, lifecycle, resolve(ref), options),
    restart: async (ref, options) => restartContainer(ctx, lifecycle, resolve(ref), options),
    kill: async (ref, { signal }) => killContainer(ctx, lifecycle, resolve(ref), ref, signal),
    pause: async (ref) => pauseContainer(ctx, resolve(ref)),
    unpause: async (ref) => unpauseContainer(ctx, resolve(ref)),
    rename: async (ref, name) => renameContainer(ctx, resolve(ref), name),
    update: async (ref, request) => updateContainer(ctx, resolve(ref), request),
    async wait(ref, { condition, signal }) {
      const { result, cancel } = resolve(ref).wait(condition)
      signal.addEventListener('abort', cancel)
      return { result: result.finally(() => signal.removeEventListener('abort', cancel)) }
    },
    async remove(ref, { force, volumes, link }) {
      if (link) throw new BerthError('not-implemented', 'LINKS_NOT_SUPPORTED', 'links between containers cannot be removed alone')
      await lifecycle.remove(resolve(ref), { force, volumes })
    },
    prune: (filters) => pruneContainers(ctx, lifecycle, filters),
    top: async (ref, psArgs) => topContainer(ctx, resolve(ref), psArgs),
    stats: (ref, options) => statsOf(sampler, resolve(ref), options),
    resize: async (ref, size) => resizeContainer(ctx, resolve(ref), size),
    logs: async (ref, options) => readLogs(ctx, resolve(ref), options),
    attach: async (ref, options) => attachContainer(ctx, resolve(ref), options),
    export: async (ref, { signal }) => exportContainer(ctx, resolve(ref), signal),
    changes: async (ref, { signal }) => changesOf(ctx, resolve(ref), signal),
    statPath: async (ref, path) => statPath(ctx, resolve(ref), ref, path),
    readArchive: async (ref, path, { signal }) => readArchive(ctx, resolve(ref), ref, path, signal),
    writeArchive: async (ref, path, source, options) => writeArchive(ctx, resolve(ref), ref, path, source, options),
    commit: async (ref, options) => commitContainer(ctx, resolve(ref), options),
  }
}

/** Nothing of the container is touched: only what this process holds is dropped. */
function letGo(container: Container): void {
  clearTimeout(container.pendingRestart?.timer)
  container.health?.[Symbol.dispose]()
  container.streams?.end()
  container.logWriter?.abandon()
  for (const exec of container.execs.values()) exec.streams.end()
}

function countsOf(containers: Container[]): ReturnType<ContainerRuntime['counts']> {
  const paused = containers.filter(({ state }) => state.status === 'paused').length
  const running = containers.filter(({ isRunning }) => isRunning).length - paused
  return { total: containers.length, running, paused, stopped: containers.length - running - paused }
}
