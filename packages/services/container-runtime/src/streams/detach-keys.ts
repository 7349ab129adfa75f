import { BerthError } from '@berth/core'

const defaultKeys = [0x10, 0x11]

/** The byte that a terminal sends for each key: a character of one byte, `DEL`, or `ctrl-` and one of `a-z @ [ \ ] ^ _`. */
function parseKeys(text: string): number[] {
  return text.split(',').map((key) => {
    if (key === 'DEL') return 0x7f
    if (/^[\x01-\x7f]$/.test(key)) return key.charCodeAt(0) // eslint-disable-line no-control-regex
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
    if (this.#matched === 0 && !chunk.includes(this.#keys[0] ?? -1)) return { bytes: chunk, detached: false }
    // Keys held back before may come out in front of what came now.
    const bytes = new Uint8Array(chunk.length + this.#keys.length)
    let length = 0
    for (const byte of chunk) {
      if (byte !== this.#keys[this.#matched]) {
        for (const key of this.#keys.slice(0, this.#matched)) bytes[length++] = key
        this.#matched = 0
      }
      if (byte !== this.#keys[this.#matched]) bytes[length++] = byte
      else if (++this.#matched === this.#keys.length) return { bytes: bytes.subarray(0, length), detached: true }
    }
    return { bytes: bytes.subarray(0, length), detached: false }
  }

  /** The input has ended: keys that were held back go on too. */
  flush(): Uint8Array {
    const held = Uint8Array.from(this.#keys.slice(0, this.#matched))
    this.#matched = 0
    return held
  }
}
