import type { LogEntry, LogStream } from '@berth/log-driver'
import { parseTime } from './record-time.ts'

const prefix = '{"log":"'
const afterContent = /^","stream":"(stdout|stderr)",(?:"attrs":(\{.*\}),)?"time":"([^"]*)"\}\n$/
const [newline, backslash, letterN] = [0x0a, 0x5c, 0x6e]

type Attributes = Readonly<Record<string, string>>

/** All that follows the content of a record, and what it says. */
interface Tail {
  /** In Latin 1, a character a byte. */
  text: string
  stream: LogStream
  time: bigint
  attributes: Attributes | undefined
}

/**
 * Makes entries of the records that a block of a json-file begins with. Lines without anything escaped but their newline, nearly all of them, are parts of the
 * block; the others go through the JSON parser. What is no record (a torn one, another program's) is passed over.
 */
export class RecordDecoder {
  readonly #block: Buffer
  /** The same in Latin 1, a character a byte: searching in it is faster. */
  readonly #text: string
  #nextEscape: number
  /** Of the last record: most have the same. */
  #tail: Tail = { text: '', stream: 'stdout', time: 0n, attributes: undefined }

  constructor(block: Buffer) {
    this.#block = block
    this.#text = block.toString('latin1')
    this.#nextEscape = this.#text.indexOf('\\')
  }

  /** @returns the bytes of whole records */
  decode(entries: LogEntry[]): number {
    const block = this.#block
    for (let start = 0; ; ) {
      const mark = this.#endOfPlainContent(start)
      let end = mark === -1 || !this.#hasTail(mark) ? -1 : mark + this.#tail.text.length
      if (end === -1) {
        end = block.indexOf(newline, start) + 1
        if (end === 0) return start
        if (mark === -1 || !this.#readTail(mark, end)) {
          const entry = parseRecord(block.toString('utf8', start, end))
          if (entry) entries.push(entry)
          start = end
          continue
        }
      }
      entries.push(this.#entry(start + prefix.length, mark))
      start = end
    }
  }

  /** Where the quote stands behind content that needs no parser; -1 when there is no such content. Quotes of the content itself are escaped. */
  #endOfPlainContent(start: number): number {
    const text = this.#text
    const content = start + prefix.length
    if (this.#nextEscape !== -1 && this.#nextEscape < content) this.#nextEscape = text.indexOf('\\', content)
    const escape = this.#nextEscape
    const mark = text.indexOf('"', content)
    if (mark === -1 || !text.startsWith(prefix, start)) return -1
    return escape === -1 || escape > mark || (escape === mark - 2 && text.charCodeAt(mark - 1) === letterN) ? mark : -1
  }

  #hasTail(mark: number): boolean {
    return this.#tail.text !== '' && this.#text.startsWith(this.#tail.text, mark)
  }

  #readTail(mark: number, end: number): boolean {
    const [, stream, attrs, timeText = ''] = afterContent.exec(this.#block.toString('utf8', mark, end)) ?? []
    const time = stream === undefined ? undefined : parseTime(timeText)
    const attributes = attrs === undefined ? undefined : parseAttributes(attrs)
    if (time === undefined || (attrs !== undefined && !attributes)) return false
    this.#tail = { text: this.#text.slice(mark, end), stream: stream as LogStream, time, attributes }
    return true
  }

  #entry(start: number, mark: number): LogEntry {
    const { stream, time, attributes } = this.#tail
    const isWhole = mark >= start + 2 && this.#block[mark - 2] === backslash
    if (isWhole) this.#block[mark - 2] = newline
    const line = this.#block.subarray(start, isWhole ? mark - 1 : mark)
    return attributes ? { stream, time, line, attributes } : { stream, time, line }
  }
}

function parseRecord(record: string): LogEntry | undefined {
  try {
    const { log, stream, time, attrs } = JSON.parse(record) as Record<'log' | 'stream' | 'time' | 'attrs', unknown>
    if (typeof log !== 'string' || typeof time !== 'string' || (stream !== 'stdout' && stream !== 'stderr')) return undefined
    const value = parseTime(time)
    if (value === undefined) return undefined
    const entry: LogEntry = { stream, time: value, line: Buffer.from(log) }
    const attributes = attributesIn(attrs)
    return attributes ? { ...entry, attributes } : entry
  } catch {
    return undefined
  }
}

function parseAttributes(text: string): Attributes | undefined {
  try {
    return attributesIn(JSON.parse(text))
  } catch {
    return undefined
  }
}

function attributesIn(value: unknown): Attributes | undefined {
  if (value === null || typeof value !== 'object') return undefined
  return Object.fromEntries(Object.entries(value).filter((member): member is [string, string] => typeof member[1] === 'string'))
}
