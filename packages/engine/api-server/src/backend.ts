import type { Readable, Writable } from 'node:stream'
import type * as api from '@berth/api-types'
import type { EngineEvent } from '@berth/core'

/**
 * What the API server needs from an engine, one small interface an area. Every method may throw a BerthError; its kind becomes the
 * status. Names (`ref`) are what the client sent: a name, a full ID or a unique ID prefix.
 */
export interface Backend {
  system: SystemBackend
  containers: ContainerBackend
  execs: ExecBackend
  checkpoints: CheckpointBackend
  images: ImageBackend
  networks: NetworkBackend
  volumes: VolumeBackend
}

/** Docker's `filters` query parameter, already parsed: key to the set of wanted values. */
export type Filters = ReadonlyMap<string, readonly string[]>

export interface SystemBackend {
  version(): Promise<api.SystemVersion>
  info(): Promise<api.SystemInfo>
  /** Only of the kinds asked for; of all when there is none. */
  diskUsage(options: { types: readonly DiskUsageType[] }): Promise<api.SystemDataUsageResponse>
  /** Past events from `since` and, unless `until` has passed, those to come, until `signal` aborts. */
  events(options: { since?: bigint; until?: bigint; filters: Filters; signal: AbortSignal }): AsyncIterable<EngineEvent>
  auth(config: api.AuthConfig): Promise<{ Status: string; IdentityToken: string }>
}

export type DiskUsageType = 'container' | 'image' | 'volume' | 'build-cache'

export interface ContainerBackend {
  create(name: string | undefined, request: api.ContainerCreateRequest, options: { platform?: string; version?: number; signal?: AbortSignal }): Promise<{ Id: string; Warnings: string[] }>
  list(options: { all: boolean; limit?: number; size: boolean; filters: Filters }): Promise<api.ContainerSummary[]>
  inspect(ref: string, options: { size: boolean }): Promise<api.ContainerInspectResponse>
  /** From a checkpoint, it goes on from where it was then. */
  start(ref: string, options?: { detachKeys?: string; checkpoint?: string | undefined; checkpointDir?: string | undefined }): Promise<void>
  /** Seconds to wait before SIGKILL; the container's own default when absent, -1 for ever. Throws `not-modified` when it is not running. */
  stop(ref: string, options: { timeout?: number; signal?: string }): Promise<void>
  restart(ref: string, options: { timeout?: number; signal?: string }): Promise<void>
  kill(ref: string, options: { signal?: string }): Promise<void>
  pause(ref: string): Promise<void>
  unpause(ref: string): Promise<void>
  rename(ref: string, name: string): Promise<void>
  update(ref: string, request: api.Resources & { RestartPolicy?: api.RestartPolicy }): Promise<{ Warnings: string[] }>
  /** Registered when the promise of `registered` settles; `result` when the condition is met. */
  wait(ref: string, options: { condition: 'not-running' | 'next-exit' | 'removed'; signal: AbortSignal }): Promise<{ result: Promise<api.ContainerWaitResponse> }>
  remove(ref: string, options: { force: boolean; volumes: boolean; link: boolean }): Promise<void>
  prune(filters: Filters): Promise<{ ContainersDeleted: string[]; SpaceReclaimed: number }>
  top(ref: string, psArgs: string): Promise<{ Titles: string[]; Processes: string[][] }>
  /** One sample, or a sample a second. */
  stats(ref: string, options: { stream: boolean; oneShot: boolean; signal: AbortSignal }): AsyncIterable<api.ContainerStatsResponse>
  resize(ref: string, size: { width: number; height: number }): Promise<void>
  /** `tty` says whether the chunks are raw or to be framed by stream. Where there are `batches`, they are read in place of `entries`: the same, many at a time. */
  logs(ref: string, options: LogsOptions): Promise<{ tty: boolean; entries: AsyncIterable<LogChunk>; batches?: AsyncIterable<readonly LogChunk[]> }>
  attach(ref: string, options: AttachOptions): Promise<Attachment>
  /** An uncompressed tar of the container's file system. */
  export(ref: string, options: { signal: AbortSignal }): Promise<AsyncIterable<Uint8Array>>
  /** What the container changed in its image's file system: 0 modified, 1 added, 2 deleted. */
  changes(ref: string, options: { signal: AbortSignal }): Promise<{ Path: string; Kind: 0 | 1 | 2 }[]>
  /** What `path` is inside the container, links in front of its last part followed there. Throws `not-found` for the container and for the path. */
  statPath(ref: string, path: string): Promise<PathStat>
  /** An uncompressed tar of `path`, whose entries begin with its last part. */
  readArchive(ref: string, path: string, options: { signal: AbortSignal }): Promise<{ stat: PathStat; archive: AsyncIterable<Uint8Array> }>
  /** Unpacks a tar, compressed or not, into the directory `path`. */
  writeArchive(ref: string, path: string, source: AsyncIterable<Uint8Array>, options: { noOverwriteDirNonDir: boolean; copyUidGid: boolean; signal: AbortSignal }): Promise<void>
  commit(ref: string, options: CommitOptions): Promise<{ Id: string }>
}

export interface CheckpointBackend {
  /** Keeps the state of a running container under a name, and ends it then if asked; in a directory of the machine, or among the container's own files. */
  create(ref: string, options: { id: string; dir?: string | undefined; exit: boolean }): Promise<void>
  list(ref: string, options: { dir?: string | undefined }): Promise<{ Name: string }[]>
  remove(ref: string, id: string, options: { dir?: string | undefined }): Promise<void>
}

