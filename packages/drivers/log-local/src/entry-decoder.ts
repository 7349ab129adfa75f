import type { LogEntry, LogStream } from '@berth/log-driver'
import { field, isLastField, lengthBytes, maxMessageBytes } from './entry-message.ts'

const newline = 0x0a

/** Makes entries of the messages that a block begins with; their lines are parts of the block. */
export class EntryDecoder {
  readonly #block: Buffer
  readonly #attributes: Readonly<Record<string, string>> | undefined
  #at = 0
  /** The last time that was read: most messages have the same. */
  readonly #time = { low: 0, high: 0, value: 0n }

  constructor(block: Buffer, attributes: Readonly<Record<string, string>> | undefined) {
    this.#block = block
    this.#attributes = attributes
  }

  /** @returns the bytes of whole messages. What comes after something that is no message is passed over. */
  decode(entries: LogEntry[]): number {
    const block = this.#block
    let start = 0
    while (start + lengthBytes <= block.length) {
      const length = block.readUInt32BE(start)
      if (length > maxMessageBytes) return block.length
      const end = start + lengthBytes + length
      if (end + lengthBytes > block.length) break
      if (block.readUInt32BE(end) !== length) return block.length
      const entry = this.#message(start + lengthBytes, end)
      if (entry) entries.push(entry)
      start = end + lengthBytes
    }
    return start
  }

  #message(start: number, end: number): LogEntry | undefined {
    const block = this.#block
    let stream: LogStream | undefined
    let time = 0n
    let [lineStart, lineEnd] = [start, start]
    let [isPartial, isLast] = [false, false]
    this.#at = start
    while (this.#at < end) {
      const tag = block[this.#at++]!
      if (tag === field.time) time = this.#timeNano()
      else if (tag === field.partial) isPartial = this.#varint() !== 0
      else if ((tag & 7) === 0) this.#varint()
      else if ((tag & 7) === 2) {
        const length = this.#varint()
        const valueEnd = this.#at + length
        if (valueEnd > end) return undefined
        if (tag === field.source) stream = streamOf(block, this.#at, length)
        else if (tag === field.line) [lineStart, lineEnd] = [this.#at, valueEnd]
        else if (tag === field.metadata) isLast = length >= 2 && block[this.#at] === isLastField && block[this.#at + 1] === 1
        this.#at = valueEnd
      } else return undefined
    }
    if (!stream || this.#at !== end) return undefined
    if (isPartial && !isLast) return this.#entry(stream, time, block.subarray(lineStart, lineEnd))
    // What stands there, a field or the length behind the message, has been read.
    if (lineEnd > start) block[lineEnd] = newline
    return this.#entry(stream, time, lineEnd > start ? block.subarray(lineStart, lineEnd + 1) : Buffer.from('\n'))
  }

  #entry(stream: LogStream, time: bigint, line: Buffer): LogEntry {
    return this.#attributes ? { stream, time, line, attributes: this.#attributes } : { stream, time, line }
  }

  #varint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#block[this.#at++] ?? 0
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
  }

  /** Up to 64 bits, in two halves of which neither loses any. */
  #timeNano(): bigint {
    let [low, high, shift] = [0, 0, 0]
    for (; ; shift += 7) {
      const byte = this.#block[this.#at++] ?? 0
      if (shift < 28) low += (byte & 0x7f) * 2 ** shift
      else high += (byte & 0x7f) * 2 ** (shift - 28)
      if (byte < 0x80) break
    }
    const last = this.#time
    if (last.low !== low || last.high !== high) Object.assign(last, { low, high, value: (BigInt(high) << 28n) + BigInt(low) })
    return last.value
  }
}

function streamOf(block: Buffer, start: number, length: number): LogStream | undefined {
  const source = block.toString('latin1', start, start + length)
  return source === 'stdout' || source === 'stderr' ? source : undefined
}
