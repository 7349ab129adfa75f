import type { RuntimeProcess } from '@berth/oci-runtime'
import type { ExecDefinition } from './records.ts'
import { ProcessStreams } from './streams.ts'

/** An additional process of a container, from its creation until it is forgotten. */
export class Exec {
  readonly definition: ExecDefinition
  readonly streams: ProcessStreams
  process: RuntimeProcess | undefined
  status: 'created' | 'starting' | 'running' | 'exited' = 'created'
  exitCode: number | undefined
  /** Settles when it has ended and its output was read. */
  readonly ended: Promise<void>
  readonly settleEnded: () => void

  constructor(definition: ExecDefinition) {
    this.definition = definition
    this.streams = new ProcessStreams({ tty: definition.config.Tty ?? false })
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.settleEnded = resolve
  }

  get id(): string {
    return this.definition.id
  }

  /** As events tell it: the command in one line. */
  get commandLine(): string {
    return (this.definition.config.Cmd ?? []).join(' ')
  }
}
