import type {
  ContainerConfig,
  ContainerCreateRequest,
  ContainerCreateResponse,
  ContainerInspectResponse,
  ContainerPruneResponse,
  ContainerStatsResponse,
  ContainerSummary,
  ContainerTopResponse,
  ContainerUpdateRequest,
  ContainerUpdateResponse,
  ContainerWaitResponse,
  FilesystemChange,
  IDResponse,
} from '@berth/api-types'
import { encodeFilters, type Filters } from '../filters.ts'
import { parse, progress } from '../json-lines.ts'
import { type PathStat, pathStatOf } from '../path-stat.ts'
import { demultiplex, type OutputChunk, rawOutput } from '../output-frames.ts'
import { openProcessConnection, type ProcessConnection } from '../process-connection.ts'
import type { RequestOptions, Transport } from '../transport.ts'
import type { TerminalSize } from './execs.ts'

export interface CreateContainerOptions extends RequestOptions {
  name?: string
  platform?: string
}

export interface ListContainersOptions extends RequestOptions {
  /** Those that do not run too. */
  all?: boolean
  limit?: number
  size?: boolean
  filters?: Filters
}

export interface StartOptions extends RequestOptions {
  detachKeys?: string
  /** Go on from this checkpoint. */
  checkpoint?: string | undefined
  /** Where on the engine's machine it is; among those of the container when absent. */
  checkpointDir?: string | undefined
}

export interface StopOptions extends RequestOptions {
  /** Seconds until SIGKILL; the container's own when absent, -1 for never. */
  timeout?: number
  /** `SIGINT`; the container's own when absent. */
  stopSignal?: string
}

export interface LogsOptions extends RequestOptions {
  stdout?: boolean
  stderr?: boolean
  follow?: boolean
  /** Seconds since the epoch, with a fraction if wanted. */
  since?: string
  until?: string
  timestamps?: boolean
  /** With what the log driver was told to note of the container, in front of each line. */
  details?: boolean
  /** A number of lines from the end; all of them when absent. */
  tail?: number
}

export interface AttachOptions extends RequestOptions {
  stdin?: boolean
  stdout?: boolean
  stderr?: boolean
  /** What was written so far, first. */
  logs?: boolean
  detachKeys?: string
  /** Needed only for engines older than API 1.42, which do not say it. */
  tty?: boolean
}

export interface CommitOptions extends RequestOptions {
  /** The name of the image; without one it is known by its ID alone. */
  repo?: string
  tag?: string
  comment?: string
  author?: string
  /** Freeze its processes meanwhile; true when absent. */
  pause?: boolean
  /** Dockerfile instructions for the image's config: `CMD ["sh"]`. */
  changes?: readonly string[]
  config?: ContainerConfig
}

export interface WriteArchiveOptions extends RequestOptions {
  /** Throw rather than replace a directory by something else, or the reverse. */
  noOverwriteDirNonDir?: boolean
  /** All that is made belongs to the container's user, if it has one, whatever the archive says. */
  copyUidGid?: boolean
}

const pathOf = (ref: string, action: string): string => `/containers/${encodeURIComponent(ref)}${action}`

/** Containers, by name or ID. */
export class ContainersArea {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  async list({ all, limit, size, filters, signal }: ListContainersOptions = {}): Promise<ContainerSummary[]> {
    return this.#transport.json('GET', '/containers/json', { query: { all, limit, size, filters: encodeFilters(filters) }, signal })
  }

  /** Throws `not-found` when the image is not there, `conflict` when the name is taken. */
  async create(request: ContainerCreateRequest, { name, platform, signal }: CreateContainerOptions = {}): Promise<ContainerCreateResponse> {
    return this.#transport.json('POST', '/containers/create', { query: { name, platform }, json: request, signal })
  }

  async inspect(ref: string, { size, ...options }: RequestOptions & { size?: boolean } = {}): Promise<ContainerInspectResponse> {
    return this.#transport.json('GET', pathOf(ref, '/json'), { query: { size }, ...options })
  }

  /** Throws `not-modified` when it runs already. */
  async start(ref: string, { detachKeys, checkpoint, checkpointDir, signal }: StartOptions = {}): Promise<void> {
    return this.#transport.json('POST', pathOf(ref, '/start'), { query: { detachKeys, checkpoint, 'checkpoint-dir': checkpointDir }, signal })
  }

  /** Throws `not-modified` when it does not run. */
  async stop(ref: string, { timeout, stopSignal, signal }: StopOptions = {}): Promise<void> {
    return this.#transport.json('POST', pathOf(ref, '/stop'), { query: { t: timeout, signal: stopSignal }, signal })
  }

  async restart(ref: string, { timeout, stopSignal, signal }: StopOptions = {}): Promise<void> {
    return this.#transport.json('POST', pathOf(ref, '/restart'), { query: { t: timeout, signal: stopSignal }, signal })
  }

  /** `killSignal`: a name or number; SIGKILL when absent. */
  async kill(ref: string, { killSignal, signal }: RequestOptions & { killSignal?: string } = {}): Promise<void> {
    return this.#transport.json('POST', pathOf(ref, '/kill'), { query: { signal: killSignal }, signal })
  }

  async pause(ref: string, options: RequestOptions = {}): Promise<void> {
    return this.#transport.json('POST', pathOf(ref, '/pause'), options)
  }

  async unpause(ref: string, options: RequestOptions = {}): Promise<void> {
    return this.#transport.json('POST', pathOf(ref, '/unpause'), options)
  }

  async rename(ref: string, name: string, options: RequestOptions = {}): Promise<void> {
    return this.#transport.json('POST', pathOf(ref, '/rename'), { query: { name }, ...options })
  }

