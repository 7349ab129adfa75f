import type { Container } from '../container.ts'
import type { Context } from '../context.ts'
import type { LogWriter } from '../logs/log-writer.ts'
import type { Backlog } from './output-spool.ts'
import { type OutputStream, ProcessStreams } from './streams.ts'

export interface ContainerStreamsOptions {
  tty: boolean
  backlog: Backlog
  onCutOff(reason: Error): void
}

/** The streams of a container's main process: what it writes goes to the log first. */
export class ContainerStreams extends ProcessStreams {
  log: LogWriter | undefined

  constructor({ tty, backlog, onCutOff }: ContainerStreamsOptions) {
    const write = (stream: OutputStream, chunk: Uint8Array): boolean => this.log?.write(stream, chunk) ?? true
    super({ tty, backlog, onOutput: write, onCutOff })
  }
}

/** The streams of the run that goes on or comes next. */
export function outputOf({ backlog, logger }: Context, container: Container): ContainerStreams {
  container.streams ??= new ContainerStreams({
    tty: container.record.definition.config.Tty ?? false,
    backlog,
    onCutOff: (reason) => logger.warn('a client of a container was cut off', { container: container.id, reason: reason.message }),
  })
  return container.streams
}
