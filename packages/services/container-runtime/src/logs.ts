import { BerthError } from '@berth/core'
import type { LogEntry, ReadLogOptions } from '@berth/log-driver'
import type { Container } from './container.ts'
import type { Context } from './context.ts'
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

/** What a container wrote. Throws `invalid-argument` when no stream is asked for, `not-implemented` for a log driver that cannot be read. */
export async function readLogs(ctx: Context, container: Container, options: LogsOptions): Promise<{ tty: boolean; entries: AsyncIterable<LogEntry> }> {
  const { config, host } = container.record.definition
  if (!options.stdout && !options.stderr) throw new BerthError('invalid-argument', 'STREAM_MISSING', 'Bad parameters: you must choose at least one stream')
  if (!logDriverOf(ctx, host)?.canRead) throw new BerthError('not-implemented', 'LOG_NOT_READABLE', 'configured logging driver does not support reading')
  return { tty: config.Tty ?? false, entries: readEntries(ctx, container, options) }
}

/** Of the run that goes on, or else of those before. */
export async function* readEntries(ctx: Context, container: Container, options: ReadLogOptions): AsyncGenerator<LogEntry> {
  // From before its start is answered, the log of a run is open; a second writer would be in its way.
  const current = container.run?.log ?? container.streams?.log
  const log = current ?? openLog(ctx, container)
  if (!log) return
  try {
    // Nothing more comes from a container that does not run.
    yield* log.read({ ...options, follow: options.follow === true && current !== undefined })
  } finally {
    if (!current) log.close()
  }
}
