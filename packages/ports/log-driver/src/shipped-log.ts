import { batchesOf, type Log, type LogEntry, type LogStream, type ReadLogOptions } from './index.ts'
import type { Shipping } from './shipping-loop.ts'

interface ShippedLogHooks {
  /** The one that sends this container's entries; begun when there is none. */
  shipping(): Shipping
  /** Ends the sending and forgets how far it was. */
  forget(): void
}

/** Writes go to the cache, from where they are sent. */
export class ShippedLog implements Log {
  readonly #cache: Log
  readonly #hooks: ShippedLogHooks
  /** What the last write failed for, if not the cache. */
  #refused: { shipping: Shipping; chunk: Uint8Array } | undefined

  constructor(cache: Log, hooks: ShippedLogHooks) {
    this.#cache = cache
    this.#hooks = hooks
  }

  get path(): undefined {
    return undefined
  }

  write(stream: LogStream, chunk: Uint8Array): void {
    const shipping = this.#hooks.shipping()
    this.#refused = { shipping, chunk }
    shipping.admit(chunk)
    this.#refused = undefined
    shipping.follow(this.#cache)
    this.#cache.write(stream, chunk)
    shipping.count(chunk)
  }

  async writable(): Promise<void> {
    if (this.#refused) await this.#refused.shipping.admits(this.#refused.chunk)
    else if (this.#cache.writable) await this.#cache.writable()
    else await new Promise((resolve) => setTimeout(resolve, 200))
  }

  unfinished(stream: LogStream): Uint8Array {
    return this.#cache.unfinished?.(stream) ?? new Uint8Array()
  }

  read(options: ReadLogOptions): AsyncIterable<LogEntry> {
    return this.#cache.read(options)
  }

  readBatches(options: ReadLogOptions): AsyncIterable<readonly LogEntry[]> {
    return batchesOf(this.#cache, options)
  }

  close(): void {
    this.#cache.close()
  }

  remove(): void {
    this.#hooks.forget()
    this.#cache.remove()
  }
}
