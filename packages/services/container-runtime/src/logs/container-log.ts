import { messageOf } from '@berth/core'
import { type Log, parseDelivery } from '@berth/log-driver'
import type { Container } from '../container.ts'
import type { Context } from '../context.ts'
import { openLog } from './log-driver.ts'
import { LogWriter } from './log-writer.ts'

/** Opens the log of a run that begins or was found again; undefined with the log driver `none`. */
export function beginLog(ctx: Context, container: Container): LogWriter | undefined {
  const onDrain = (): void => {
    container.streams?.proceed('stdout')
    container.streams?.proceed('stderr')
  }
  // What a full disk or an absent peer kept from the log comes first.
  if (container.logWriter?.resume()) return container.logWriter
  const log = openLog(ctx, container)
  const { LogConfig } = container.record.definition.host
  const onFailure = (error: unknown): void => ctx.logger.error('output of a container could not be logged', { container: container.id, error: messageOf(error) })
  container.logWriter = log && new LogWriter({ log, delivery: parseDelivery(LogConfig?.Config ?? {}), onFailure, onDrain })
  return container.logWriter
}

/** Closes the log at the end of a run, as soon as all of it is kept. */
export function endLog(container: Container): void {
  const writer = container.logWriter
  void writer?.end().then(() => {
    if (container.logWriter === writer && writer.isClosed) container.logWriter = undefined
  })
}

/** Deletes what was logged. A container whose log driver is not there any more can be removed, too. */
export function removeLog(ctx: Context, container: Container): void {
  container.logWriter?.abandon()
  container.logWriter = undefined
  try {
    openLog(ctx, container)?.remove()
  } catch (error) {
    ctx.logger.warn('the log of a container could not be removed', { container: container.id, error: messageOf(error) })
  }
}

/** Closes a log that nothing is written to. */
export function closeQuietly(log: Log): void {
  try {
    log.close()
  } catch {
    // It cannot keep the end of an unfinished line now: that stays where it is.
  }
}
