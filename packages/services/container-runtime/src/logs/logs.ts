import { BerthError } from '@berth/core'
import { batchesOf, type LogEntry, type ReadLogOptions } from '@berth/log-driver'
import type { Container } from '../container.ts'
import { closeQuietly } from './container-log.ts'
import type { Context } from '../context.ts'
import { logDriverOf, openLog } from './log-driver.ts'

export interface LogsOptions {
  stdout: boolean
  stderr: boolean
  follow: boolean
  since?: bigint
  until?: bigint
  tail?: number
  signal: AbortSignal
}

/** What a container wrote: entry by entry, or many at a time for those who read much; one of the two is to be read. */
export interface ContainerLogs {
  tty: boolean
  entries: AsyncIterable<LogEntry>
  batches: AsyncIterable<readonly LogEntry[]>
}

/** What a container wrote. Throws `invalid-argument` when no stream is asked for, `not-implemented` for a log driver that cannot be read. */
export async function readLogs(ctx: Context, container: Container, options: LogsOptions): Promise<ContainerLogs> {
  const { config } = container.record.definition
  if (!options.stdout && !options.stderr) throw new BerthError('invalid-argument', 'STREAM_MISSING', 'Bad parameters: you must choose at least one stream')
  checkReadable(ctx, container)
  return { tty: config.Tty ?? false, entries: readEntries(ctx, container, options), batches: readBatches(ctx, container, options) }
}

/** Throws `not-implemented` for a log driver that cannot be read. */
export function checkReadable(ctx: Context, container: Container): void {
  if (logDriverOf(ctx, container.record.definition.host)?.canRead) return
  throw new BerthError('not-implemented', 'LOG_NOT_READABLE', 'configured logging driver does not support reading')
}

/** Of the run that goes on, or else of those before. */
export async function* readEntries(ctx: Context, container: Container, options: ReadLogOptions): AsyncGenerator<LogEntry> {
  for await (const batch of readBatches(ctx, container, options)) yield* batch
}

async function* readBatches(ctx: Context, container: Container, options: ReadLogOptions): AsyncGenerator<readonly LogEntry[]> {
  // From before its start is answered, the log of a run is open; a second writer would be in its way.
  const writer = container.logWriter
  // Nothing more comes from a container that does not run.
  if (writer) return yield* batchesOf(writer.log, { ...options, follow: options.follow === true && !writer.isEnding })
  const log = openLog(ctx, container)
  if (!log) return
  // The beginning of a line that a crash left becomes an entry; on a full disk it is one later.
  closeQuietly(log)
  yield* batchesOf(log, { ...options, follow: false })
}
