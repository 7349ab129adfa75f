import { usageError } from '../cli.ts'

const byDefault = 'ctrl-p,ctrl-q'

/** Finds the keys that leave a session without ending it. */
export class DetachKeys {
  readonly #keys: readonly number[]
  #matched = 0

  /** `ctrl-p,ctrl-q` when absent. Throws `invalid-argument`. */
  constructor(keys = byDefault) {
    this.#keys = keys.split(',').map((key) => {
      const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1]
      if (control !== undefined) return control.toUpperCase().charCodeAt(0) - 0x40
      if (key.length !== 1) throw usageError(`invalid detach keys '${keys}': they are single keys or ctrl-x, with commas in between`)
      return key.charCodeAt(0)
    })
  }

  /** What goes on to the process, and whether the keys were typed. A beginning of them is held back until it is known. */
  feed(chunk: Uint8Array): { bytes: Uint8Array; detached: boolean } {
    const bytes: number[] = []
    for (const byte of chunk) {
      if (byte !== this.#keys[this.#matched]) {
        bytes.push(...this.#keys.slice(0, this.#matched))
        this.#matched = 0
      }
      if (byte !== this.#keys[this.#matched]) bytes.push(byte)
      else if (++this.#matched === this.#keys.length) return { bytes: Uint8Array.from(bytes), detached: true }
    }
    return { bytes: Uint8Array.from(bytes), detached: false }
  }
}