  async update(ref: string, request: ContainerUpdateRequest, options: RequestOptions = {}): Promise<ContainerUpdateResponse> {
    return this.#transport.json('POST', pathOf(ref, '/update'), { json: request, ...options })
  }

  /** Settles once the engine watches, so that nothing is missed that happens from then on; `result` settles when the condition is met. */
  async wait(ref: string, { condition, signal }: RequestOptions & { condition?: 'not-running' | 'next-exit' | 'removed' } = {}): Promise<{ result: Promise<ContainerWaitResponse> }> {
    const response = await this.#transport.send('POST', pathOf(ref, '/wait'), { query: { condition }, signal })
    const result = (async () => {
      let text = ''
      for await (const chunk of this.#transport.read(response, { signal })) text += Buffer.from(chunk).toString()
      return parse<ContainerWaitResponse>(text)
    })()
    result.catch(() => {}) // told to whoever awaits it, and no failure of the process if nobody does
    return { result }
  }

  async remove(ref: string, { force, volumes, link, signal }: RequestOptions & { force?: boolean; volumes?: boolean; link?: boolean } = {}): Promise<void> {
    return this.#transport.json('DELETE', pathOf(ref, ''), { query: { force, v: volumes, link }, signal })
  }

  async prune({ filters, ...options }: RequestOptions & { filters?: Filters } = {}): Promise<ContainerPruneResponse> {
    return this.#transport.json('POST', '/containers/prune', { query: { filters: encodeFilters(filters) }, ...options })
  }

  async top(ref: string, { psArgs, ...options }: RequestOptions & { psArgs?: string } = {}): Promise<ContainerTopResponse> {
    return this.#transport.json('GET', pathOf(ref, '/top'), { query: { ps_args: psArgs }, ...options })
  }

  /** A sample a second; only one when `stream` is false. */
  stats(ref: string, { stream = true, oneShot, signal }: RequestOptions & { stream?: boolean; oneShot?: boolean } = {}): AsyncIterable<ContainerStatsResponse> {
    return progress(this.#transport.stream('GET', pathOf(ref, '/stats'), { query: { stream, 'one-shot': oneShot }, signal }))
  }

  async resize(ref: string, { width, height }: TerminalSize, options: RequestOptions = {}): Promise<void> {
    return this.#transport.json('POST', pathOf(ref, '/resize'), { query: { w: width, h: height }, ...options })
  }

  /** Both outputs unless said otherwise; with a terminal everything is `stdout`. */
  async *logs(ref: string, { stdout = true, stderr = true, follow, since, until, timestamps, details, tail, signal }: LogsOptions = {}): AsyncIterable<OutputChunk> {
    const query = { stdout, stderr, follow, since, until, timestamps, details, tail }
    const response = await this.#transport.send('GET', pathOf(ref, '/logs'), { query, signal })
    const bytes = this.#transport.read(response, { signal })
    yield* response.headers['content-type'] === 'application/vnd.docker.raw-stream' ? rawOutput(bytes) : demultiplex(bytes)
  }

  /** Takes hold of the streams of its process, which need not run yet. */
  async attach(ref: string, { stdin = false, stdout = true, stderr = true, logs, detachKeys, tty, signal }: AttachOptions = {}): Promise<ProcessConnection> {
    const query = { stream: true, stdin, stdout, stderr, logs, detachKeys }
    const { socket, head, contentType } = await this.#transport.upgrade(pathOf(ref, '/attach'), { query, signal })
    return openProcessConnection(socket, head, { tty: tty ?? contentType === 'application/vnd.docker.raw-stream', signal })
  }

  /** A tar archive of its file system. */
  export(ref: string, options: RequestOptions = {}): AsyncIterable<Uint8Array> {
    return this.#transport.stream('GET', pathOf(ref, '/export'), options)
  }

  /** What it changed in its image's file system. */
  async changes(ref: string, options: RequestOptions = {}): Promise<FilesystemChange[]> {
    return (await this.#transport.json<FilesystemChange[] | null>('GET', pathOf(ref, '/changes'), options)) ?? []
  }

  /** Throws `not-found` for the container and for the path. */
  async statPath(ref: string, path: string, { signal }: RequestOptions = {}): Promise<PathStat> {
    const response = await this.#transport.send('HEAD', pathOf(ref, '/archive'), { query: { path }, signal })
    response.resume()
    return pathStatOf(response.headers)
  }

  /** A tar archive of a path, whose entries begin with its last part. */
  async readArchive(ref: string, path: string, { signal }: RequestOptions = {}): Promise<{ stat: PathStat; archive: AsyncIterable<Uint8Array> }> {
    const response = await this.#transport.send('GET', pathOf(ref, '/archive'), { query: { path }, signal })
    return { stat: pathStatOf(response.headers), archive: this.#transport.read(response, { signal }) }
  }

  /** Unpacks a tar archive into a directory, which must be there. */
  async writeArchive(ref: string, path: string, archive: AsyncIterable<Uint8Array>, { noOverwriteDirNonDir, copyUidGid, signal }: WriteArchiveOptions = {}): Promise<void> {
    const query = { path, noOverwriteDirNonDir, copyUIDGID: copyUidGid }
    return this.#transport.json('PUT', pathOf(ref, '/archive'), { query, body: archive, headers: { 'Content-Type': 'application/x-tar' }, signal })
  }

  /** Makes an image of it. */
  async commit(ref: string, { repo, tag, comment, author, pause, changes = [], config = {}, signal }: CommitOptions = {}): Promise<IDResponse> {
    return this.#transport.json('POST', '/commit', { query: { container: ref, repo, tag, comment, author, pause, changes }, json: config, signal })
  }
}
