import type { LogEntry, LogStream } from '@berth/log-driver'
import { parseTime } from './record-time.ts'

const prefix = '{"log":"'
const afterContent = { stdout: '","stream":"stdout",', stderr: '","stream":"stderr",' }
const timeKey = '"time":"'
const attributesKey = '"attrs":'
const suffix = '"}'
const newline = 0x0a

type Attributes = Readonly<Record<string, string>>

/**
 * Makes entries of the records that a block of a json-file begins with. Lines without anything escaped but their newline, nearly all of them, are parts of the
 * block; the others go through the JSON parser. What is no record (a torn one, another program's) is passed over.
 */
export class RecordDecoder {
  readonly #block: Buffer
  readonly #text: string
  #nextEscape: number
  /** The last ones that were read: most records have the same. */
  readonly #time = { text: '-', value: 0n }
  #attributes: { text: string; values: Attributes } | undefined

  constructor(block: Buffer) {
    this.#block = block
    this.#text = block.toString('latin1')
    this.#nextEscape = this.#text.indexOf('\\')
  }

  /** @returns the bytes of whole records */
  decode(entries: LogEntry[]): number {
    const text = this.#text
    let start = 0
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      const entry = this.#plain(start, end) ?? parseRecord(this.#block.toString('utf8', start, end))
      if (entry) entries.push(entry)
      start = end + 1
    }
    return start
  }

  /** The entry of a record that needs no parser; undefined for others. */
  #plain(start: number, end: number): LogEntry | undefined {
    const text = this.#text
    const content = start + prefix.length
    // Quotes of the content are escaped: the first plain one ends it, whatever a container wrote.
    const mark = text.indexOf('"', content)
    if (mark === -1 || !text.startsWith(prefix, start)) return undefined
    if (this.#nextEscape !== -1 && this.#nextEscape < content) this.#nextEscape = text.indexOf('\\', content)
    const isWhole = this.#nextEscape === mark - 2 && text.charCodeAt(mark - 1) === 0x6e
    if (!isWhole && this.#nextEscape !== -1 && this.#nextEscape < mark) return undefined
    const stream = text.startsWith(afterContent.stdout, mark) ? 'stdout' : 'stderr'
    if (!text.startsWith(afterContent[stream], mark) || !text.endsWith(suffix, end)) return undefined
    let next = mark + afterContent.stdout.length
    let attributes: Attributes | undefined
    if (text.startsWith(attributesKey, next)) {
      const last = text.lastIndexOf(`,${timeKey}`, end)
      if (last < next) return undefined
      attributes = this.#attributesFrom(next + attributesKey.length, last)
      if (!attributes) return undefined
      next = last + 1
    }
    if (!text.startsWith(timeKey, next)) return undefined
    const time = this.#timeFrom(next + timeKey.length, end - suffix.length)
    if (time === undefined) return undefined
    if (isWhole) this.#block[mark - 2] = newline
    return entryOf(stream, time, this.#block.subarray(content, isWhole ? mark - 1 : mark), attributes)
  }

  #timeFrom(start: number, end: number): bigint | undefined {
    const last = this.#time
    if (end - start === last.text.length && this.#text.startsWith(last.text, start)) return last.value
    const text = this.#text.slice(start, end)
    const value = parseTime(text)
    if (value !== undefined) Object.assign(last, { text, value })
    return value
  }

  #attributesFrom(start: number, end: number): Attributes | undefined {
    const last = this.#attributes
    if (last && end - start === last.text.length && this.#text.startsWith(last.text, start)) return last.values
    const values = parseAttributes(this.#block.toString('utf8', start, end))
    if (values) this.#attributes = { text: this.#text.slice(start, end), values }
    return values
  }
}

function entryOf(stream: LogStream, time: bigint, line: Buffer, attributes: Attributes | undefined): LogEntry {
  return attributes ? { stream, time, line, attributes } : { stream, time, line }
}

function parseRecord(record: string): LogEntry | undefined {
  try {
    const { log, stream, time, attrs } = JSON.parse(record) as Record<'log' | 'stream' | 'time' | 'attrs', unknown>
    if (typeof log !== 'string' || typeof time !== 'string' || (stream !== 'stdout' && stream !== 'stderr')) return undefined
    const value = parseTime(time)
    return value === undefined ? undefined : entryOf(stream, value, Buffer.from(log), attributesIn(attrs))
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