/** A file in a container. `mode` has the bits of Go's `os.FileMode`, not those of stat(2). @see Docker Engine API, X-Docker-Container-Path-Stat */
export interface PathStat {
  name: string
  size: number
  mode: number
  mtime: string
  linkTarget: string
}

export interface CommitOptions {
  repo?: string
  tag?: string
  comment?: string
  author?: string
  pause: boolean
  /** Dockerfile instructions for the image's config. */
  changes: string[]
  /** Replaces what the container's own config says, member by member. */
  config?: api.ContainerConfig
  signal: AbortSignal
}

export interface LogsOptions {
  stdout: boolean
  stderr: boolean
  follow: boolean
  since?: bigint
  until?: bigint
  tail?: number
  signal: AbortSignal
}

export interface LogChunk {
  stream: 'stdout' | 'stderr'
  time: bigint
  /** With its newline, when it has one; without it, it goes on with the stream's next chunk. */
  line: Uint8Array
  /** What `details` shows. */
  attributes?: Readonly<Record<string, string>>
}

export interface AttachOptions {
  stdin: boolean
  stdout: boolean
  stderr: boolean
  /** Replay what was written so far before streaming. */
  logs: boolean
  stream: boolean
  detachKeys?: string
}

/**
 * A client's hold on a process's streams. The server pipes the socket to `stdin`, frames `stdout`/`stderr` (or passes `stdout` raw when `tty`), and calls
 * `detach` when the client is gone. Each stream is a client's own: a slow client slows only itself. `done` settles when the process has ended and all
 * output was handed over, or the client typed the detach keys.
 */
export interface Attachment {
  tty: boolean
  stdin: Writable | undefined
  stdout: Readable | undefined
  stderr: Readable | undefined
  done: Promise<void>
  detach(): void
}

export interface ExecBackend {
  create(container: string, request: api.ExecConfig): Promise<{ Id: string }>
  /** Starts it attached (`detach: false`: the attachment's streams are ready before the process runs) or in the background. */
  start(id: string, options: { detach: boolean; tty: boolean; consoleSize?: { width: number; height: number } }): Promise<Attachment | undefined>
  inspect(id: string): Promise<api.ExecInspectResponse>
  resize(id: string, size: { width: number; height: number }): Promise<void>
}

/** A line of a progress stream (`pull`, `push`, `import`, `load`): Docker's jsonmessage. */
export type ProgressMessage = api.CreateImageInfo & { stream?: string }

/** Platforms are `os/architecture[/variant]` throughout. */
export interface ImageBackend {
  list(options: { all: boolean; digests: boolean; sharedSize: boolean; manifests: boolean; filters: Filters }): Promise<api.ImageSummary[]>
  inspect(ref: string, options: { platform?: string; manifests: boolean }): Promise<api.ImageInspect>
  history(ref: string, options: { platform?: string }): Promise<api.HistoryResponseItem[]>
  /** `tag` may be a tag or a digest. Errors before the first message are thrown, later ones are thrown from the iteration. */
  pull(options: { image: string; tag?: string; platform?: string; auth?: api.AuthConfig; signal: AbortSignal }): AsyncIterable<ProgressMessage>
  push(options: { image: string; tag?: string; platform?: string; auth?: api.AuthConfig; signal: AbortSignal }): AsyncIterable<ProgressMessage>
  import(options: { source: AsyncIterable<Uint8Array>; repo?: string; tag?: string; message?: string; changes: string[]; platform?: string; signal: AbortSignal }): AsyncIterable<ProgressMessage>
  /** One tar of all of them. Throws `not-found` at once for what is not there. */
  save(refs: string[], options: { platforms?: string[]; signal: AbortSignal }): Promise<AsyncIterable<Uint8Array>>
  load(source: AsyncIterable<Uint8Array>, options: { platforms?: string[]; quiet: boolean; signal: AbortSignal }): AsyncIterable<ProgressMessage>
  tag(ref: string, target: { repo: string; tag?: string }): Promise<void>
  remove(ref: string, options: { force: boolean; noPrune: boolean; platforms?: string[] }): Promise<api.ImageDeleteResponseItem[]>
  prune(filters: Filters): Promise<{ ImagesDeleted: api.ImageDeleteResponseItem[]; SpaceReclaimed: number }>
  search(term: string, options: { limit?: number; filters: Filters; auth?: api.AuthConfig; signal: AbortSignal }): Promise<api.ImageSearchResponseItem[]>
  /** What a registry has by that name, without pulling it. */
  distribution(ref: string, options: { auth?: api.AuthConfig; signal: AbortSignal }): Promise<api.DistributionInspect>
}

export interface NetworkBackend {
  create(request: api.NetworkCreateRequest): Promise<{ Id: string; Warning: string }>
  list(filters: Filters): Promise<api.Network[]>
  inspect(ref: string, options: { verbose: boolean; scope?: string }): Promise<api.Network>
  remove(ref: string): Promise<void>
  connect(ref: string, request: api.NetworkConnectRequest): Promise<void>
  disconnect(ref: string, request: api.NetworkDisconnectRequest): Promise<void>
  prune(filters: Filters): Promise<{ NetworksDeleted: string[] }>
}

export interface VolumeBackend {
  create(request: api.VolumeCreateOptions): Promise<api.Volume>
  list(filters: Filters): Promise<api.VolumeListResponse>
  inspect(name: string): Promise<api.Volume>
  remove(name: string, options: { force: boolean }): Promise<void>
  prune(filters: Filters): Promise<{ VolumesDeleted: string[]; SpaceReclaimed: number }>
}
