import type { Readable, Writable } from 'node:stream'
import type { RuntimeProcess } from '@berth/oci-runtime'
import { ClientOutput } from './client-output.ts'
import { DetachKeys } from './detach-keys.ts'
import type { Backlog } from './output-spool.ts'
import { processInput } from './process-input.ts'

export type OutputStream = 'stdout' | 'stderr'

/**
 * A client's hold on a process's streams; see the API server's `Attachment`. `done` settles when the process has ended and its output was taken, or the
 * client left. An output is destroyed with the reason when the client is cut off.
 */
export interface Attachment {
  tty: boolean
  stdin: Writable | undefined
  stdout: Readable | undefined
  stderr: Readable | undefined
  done: Promise<void>
  detach(): void
}

/** An attachment that older output can be put in front of. */
export interface HeldAttachment extends Attachment {
  /** Keeps output back until {@link release}. */
  hold(): void
  /** Older output, no faster than the client takes it. */
  replay(stream: OutputStream, chunk: Uint8Array): Promise<void>
  release(): void
  /** Nobody takes anything any more. */
  readonly isGone: boolean
  /** Nothing comes after what was handed over so far. */
  finish(): void
}

export interface AttachStreamsOptions {
  stdin: boolean
  stdout: boolean
  stderr: boolean
  /** The end of the client's input closes the process's. */
  closesStdin: boolean
  /** `ctrl-p,ctrl-q`; Docker's default when absent. Only with a terminal. */
  detachKeys?: string | undefined
  onDetachKeys?: () => void
}

export interface ProcessStreamsOptions {
  tty: boolean
  backlog: Backlog
  /** Hears output first. False makes the source wait until {@link ProcessStreams.proceed}. */
  onOutput?: (stream: OutputStream, chunk: Uint8Array) => boolean
  /** A client was cut off, with the reason. */
  onCutOff?: (reason: Error) => void
}

/** After the end of a process, quiet time granted to descendants that still hold its output, in milliseconds, and all of the time. */
const lingerTime = 2000
const longestLinger = 10_000

/**
 * Hands the output of a process to a log and to any number of clients, and the input of clients to the process. May be attached to before the process
 * exists. The process waits for the log and for the disk, and never for a client.
 */
export class ProcessStreams {
  readonly #tty: boolean
  readonly #backlog: Backlog
  readonly #onOutput: (stream: OutputStream, chunk: Uint8Array) => boolean
  readonly #onCutOff: (reason: Error) => void
  readonly #clients: Record<OutputStream, Set<ClientOutput>> = { stdout: new Set(), stderr: new Set() }
  readonly #sources = new Map<OutputStream, Readable>()
  /** Streams whose output cannot be kept at the moment. */
  readonly #waiting = new Set<OutputStream>()
  /** Ends of attachments that take no output. */
  readonly #inputOnly = new Set<() => void>()
  readonly #stdin = Promise.withResolvers<Writable | undefined>()
  readonly #drained = Promise.withResolvers<void>()
  #open = 0
  /** When the process ended. */
  #endedAt: number | undefined
  #isFinished = false
  #linger: NodeJS.Timeout | undefined

  constructor({ tty, backlog, onOutput = () => true, onCutOff = () => {} }: ProcessStreamsOptions) {
    this.#tty = tty
    this.#backlog = backlog
    this.#onOutput = onOutput
    this.#onCutOff = onCutOff
  }

  /** Whether all output there will be was handed over. */
  get isFinished(): boolean {
    return this.#isFinished
  }

