import { Readable, Writable } from 'node:stream'
import type { RuntimeProcess } from '@berth/oci-runtime'
import { DetachKeys } from './detach-keys.ts'

export type OutputStream = 'stdout' | 'stderr'

/**
 * A client's hold on a process's streams; see the API server's `Attachment`. `done` settles when the process has ended and its output was taken, or the client left.
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
  /** Keeps output back until {@link replay}. */
  hold(): void
  replay(older: Record<OutputStream, Uint8Array[]>): void
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

/** Bytes that wait for a slow client before the process has to wait for it too: nothing is lost and nothing grows without bound. */
const clientBuffer = 1024 * 1024
/** After the end of a process, quiet time granted to descendants that still hold its output, in milliseconds. */
const lingerTime = 2000

/** The output side of one client on one stream. */
class ClientOutput extends Readable {
  isFull = false
  /** Kept back by {@link ProcessStreams.attach} until older output was replayed. */
  held: Uint8Array[] | undefined
  #ended = false
  readonly #onDemand: () => void
  /** Settles when everything was taken, or nobody takes it any more. */
  readonly taken: Promise<void>
  readonly #settleTaken: () => void

  constructor(onDemand: () => void) {
    super({ highWaterMark: clientBuffer })
    this.#onDemand = onDemand
    const { promise, resolve } = Promise.withResolvers<void>()
    this.taken = promise
    this.#settleTaken = resolve
    this.once('close', resolve)
  }

