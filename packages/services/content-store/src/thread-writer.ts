import type { DigestAlgorithm } from './content-store.ts'
import type { IngestThread, IngestThreads } from './ingest-threads.ts'
import type { IngestAnswer, IngestRequest } from './ingest-worker.ts'
import type { IngestWriter, IngestWriterOptions } from './ingest-writer.ts'

/** Sockets give 64 KiB at a time; a message to the thread costs as much as copying several times that. */
const bufferSize = 512 * 1024
/** One is filled, one is on its way, one is being written. */
const buffers = 3
/** Milliseconds that bytes wait for more of them, so that who follows the file sees a slow transfer grow, too. */
const patience = 5

export interface ThreadWriterOptions extends IngestWriterOptions {
  descriptor: number
  /** Whether to hash what is in the file while more is coming, or only when the digest is asked for. */
  hashNow: boolean
}

let lastIngest = 0

/** Hands pieces over to a thread, as copies in a few buffers that go there and back: when all are under way, the writer waits. */
export class ThreadWriter implements IngestWriter {
  readonly #thread: IngestThread
  readonly #ingest = ++lastIngest
  readonly #onWritten: (bytes: number) => void
  readonly #free: Uint8Array<ArrayBuffer>[] = []
  #allocated = 0
  #current: Uint8Array<ArrayBuffer> | undefined
  #filled = 0
  #timer: NodeJS.Timeout | undefined
  /** Position behind all that was sent. */
  #sent: number
  #written: number
  #lastSend: Promise<void> = Promise.resolve()
  #failure: { error: unknown } | undefined
  #wanting: (() => void) | undefined
  readonly #opened: Promise<IngestAnswer>

  constructor(threads: IngestThreads, { descriptor, bytes, algorithm, hashNow, onWritten }: ThreadWriterOptions) {
    this.#thread = threads.take()
    this.#onWritten = onWritten
    this.#sent = bytes
    this.#written = bytes
    this.#opened = this.#ask({ kind: 'open', descriptor, size: bytes, algorithm, hashNow })
    this.#opened.catch(() => {})
  }

  get bytes(): number {
    return this.#sent + this.#filled
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.#opened
    for (let taken = 0; taken < chunk.length; ) {
      if (this.#failure) await this.#throwFailure()
      const buffer = (this.#current ??= await this.#room())
      if (!buffer) continue
      const piece = chunk.subarray(taken, taken + buffer.length - this.#filled)
      buffer.set(piece, this.#filled)
      taken += piece.length
      this.#filled += piece.length
      if (this.#filled === buffer.length) this.#send()
      else this.#timer ??= setTimeout(() => this.#send(), patience)
    }
  }

  async flush(): Promise<void> {
    await this.#opened
    this.#send()
    await this.#lastSend
    if (this.#failure) await this.#throwFailure()
  }

  async digest(algorithm: DigestAlgorithm): Promise<string> {
    return (await this.#ask({ kind: 'digest', algorithm })).digest!
  }

  async sync(): Promise<void> {
    await this.#ask({ kind: 'sync' })
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#ask({ kind: 'close' }).catch(() => {})
    this.#thread.give()
  }

  /** A buffer to fill; undefined when the wait for one ended in a failure. */
  async #room(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const free = this.#free.pop()
    if (free) return free
    if (this.#allocated < buffers) {
      this.#allocated++
      return new Uint8Array(bufferSize)
    }
    await new Promise<void>((resolve) => (this.#wanting = resolve))
    return this.#free.pop()
  }

  #send(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const buffer = this.#current
    if (!buffer) return
    const request = { kind: 'write', buffer: buffer.buffer, length: this.#filled, position: this.#sent } as const
    this.#sent += this.#filled
    this.#filled = 0
    this.#current = undefined
    this.#lastSend = this.#ask(request).then(
      ({ size }) => {
        this.#written = size
        this.#wake()
        this.#onWritten(size)
      },
      (error: unknown) => {
        this.#failure ??= { error }
        this.#wake()
      },
    )
  }

  #wake(): void {
    this.#wanting?.()
    this.#wanting = undefined
  }

  /** Waits until nothing is under way, forgets what could not be written, and says why. */
  async #throwFailure(): Promise<never> {
    this.#send()
    await this.#lastSend
    const { error } = this.#failure!
    this.#failure = undefined
    this.#sent = this.#written
    throw error
  }

  async #ask(request: DistributedOmit<IngestRequest, 'ingest'>): Promise<IngestAnswer> {
    const answer = await this.#thread.ask({ ingest: this.#ingest, ...request }).catch((error: unknown) => {
      // The thread has ended with the buffer.
      if (request.kind === 'write') this.#allocated--
      throw error
    })
    if (answer.buffer) this.#free.push(new Uint8Array(answer.buffer))
    if (answer.failure) throw Object.assign(new Error(answer.failure.message), { code: answer.failure.code })
    return answer
  }
}

type DistributedOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
