import type { LogDriver } from '../src/index.ts'
import { memoryLogDriver } from '../src/memory.ts'
import type { ShippedEntry, Shipper } from '../src/shipping.ts'

/** A peer in memory that can be away, slow or forgetful. */
export class MemoryPeer {
  readonly taken: ShippedEntry[] = []
  isAway = false
  /** Entries that it still takes before it goes away in the middle of a batch. */
  room = Infinity
  opened = 0
  closed = 0
  attempts = 0
  lose = (): void => {}
  #wake: (() => void)[] = []

  get texts(): string[] {
    return this.taken.map(({ text }) => Buffer.from(text).toString())
  }

  readonly open = (_container: unknown, _options: unknown, onLost: () => void): Shipper => {
    this.opened++
    this.lose = onLost
    return {
      send: async (entries) => {
        this.attempts++
        for (const wake of this.#wake.splice(0)) wake()
        if (this.isAway) throw new Error('the peer is away')
        for (const entry of entries) {
          if (this.room-- <= 0) {
            this.isAway = true
            throw new Error('the peer went away')
          }
          this.taken.push({ ...entry, text: Buffer.from(entry.text) })
        }
      },
      retryDelay: () => 1,
      close: () => void this.closed++,
    }
  }

  /** Settles at the next attempt to send. */
  attempted(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve))
  }
}

/** The memory driver as a cache: it takes the options of one. */
export function memoryCache(): LogDriver {
  const memory = memoryLogDriver()
  return { ...memory, validate() {}, open: (container, { 'max-size': _size, compress: _compress, ...options }) => memory.open(container, options) }
}
