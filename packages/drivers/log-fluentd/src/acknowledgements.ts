import { decodeMulti } from '@msgpack/msgpack'

/** More than this without a whole answer is no fluentd. */
const maxBuffered = 64 * 1024

/** Reads the answers of a peer, and wakes who waits for one. */
export class Acknowledgements {
  #buffered = Buffer.alloc(0)
  #waiting: { chunk: string; resolve: () => void; reject: (error: Error) => void } | undefined

  readonly take = (data: Buffer): void => {
    this.#buffered = Buffer.concat([this.#buffered, data])
    if (this.#buffered.length > maxBuffered) return this.fail(new Error('the peer does not answer as fluentd does'))
    const answers: unknown[] = []
    try {
      for (const answer of decodeMulti(this.#buffered)) answers.push(answer)
      this.#buffered = Buffer.alloc(0)
    } catch (error) {
      // The rest of an answer is still to come; of the others it is known who waits for them.
      if (!(error instanceof RangeError)) return this.fail(new Error('the peer does not answer as fluentd does'))
    }
    for (const answer of answers) {
      if (!this.#waiting || (answer as { ack?: unknown } | null)?.ack !== this.#waiting.chunk) continue
      this.#waiting.resolve()
      this.#waiting = undefined
    }
  }

  readonly fail = (error: Error): void => {
    this.#buffered = Buffer.alloc(0)
    this.#waiting?.reject(error)
    this.#waiting = undefined
  }

  /** Settles when the peer has the chunk. */
  of(chunk: string): Promise<void> {
    return new Promise((resolve, reject) => (this.#waiting = { chunk, resolve, reject }))
  }
}
