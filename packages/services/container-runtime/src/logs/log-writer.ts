import { isKind } from '@berth/core'
import type { DeliveryOptions, Log, LogStream } from '@berth/log-driver'

export interface LogWriterOptions {
  log: Log
  /** What happens to output that the log cannot take now; blocking when absent. */
  delivery?: DeliveryOptions
  /** Told when output cannot be kept, once until everything was kept again; and when output had to be dropped, once. */
  onFailure(error: unknown): void
  /** Output is taken again, after {@link LogWriter.write} answered false. */
  onDrain?(): void
  /** Milliseconds until another try where the log does not tell when; 200. */
  retryDelay?: number
}

interface Waiting {
  stream: LogStream
  chunk: Uint8Array
}

/**
 * Brings the output of one run to its log, in order and whole. What the log cannot take now (a full disk, a peer that is away) waits here: in blocking mode
 * whoever writes is asked to pause, so that the process waits and nothing is lost; in non-blocking mode the oldest is dropped when too much waits.
 */
export class LogWriter {
  readonly log: Log
  readonly #options: LogWriterOptions
  readonly #waiting: Waiting[] = []
  #waitingBytes = 0
  #hasFailed = false
  #hasDropped = false
  #wasRefused = false
  #isTrying = false
  #timer: NodeJS.Timeout | undefined
  #ending: PromiseWithResolvers<void> | undefined
  #isClosed = false

  constructor(options: LogWriterOptions) {
    this.#options = options
    this.log = options.log
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Whether the run has ended, and no other has begun. */
  get isEnding(): boolean {
    return this.#ending !== undefined
  }

  /** Whether more may come; when false, not before `onDrain`. What was given is kept in any case. */
  write(stream: LogStream, chunk: Uint8Array): boolean {
    if (this.#isClosed) return true
    if (this.#waiting.length === 0 && this.#try(() => this.log.write(stream, chunk))) return true
    // A copy: chunks belong to who gave them.
    this.#waiting.push({ stream, chunk: Buffer.from(chunk) })
    this.#waitingBytes += chunk.length
    this.#retryLater()
    if (this.#options.delivery?.mode === 'non-blocking') {
      this.#dropOldest(this.#options.delivery.maxBufferSize)
      return true
    }
    this.#wasRefused = true
    return false
  }

  /**
   * The run has ended: settles when all of it is kept and the log is closed, which may be late; the end of the container need not wait for it.
   * Called again, it gives the same promise.
   */
  end(): Promise<void> {
    if (this.#ending) return this.#ending.promise
    this.#ending = Promise.withResolvers<void>()
    this.#proceed()
    return this.#ending.promise
  }

  /** Another run begins before the last one's output is all kept: goes on with the same log. False when it is closed already. */
  resume(): boolean {
    if (this.#isClosed) return false
    this.#ending?.resolve()
    this.#ending = undefined
    return true
  }

  /** Gives up what could not be kept, and closes the log: the container is removed, or the daemon ends. */
  abandon(): void {
    if (this.#isClosed) return
    this.#waiting.length = 0
    this.#close()
  }

  /** Whether it is done: what was worth a try and failed is not. */
  #try(work: () => void): boolean {
    try {
      work()
      return true
    } catch (error) {
      if (!this.#hasFailed) this.#options.onFailure(error)
      this.#hasFailed = true
      // Anything else would fail again and again, and must not hold up the container for ever.
      return !isKind(error, 'unavailable')
    }
  }

  #proceed(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const { stream, chunk } = next
      if (!this.#try(() => this.log.write(stream, chunk))) return this.#retryLater()
      this.#waiting.shift()
      this.#waitingBytes -= chunk.length
    }
    if (this.#ending) {
      if (!this.#try(() => this.log.close())) return this.#retryLater()
      return this.#close()
    }
    this.#hasFailed = false
    if (!this.#wasRefused) return
    this.#wasRefused = false
    this.#options.onDrain?.()
  }

  #close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    try {
      this.log.close()
    } catch (error) {
      this.#options.onFailure(error)
    }
    this.#ending?.resolve()
  }

  #retryLater(): void {
    if (this.#isTrying || this.#isClosed) return
    this.#isTrying = true
    const again = (): void => {
      this.#isTrying = false
      if (!this.#isClosed) this.#proceed()
    }
    const writable = this.log.writable?.()
    if (writable) void writable.then(again, again)
    // It holds the program up no more than the containers do.
    else this.#timer = setTimeout(again, this.#options.retryDelay ?? 200).unref()
  }

  #dropOldest(limit: number): void {
    while (this.#waitingBytes > limit && this.#waiting.length > 1) {
      this.#waitingBytes -= this.#waiting.shift()!.chunk.length
      if (!this.#hasDropped) this.#options.onFailure(new Error('output was dropped, as more than max-buffer-size waits for the log'))
      this.#hasDropped = true
    }
  }
}
