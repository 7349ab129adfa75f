import { messageOf } from '@berth/core'
import type { Log } from '@berth/log-driver'
import type { Container } from './container.ts'
import type { Context } from './context.ts'
import { type OutputStream, ProcessStreams } from './streams.ts'

/** The streams of a container's main process: what it writes goes to the log first. */
export class ContainerStreams extends ProcessStreams {
  log: Log | undefined

  constructor(tty: boolean, onLogFailure: (error: unknown) => void) {
    let hasFailed = false
    const write = (stream: OutputStream, chunk: Uint8Array): void => {
      try {
        this.log?.write(stream, chunk)
      } catch (error) {
        // A full disk must not end the container, nor fill the log that tells of it.
        if (!hasFailed) onLogFailure(error)
        hasFailed = true
      }
    }
    super({ tty, onOutput: write })
  }
}

/** The streams of the run that goes on or comes next. */
export function outputOf({ logger }: Context, container: Container): ContainerStreams {
  container.streams ??= new ContainerStreams(container.record.definition.config.Tty ?? false, (error) =>
    logger.error('output of a container could not be logged', { container: container.id, error: messageOf(error) }),
  )
  return container.streams
}
