import { BerthError } from '@berth/core'

const defaultKeys = [0x10, 0x11]

/** The byte that a terminal sends for each key: a character, or `ctrl-` and one of `a-z @ [ \ ] ^ _`. */
function parseKeys(text: string): number[] {
  return text.split(',').map((key) => {
    if (/^[\x21-\x7e]$/.test(key)) return key.charCodeAt(0)
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1]
    if (control === undefined) {
      throw new BerthError('invalid-argument', 'DETACH_KEYS_INVALID', `Invalid detach keys (${text}) provided`)
    }
    return control.toUpperCase().charCodeAt(0) - 0x40
  })
}

/** Finds the keys by which a client leaves a terminal, also when they arrive in pieces. */
export class DetachKeys {
  readonly #keys: number[]
  #matched = 0

  /** `ctrl-p,ctrl-q` when absent or empty. Throws `invalid-argument`. */
  constructor(keys?: string) {
    this.#keys = keys ? parseKeys(keys) : defaultKeys
  }

  /** What goes on to the process, and whether the client leaves. Keys that turn out not to be the whole sequence go on too. */
  feed(chunk: Uint8Array): { bytes: Uint8Array; detached: boolean } {
    const bytes: number[] = []
    if (this.#matched === 0 && !chunk.includes(this.#keys[0] ?? -1)) return { bytes: chunk, detached: false }
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
