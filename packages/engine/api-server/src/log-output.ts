import { formatNano } from '@berth/core'
import type { LogChunk } from './backend.ts'

export interface LogOutputOptions {
  /** Without the frames that tell streams apart. */
  raw: boolean
  /** When each line was written, in front of it. */
  timestamps: boolean
  /** What its driver was told to keep with each line, in front of it. */
  details: boolean
}

const headerSize = 8
const nothing = Buffer.alloc(0)
const newline = 0x0a

/** Makes what a client gets of log entries. What stands in front of a line stands there once, into however many entries a long one was cut. */
export class LogOutput {
  readonly #options: LogOutputOptions
  /** Whether the next entry of a stream goes on with a line. */
  readonly #isInLine = { stdout: false, stderr: false }
  #details: { attributes: LogChunk['attributes']; text: string } = { attributes: undefined, text: ' ' }

  constructor(options: LogOutputOptions) {
    this.#options = options
  }

  /** The bytes of a batch, as one piece. */
  bytes(batch: readonly LogChunk[]): Buffer {
    const { raw, timestamps, details } = this.#options
    const prefixes = timestamps || details ? batch.map((entry) => this.#prefixOf(entry)) : undefined
    let size = raw ? 0 : headerSize * batch.length
    for (let index = 0; index < batch.length; index++) size += batch[index]!.line.length + (prefixes?.[index]!.length ?? 0)
    const target = Buffer.allocUnsafeSlow(size)
    let at = 0
    for (let index = 0; index < batch.length; index++) {
      const { stream, line } = batch[index]!
      const prefix = prefixes?.[index] ?? nothing
      if (!raw) at = putHeader(target, at, stream, prefix.length + line.length)
      if (prefix.length > 0) at += prefix.copy(target, at)
      target.set(line, at)
      at += line.length
    }
    return target
  }

  #prefixOf(entry: LogChunk): Buffer {
    const { timestamps, details } = this.#options
    const wasInLine = this.#isInLine[entry.stream]
    this.#isInLine[entry.stream] = entry.line.at(-1) !== newline
    if (wasInLine) return nothing
    return Buffer.from(`${timestamps ? `${formatNano(entry.time)} ` : ''}${details ? this.#detailsOf(entry) : ''}`)
  }

  /** `name=value` with commas between, sorted, as in a query; and a space, also after none. @see moby, httputils.WriteLogStream */
  #detailsOf({ attributes }: LogChunk): string {
    if (attributes !== this.#details.attributes) {
      const pairs = Object.keys(attributes ?? {}).toSorted().map((name) => `${queryEscape(name)}=${queryEscape(attributes?.[name] ?? '')}`)
      this.#details = { attributes, text: `${pairs.join(',')} ` }
    }
    return this.#details.text
  }
}

/** The eight bytes before a piece of output on a stream that carries several. @see Docker Engine API, ContainerAttach, Stream format */
function putHeader(target: Buffer, start: number, stream: LogChunk['stream'], length: number): number {
  target[start] = stream === 'stdout' ? 1 : 2
  target[start + 1] = 0
  target[start + 2] = 0
  target[start + 3] = 0
  target[start + 4] = length >>> 24
  target[start + 5] = length >>> 16
  target[start + 6] = length >>> 8
  target[start + 7] = length
  return start + headerSize
}

/** As Go's `url.QueryEscape`. */
function queryEscape(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replaceAll('%20', '+').replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}
