/** Reads a content in parts, which follow each other unless one has to be sent once more; then it is opened anew, and what is known is skipped. */
export class ContentCursor implements AsyncDisposable {
  readonly #open: () => AsyncIterable<Uint8Array>
  #source: AsyncIterator<Uint8Array> | undefined
  /** Of the source, what was read and not yet passed on. */
  #rest: Uint8Array = new Uint8Array()
  #position = 0

  constructor(open: () => AsyncIterable<Uint8Array>) {
    this.#open = open
  }

  /** Bytes from `start` on: `length` of them, or what there is. One reading goes on at a time. */
  async *read(start: number, length: number): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#source === undefined || start < this.#position) await this.#rewind()
    while (this.#position < start) if ((await this.#take(start - this.#position)) === undefined) return
    const end = start + length
    while (this.#position < end) {
      const chunk = await this.#take(end - this.#position)
      if (chunk === undefined) return
      yield chunk
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const source = this.#source
    this.#source = undefined
    await source?.return?.()
  }

  async #rewind(): Promise<void> {
    await this[Symbol.asyncDispose]()
    this.#source = this.#open()[Symbol.asyncIterator]()
    this.#rest = new Uint8Array()
    this.#position = 0
  }

  /** The next bytes, `most` at most; undefined at the end. */
  async #take(most: number): Promise<Uint8Array | undefined> {
    while (this.#rest.length === 0) {
      const next = await this.#source?.next()
      if (next === undefined || next.done) return undefined
      this.#rest = next.value
    }
    const chunk = this.#rest.subarray(0, most)
    this.#rest = this.#rest.subarray(chunk.length)
    this.#position += chunk.length
    return chunk
  }
}
