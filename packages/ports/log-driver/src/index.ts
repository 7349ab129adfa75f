export { LineSplitter, maxEntryBytes } from './line-splitter.ts'
export { attributesOf, checkOptions, type DeliveryOptions, invalidOption, parseCount, parseDelivery, parseFlag, parseSize, tagOf } from './log-options.ts'

/**
 * The log driver port: what a container runtime asks of whatever keeps the output of containers.
 *
 * A {@link Log} belongs to one container and owns what it keeps. `write` is called with raw output as it arrives and must have
 * handed the bytes to the kernel (or its peer) when it returns, so that output read from a container is never only in memory.
 * A log may be opened again after a crash: a torn last record is repaired, and numbering goes on.
 *
 * Must fail: an unknown or malformed option (`invalid-argument`, naming it); reading a driver that cannot (`not-implemented`).
 */
export interface LogDriver {
  /** `json-file`, `local`, … as in `HostConfig.LogConfig.Type`. */
  readonly name: string
  readonly canRead: boolean
  /** Throws `invalid-argument` for options this driver does not take. */
  validate(options: Readonly<Record<string, string>>): void
  open(container: LoggedContainer, options: Readonly<Record<string, string>>): Log
  /** Fails when a container that a client starts cannot log now, as when the peer is away and the options ask for it. Absent where nothing can be wrong. */
  prepare?(container: LoggedContainer, options: Readonly<Record<string, string>>): Promise<void>
  /** Goes on with what an earlier process left undone. To be called when the engine starts, for each container that does not run; opening its log does the same. */
  resume?(container: LoggedContainer, options: Readonly<Record<string, string>>): void
}

export interface LoggedContainer {
  id: string
  name: string
  /** What the options `tag`, `labels`, `labels-regex`, `env` and `env-regex` choose from. */
  imageId: string
  /** As the request named it. */
  imageName: string
  /** Path and arguments of the main process. */
  command: readonly string[]
  createdAt: Date
  labels: Readonly<Record<string, string>>
  /** `NAME=value`. */
  env: readonly string[]
  /** A directory of this container's own, for the driver to keep files in. */
  directory: string
}

export type LogStream = 'stdout' | 'stderr'

export interface LogEntry {
  stream: LogStream
  /** Nanoseconds since the epoch. */
  time: bigint
  /** Content with its newline, when it had one; without it the line goes on with the stream's next entry. */
  line: Uint8Array
  /** What the driver was told to keep with each entry: chosen labels and environment, the tag. */
  attributes?: Readonly<Record<string, string>>
}

export interface ReadLogOptions {
  stdout: boolean
  stderr: boolean
  /** Nanoseconds since the epoch; entries before are left out. */
  since?: bigint | undefined
  until?: bigint | undefined
  /** Only the last N lines, counted before the other filters, as Docker does; all when absent. A line that was cut into entries counts once, and is whole. */
  tail?: number | undefined
  /** Goes on with what is written until the log is closed or `signal` aborts; both end the iteration without an error. */
  follow?: boolean
  signal?: AbortSignal
}

export interface Log {
  /** Path to show in inspect, or undefined. */
  readonly path: string | undefined
  /**
   * Synchronous on purpose, see above. An entry is a line, or at most 16 KiB of one; the end of a chunk ends no entry: what has no
   * newline yet is kept safe, and read once its line is whole. Fails with `conflict` once the log is closed, and with `unavailable` when
   * it cannot be kept now (the disk is full, a peer takes no more): then nothing of the chunk was taken, and the caller brings it again.
   */
  write(stream: LogStream, chunk: Uint8Array): void
  /** After `write` failed with `unavailable`: settles when it is worth another try. Absent where only time can tell. */
  writable?(): Promise<void>
  /** What was written of a line that is not whole yet, which `read` does not give. Absent where nothing is held back. */
  unfinished?(stream: LogStream): Uint8Array
  /** Also of a closed log. */
  read(options: ReadLogOptions): AsyncIterable<LogEntry>
  /** The same, many at a time, for those who read much. Absent where it makes no difference; see {@link batchesOf}. */
  readBatches?(options: ReadLogOptions): AsyncIterable<readonly LogEntry[]>
  /** Flushes a last unfinished line and ends followers. The log can be opened again. */
  close(): void
  /** Deletes everything kept. */
  remove(): void
}

/** The entries of a log in batches, whether or not it has them so. */
export async function* batchesOf(log: Log, options: ReadLogOptions): AsyncGenerator<readonly LogEntry[]> {
  if (log.readBatches) yield* log.readBatches(options)
  else for await (const entry of log.read(options)) yield [entry]
}
