import type { Writable } from 'node:stream'
import { frameHeader } from './streams.ts'

const largest = 64 * 1024

/** Gathers many small pieces of output into few writes; what was gathered is written when nothing more comes at once. */
export class OutputBatch {
  readonly #target: Writable
  readonly #raw: boolean
  #parts: Uint8Array[] = []
  #size = 0
  #scheduled: NodeJS.Immediate | undefined

  /** `raw`: without the frames that tell streams apart. */
  constructor(target: Writable, raw: boolean) {
    this.#target = target
    this.#raw = raw
  }

  add(stream: 'stdout' | 'stderr', data: Uint8Array): void {
    for (const part of this.#raw ? [data] : [frameHeader(stream, data.length), data]) {
      this.#parts.push(part)
      this.#size += part.length
    }
    if (this.#size >= largest) this.flush()
    else this.#scheduled ??= setImmediate(() => this.flush())
  }

  flush(): void {
    clearImmediate(this.#scheduled)
    this.#scheduled = undefined
    if (this.#size > 0 && this.#target.writable) this.#target.write(Buffer.concat(this.#parts, this.#size))
    this.#parts = []
    this.#size = 0
  }
}