  /** Begins to read. */
  connect(process: RuntimeProcess): void {
    this.#stdin.resolve(process.stdin)
    // A process that ends without reading its input is no failure of ours.
    process.stdin?.on('error', () => {})
    const outputs: [OutputStream, Readable | undefined][] = [['stdout', process.stdout], ['stderr', process.stderr]]
    for (const [stream, source] of outputs) {
      if (!source) continue
      this.#open++
      this.#sources.set(stream, source)
      const end = (): void => {
        if (this.#sources.get(stream) !== source) return
        this.#sources.delete(stream)
        this.#open--
        if (this.#open === 0) this.#finish()
      }
      source.on('data', (chunk: Uint8Array) => {
        if (!this.#onOutput(stream, chunk)) this.#waiting.add(stream)
        for (const client of this.#clients[stream]) client.deliver(chunk)
        if (this.#endedAt !== undefined) this.#restartLinger()
        else this.#pace(stream)
      })
      source.once('end', end).once('close', end).once('error', end)
      this.#pace(stream)
    }
  }

  /** What a stream wrote can be kept again. */
  proceed(stream: OutputStream): void {
    this.#waiting.delete(stream)
    this.#pace(stream)
  }

  /** The process has ended: settles when its output was read to the end. What is left in its pipes is bounded, so nothing holds it up any more. */
  async drain(): Promise<void> {
    this.#endedAt ??= performance.now()
    this.#stdin.resolve(undefined)
    if (this.#open === 0) this.#finish()
    else this.#restartLinger()
    for (const source of this.#sources.values()) source.resume()
    return this.#drained.promise
  }

  attach(options: AttachStreamsOptions): HeldAttachment {
    const keys = options.stdin && this.#tty ? new DetachKeys(options.detachKeys) : undefined
    const stdout = this.#output('stdout', options.stdout)
    const stderr = this.#output('stderr', options.stderr && !this.#tty)
    const outputs = [stdout, stderr].filter((client) => client !== undefined)
    const done = Promise.withResolvers<void>()
    const taken = Promise.all(outputs.map((client) => client.taken))
    const leave = (): void => {
      this.#inputOnly.delete(leave)
      if (stdout) this.#forget('stdout', stdout)
      if (stderr) this.#forget('stderr', stderr)
      for (const client of outputs) client.finish()
      void taken.then(() => done.resolve())
    }
    let isCutOff = false
    const cutOff = (reason: Error): void => {
      if (!isCutOff) this.#onCutOff(reason)
      isCutOff = true
      for (const client of outputs) client.destroy(reason)
    }
    for (const client of outputs) client.once('error', cutOff)
    if (outputs.length > 0) void taken.then(leave)
    else this.#inputOnly.add(leave)
    const onLeave = (reason: 'keys' | 'end'): void => {
      if (reason === 'keys') options.onDetachKeys?.()
      leave()
    }
    const stdin = options.stdin ? processInput({ target: this.#stdin.promise, keys, closesTarget: options.closesStdin && !this.#tty, onLeave }) : undefined
    if (this.#isFinished) leave()
    return {
      tty: this.#tty,
      stdin,
      stdout,
      stderr,
      done: done.promise,
      detach: () => {
        leave()
        // A client that hangs up has ended its input too.
        if (options.stdin && options.closesStdin && !this.#tty) void this.#stdin.promise.then((process) => process?.end())
        stdin?.destroy()
        for (const client of outputs) client.destroy()
      },
      finish: leave,
      get isGone() {
        return outputs.every(({ destroyed }) => destroyed)
      },
      hold: () => {
        for (const client of outputs) client.hold()
      },
      replay: async (stream, chunk) => (stream === 'stdout' ? stdout : stderr)?.replay(chunk),
      release: () => {
        for (const client of outputs) client.release()
      },
    }
  }

  /** Tells attached clients something in place of a process that could not be started. */
  say(text: string): void {
    const { stdout, stderr } = this.#clients
    for (const client of stdout.size > 0 ? stdout : stderr) client.deliver(Buffer.from(text))
  }

  /** Ends what clients hold, as when a start failed or the runtime lets go. Nothing is read any more. */
  end(): void {
    for (const source of this.#sources.values()) source.removeAllListeners('data').pause()
    this.#sources.clear()
    this.#open = 0
    this.#stdin.resolve(undefined)
    this.#finish()
  }

  #output(stream: OutputStream, isWanted: boolean): ClientOutput | undefined {
    if (!isWanted) return undefined
    const client = new ClientOutput(this.#backlog, () => this.#pace(stream))
    this.#clients[stream].add(client)
    return client
  }

  #forget(stream: OutputStream, client: ClientOutput): void {
    this.#clients[stream].delete(client)
    this.#pace(stream)
  }

  #finish(): void {
    clearTimeout(this.#linger)
    this.#isFinished = true
    for (const client of [...this.#clients.stdout, ...this.#clients.stderr]) client.finish()
    for (const leave of this.#inputOnly) leave()
    this.#drained.resolve()
  }

  #restartLinger(): void {
    clearTimeout(this.#linger)
    const left = (this.#endedAt ?? 0) + longestLinger - performance.now()
    this.#linger = setTimeout(() => this.end(), Math.max(0, Math.min(lingerTime, left)))
  }

  #pace(stream: OutputStream): void {
    const source = this.#sources.get(stream)
    if (!source) return
    let mustWait = this.#waiting.has(stream)
    for (const client of this.#clients[stream]) {
      if (client.destroyed) this.#clients[stream].delete(client)
      else mustWait ||= client.blocks
    }
    if (mustWait && this.#endedAt === undefined) source.pause()
    else if (source.isPaused()) source.resume()
  }
}