  deliver(chunk: Uint8Array): void {
    if (this.#ended || this.destroyed) return
    if (this.held) this.held.push(chunk)
    else this.isFull = !this.push(chunk)
  }

  /** Older output first, then what came meanwhile. */
  release(replayed: Iterable<Uint8Array>): void {
    const held = this.held ?? []
    this.held = undefined
    for (const chunk of [...replayed, ...held]) this.deliver(chunk)
    if (this.#ended) this.#close()
    this.#onDemand()
  }

  finish(): void {
    if (this.#ended) return
    this.#ended = true
    if (!this.held) this.#close()
  }

  #close(): void {
    this.push(null)
    if (this.readableLength === 0) this.#settleTaken()
  }

  get blocks(): boolean {
    return !this.destroyed && !this.#ended && (this.isFull || this.held !== undefined)
  }

  override _read(): void {
    if (!this.isFull) return
    this.isFull = false
    this.#onDemand()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    callback(error)
    this.#onDemand()
  }
}

/** Hands the output of a process to a log and to any number of clients, and the input of clients to the process. May be attached to before the process exists. */
export class ProcessStreams {
  readonly #tty: boolean
  readonly #onOutput: (stream: OutputStream, chunk: Uint8Array) => void
  readonly #clients: Record<OutputStream, Set<ClientOutput>> = { stdout: new Set(), stderr: new Set() }
  readonly #sources = new Map<OutputStream, Readable>()
  /** Ends of attachments that take no output. */
  readonly #inputOnly = new Set<() => void>()
  readonly #stdin = Promise.withResolvers<Writable | undefined>()
  readonly #drained = Promise.withResolvers<void>()
  #open = 0
  #processEnded = false
  #isFinished = false
  #linger: NodeJS.Timeout | undefined

  constructor(options: { tty: boolean; onOutput?: (stream: OutputStream, chunk: Uint8Array) => void }) {
    this.#tty = options.tty
    this.#onOutput = options.onOutput ?? (() => {})
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
        this.#onOutput(stream, chunk)
        for (const client of this.#clients[stream]) client.deliver(chunk)
        if (this.#processEnded) this.#restartLinger()
        else this.#pace(stream)
      })
      source.once('end', end).once('close', end).once('error', end)
      this.#pace(stream)
    }
  }

  /** The process has ended: settles when its output was read to the end. What is left in its pipes is bounded, so slow clients hold it up no more. */
  async drain(): Promise<void> {
    this.#processEnded = true
    this.#stdin.resolve(undefined)
    if (this.#open === 0) this.#finish()
    else this.#restartLinger()
    for (const source of this.#sources.values()) source.resume()
    return this.#drained.promise
  }

  attach(options: AttachStreamsOptions): HeldAttachment {
    const output = (stream: OutputStream, wanted: boolean): ClientOutput | undefined => {
      if (!wanted || (stream === 'stderr' && this.#tty)) return undefined
      const client = new ClientOutput(() => this.#pace(stream))
      this.#clients[stream].add(client)
      return client
    }
    const done = Promise.withResolvers<void>()
    const stdout = output('stdout', options.stdout)
    const stderr = output('stderr', options.stderr)
    const outputs = [stdout, stderr].filter((client) => client !== undefined)
    const detach = (): void => {
      this.#inputOnly.delete(detach)
      this.#clients.stdout.delete(stdout as ClientOutput)
      this.#clients.stderr.delete(stderr as ClientOutput)
      for (const client of outputs) client.finish()
      this.#pace('stdout')
      this.#pace('stderr')
      void Promise.all(outputs.map(({ taken }) => taken)).then(() => done.resolve())
    }
    for (const client of outputs) client.on('error', () => {})
    if (outputs.length > 0) void Promise.all(outputs.map(({ taken }) => taken)).then(detach)
    if (outputs.length === 0) this.#inputOnly.add(detach)
    const stdin = options.stdin ? this.#input(options, detach) : undefined
    if (this.#isFinished) detach()
    return {
      tty: this.#tty,
      stdin,
      stdout,
      stderr,
      done: done.promise,
      detach: () => {
        detach()
        // A client that hangs up has ended its input too.
        if (options.stdin && options.closesStdin && !this.#tty) void this.#stdin.promise.then((process) => process?.end())
        stdin?.destroy()
        for (const client of outputs) client.destroy()
      },
      finish: detach,
      hold: () => {
        for (const client of outputs) client.held = []
      },
      replay: (chunks) => {
        stdout?.release(chunks.stdout)
        stderr?.release(chunks.stderr)
      },
    }
  }

  /** Tells attached clients something in place of a process that could not be started. */
  say(text: string): void {
    for (const client of this.#clients.stdout) client.deliver(Buffer.from(text))
  }

  /** Ends what clients hold, as when a start failed or the runtime lets go. Nothing is read any more. */
  end(): void {
    for (const source of this.#sources.values()) source.removeAllListeners('data').pause()
    this.#sources.clear()
    this.#open = 0
    this.#stdin.resolve(undefined)
    this.#finish()
  }

  #finish(): void {
    clearTimeout(this.#linger)
    this.#isFinished = true
    for (const client of [...this.#clients.stdout, ...this.#clients.stderr]) client.finish()
    for (const detach of this.#inputOnly) detach()
    this.#drained.resolve()
  }

  #restartLinger(): void {
    clearTimeout(this.#linger)
    this.#linger = setTimeout(() => this.end(), lingerTime)
  }

  #pace(stream: OutputStream): void {
    const source = this.#sources.get(stream)
    if (!source) return
    for (const client of this.#clients[stream]) {
      if (client.destroyed) this.#clients[stream].delete(client)
      else if (client.blocks && !this.#processEnded) {
        source.pause()
        return
      }
    }
    if (source.isPaused()) source.resume()
  }

  #input(options: AttachStreamsOptions, detach: () => void): Writable {
    const keys = this.#tty ? new DetachKeys(options.detachKeys) : undefined
    const target = this.#stdin.promise
    const forward = async (chunk: Uint8Array): Promise<void> => {
      const process = await target
      if (!process?.writable || chunk.length === 0) return
      if (!process.write(chunk)) await new Promise<void>((resolve) => {
        const proceed = (): void => {
          process.off('drain', proceed).off('close', proceed).off('error', proceed)
          resolve()
        }
        process.once('drain', proceed).once('close', proceed).once('error', proceed)
      })
    }
    const typed = async (chunk: Uint8Array): Promise<void> => {
      const { bytes, detached } = keys ? keys.feed(chunk) : { bytes: chunk, detached: false }
      await forward(bytes)
      if (!detached) return
      options.onDetachKeys?.()
      detach()
    }
    const ended = async (): Promise<void> => {
      const process = await target
      if (options.closesStdin && !this.#tty) process?.end()
      else detach()
    }
    const stdin = new Writable({
      highWaterMark: 256 * 1024,
      write: (chunk: Uint8Array, _encoding, callback) => settle(typed(chunk), callback),
      final: (callback) => settle(ended(), callback),
    })
    return stdin.on('error', () => {})
  }
}

/** Tells a callback how a promise went. */
function settle(work: Promise<void>, callback: (error?: Error | null) => void): void {
  void work.then(
    () => process.nextTick(callback),
    (error: unknown) => process.nextTick(callback, error),
  )
}
