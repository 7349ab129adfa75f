import type { RuntimeProcess } from '@berth/oci-runtime'
import type { Backlog } from '../streams/output-spool.ts'
import type { ExecDefinition } from '../records.ts'
import { ProcessStreams } from '../streams/streams.ts'

/** An additional process of a container, from its creation until it is forgotten. */
export class Exec {
  definition: ExecDefinition
  readonly streams: ProcessStreams
  process: RuntimeProcess | undefined
  status: 'created' | 'starting' | 'running' | 'exited' = 'created'
  exitCode: number | undefined
  /** In the namespace of the engine; stays when it has ended. */
  pid = 0
  /** Settles when it runs, or will not any more. */
  readonly started: Promise<void>
  readonly settleStarted: () => void
  /** Settles when it has ended and its output was read. */
  readonly ended: Promise<void>
  readonly settleEnded: () => void

  constructor(definition: ExecDefinition, options: { backlog: Backlog; onCutOff: (reason: Error) => void }) {
    this.definition = definition
    this.streams = new ProcessStreams({ tty: definition.config.Tty ?? false, ...options })
    const started = Promise.withResolvers<void>()
    this.started = started.promise
    this.settleStarted = started.resolve
    const ended = Promise.withResolvers<void>()
    this.ended = ended.promise
    this.settleEnded = ended.resolve
  }

  get id(): string {
    return this.definition.id
  }

  get hasEnded(): boolean {
    return this.status === 'exited'
  }

  /** As events tell it: the command in one line, with a space behind its name also when nothing follows. */
  get commandLine(): string {
    const [name = '', ...args] = this.definition.config.Cmd ?? []
    return `${name} ${args.join(' ')}`
  }

  begin(process: RuntimeProcess): void {
    this.process = process
    this.pid = process.pid
    this.status = 'running'
    this.settleStarted()
  }

  /** What it held is let go of; its exit code can be asked for. */
  end(exitCode: number): void {
    this.exitCode ??= exitCode
    this.status = 'exited'
    this.process = undefined
    this.settleStarted()
    this.settleEnded()
  }
}
