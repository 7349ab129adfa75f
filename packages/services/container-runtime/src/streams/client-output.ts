import { Readable } from 'node:stream'
import type { BerthError } from '@berth/core'
import { type Backlog, OutputSpool } from './output-spool.ts'

/** What a chunk takes in memory beside its bytes, so that many small ones are not taken for little. */
const chunkOverhead = 256

/**
 * The output side of one client on one stream. What the client has not taken waits, first in memory and then on the disk, and comes out in the order and
 * with every byte that it went in, also after the process has ended. Destroyed with the reason when it can wait no longer.
 */
export class ClientOutput extends Readable {
  /** Settles when everything was taken, or nobody takes it any more. */
  readonly taken: Promise<void>
  readonly #settleTaken: () => void
  readonly #backlog: Backlog
  readonly #onRoom: () => void
  #queue: Uint8Array[] = []
  #queued = 0
  #spool: OutputSpool | undefined
  #isReading = false
  /** The reader takes more. */
  #wants = false
  #wake: (() => void) | undefined
  /** Older output goes first. */
  #isHeld = false
  #isFinished = false
  #isOver = false

  /** @param onRoom called when the source need not wait any more, and when the client is gone */
  constructor(backlog: Backlog, onRoom: () => void) {
    super({ highWaterMark: 64 << 10 })
    this.#backlog = backlog
    this.#onRoom = onRoom
    const { promise, resolve } = Promise.withResolvers<void>()
    this.taken = promise
    this.#settleTaken = resolve
    this.once('close', resolve)
    this.on('error', () => {})
  }

  /** The disk takes no more at the moment. A client alone never makes the source wait. */
  get blocks(): boolean {
    return this.#spool?.isBusy ?? false
  }

  deliver(chunk: Uint8Array): void {
    if (this.#isFinished || this.destroyed) return
    if (this.#wants && !this.#isHeld && !this.#spool && this.#queue.length === 0) {
      this.#wants = this.push(chunk)
      return
    }
    const cost = chunk.length + chunkOverhead
    if (!this.#spool && this.#queued + cost <= this.#backlog.limits.clientMemory && this.#backlog.remember(cost)) {
      this.#queue.push(chunk)
      this.#queued += cost
      return
    }
    this.#spool ??= new OutputSpool(this.#backlog, { onFailure: (reason: BerthError) => this.destroy(reason), onRoom: this.#onRoom })
    this.#spool.append(chunk)
  }

  /** Keeps output back until {@link release}. */
  hold(): void {
    this.#isHeld = true
  }

  /** Puts older output in front of what is kept back. Settles when more can be taken. */
  async replay(chunk: Uint8Array): Promise<void> {
    if (!this.#wants && !this.destroyed) await new Promise<void>((resolve) => (this.#wake = resolve))
    if (!this.destroyed) this.#wants = this.push(chunk)
  }

  release(): void {
    this.#isHeld = false
    this.#fill()
  }

  /** Nothing comes after what was delivered so far. */
  finish(): void {
    this.#isFinished = true
    this.#fill()
  }

  override _read(): void {
    this.#wants = true
    this.#wake?.()
    this.#wake = undefined
    this.#fill()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#backlog.forget(this.#queued)
    this.#queued = 0
    this.#queue = []
    this.#spool?.close()
    this.#wake?.()
    callback(error)
    this.#onRoom()
  }

  #fill(): void {
    if (this.#isHeld || this.#isReading || this.destroyed || this.#isOver) return
    while (this.#wants && this.#queue.length > 0) {
      const chunk = this.#queue.shift() as Uint8Array
      this.#queued -= chunk.length + chunkOverhead
      this.#backlog.forget(chunk.length + chunkOverhead)
      this.#wants = this.push(chunk)
    }
    if (this.#queue.length > 0) return
    if (this.#spool) return void (this.#wants && this.#unspool(this.#spool))
    if (!this.#isFinished) return
    this.#isOver = true
    this.push(null)
    if (this.readableLength === 0) this.#settleTaken()
  }

  #unspool(spool: OutputSpool): void {
    this.#isReading = true
    void spool.read().then((chunk) => {
      this.#isReading = false
      if (this.destroyed) return
      if (chunk) this.#wants = this.push(chunk)
      else if (spool.isEmpty) {
        spool.close()
        this.#spool = undefined
      }
      this.#fill()
    })
  }
}
