import { closeSync, constants, ftruncateSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { BerthError, type EngineEvent, isErrno, type Logger, messageOf } from '@berth/core'

export interface JournaledEvent {
  /** Counts all events since the journal was begun, without gaps. */
  number: number
  event: EngineEvent
}

export interface EventJournalOptions {
  /** A directory of its own, which it makes. */
  directory: string
  logger: Logger
  /** Bytes at which another file is begun. */
  fileSize?: number
  /** Files that are kept for who asks for what was. */
  filesKept?: number
  /** Files that are kept at most, for who is still reading. */
  filesKeptForReaders?: number
}

/** A place in the journal. Its files are kept until it has been read. */
export interface Reader {
  number: number
  /** Where `number` is on disk, if that is known. */
  at?: { file: number; offset: number } | undefined
}

interface JournalFile {
  /** The number of its first event. */
  first: number
  path: string
}

const inMemory = 1024
const [flushBytes, blockSize] = [64 * 1024, 64 * 1024]
const { O_APPEND, O_CREAT, O_WRONLY } = constants

/**
 * Events in the order of their happening: the last ones in memory, all on disk, in files that are deleted when they are old and read by all. So who
 * reads slowly costs no memory and loses nothing, and what was can be told after a restart.
 */
export class EventJournal implements Disposable {
  readonly #options: Required<EventJournalOptions>
  readonly #files: JournalFile[]
  readonly #recent: JournaledEvent[] = []
  readonly #readers = new Set<Reader>()
  #fd: number
  #size: number
  #next = 1
  #pending: string[] = []
  #pendingBytes = 0
  #isFlushPlanned = false
  #hasFailed = false

  constructor(options: EventJournalOptions) {
    this.#options = { fileSize: 4 << 20, filesKept: 2, filesKeptForReaders: 64, ...options }
    const { directory } = options
    mkdirSync(directory, { recursive: true, mode: 0o710 })
    const numbers = readdirSync(directory).flatMap((name) => /^(\d+)\.events$/.exec(name)?.[1] ?? []).map(Number)
    this.#files = numbers.toSorted((a, b) => a - b).map((first) => ({ first, path: join(directory, `${first}.events`) }))
    if (this.#files.length === 0) this.#files.push(this.#newFile())
    for (const file of this.#files.slice(-2)) this.#load(file)
    const last = this.#files.at(-1)!
    this.#fd = openSync(last.path, O_WRONLY | O_CREAT | O_APPEND, 0o640)
    this.#size = sizeOfWhole(last.path)
    ftruncateSync(this.#fd, this.#size)
  }

  /** The number that the next event gets. */
  get next(): number {
    return this.#next
  }

  /** Never throws: what cannot be written is only told to who reads in time. */
  append(event: EngineEvent): void {
    const number = this.#next++
    this.#recent.push({ number, event })
    if (this.#recent.length > 2 * inMemory) this.#recent.splice(0, inMemory)
    const line = encode({ number, event })
    this.#pending.push(line)
    this.#pendingBytes += line.length
    if (this.#pendingBytes >= flushBytes || this.#pending.length >= inMemory) this.#flush()
    else if (!this.#isFlushPlanned) {
      this.#isFlushPlanned = true
      setImmediate(() => this.#flush())
    }
  }

  /** The number of the first event that can be of that time or later. */
  firstSince(time: bigint): number {
    const [oldest] = this.#recent
    if (oldest && oldest.event.timeNano < time) return this.#recent.find(({ event }) => event.timeNano >= time)?.number ?? this.#next
    return Math.min(this.#files[0]?.first ?? this.#next, oldest?.number ?? this.#next)
  }

  /** Keeps what `reader` has not read. */
  hold(reader: Reader): void {
    this.#readers.add(reader)
  }

  release(reader: Reader): void {
    this.#readers.delete(reader)
    this.#prune()
  }

  /** Some events from the reader's place on; none when there are no more. Throws `resource-exhausted` when they were deleted, which only happens to who is very far behind. */
  async read(reader: Reader): Promise<JournaledEvent[]> {
    const [oldest] = this.#recent
    if (oldest && reader.number >= oldest.number) {
      reader.at = undefined
      return this.#recent.slice(reader.number - oldest.number, reader.number - oldest.number + inMemory)
    }
    if (reader.number >= this.#next) return []
    const events = await this.#readFromDisk(reader)
    if (events[0]?.number !== reader.number) throw new BerthError('resource-exhausted', 'EVENTS_TOO_SLOW', 'events come faster than they are read')
    // A full disk may have left some out.
    const gap = events.findIndex(({ number }, index) => number !== reader.number + index)
    return gap < 0 ? events : events.slice(0, gap)
  }

  [Symbol.dispose](): void {
    this.#flush()
    closeSync(this.#fd)
    this.#fd = -1
  }

  async #readFromDisk(reader: Reader): Promise<JournaledEvent[]> {
    for (;;) {
      const file = this.#files.find(({ first }) => first === reader.at?.file) ?? this.#files.findLast(({ first }) => first <= reader.number)
      if (!file) return []
      const following = this.#files[this.#files.indexOf(file) + 1]
      const { lines, end } = await readLines(file.path, reader.at?.file === file.first ? reader.at.offset : 0)
      reader.at = { file: file.first, offset: end }
      const events = lines.flatMap((line) => decode(line) ?? []).filter(({ number }) => number >= reader.number)
      if (events.length > 0) return events
      if (lines.length > 0) continue
      if (!following) return []
      reader.at = { file: following.first, offset: 0 }
    }
  }

  #flush(): void {
    this.#isFlushPlanned = false
    if (this.#pending.length === 0 || this.#fd < 0) return
    const bytes = Buffer.from(this.#pending.join(''))
    this.#pending = []
    this.#pendingBytes = 0
    try {
      for (let written = 0; written < bytes.length; ) written += writeSync(this.#fd, bytes, written)
      this.#size += bytes.length
      this.#hasFailed = false
      if (this.#size >= this.#options.fileSize) this.#rotate()
    } catch (error) {
      if (!this.#hasFailed) this.#options.logger.error('events could not be written down', { error: messageOf(error) })
      this.#hasFailed = true
      ftruncateSync(this.#fd, this.#size)
    }
  }

  #rotate(): void {
    const file = this.#newFile()
    const fd = openSync(file.path, O_WRONLY | O_CREAT | O_APPEND, 0o640)
    closeSync(this.#fd)
    this.#fd = fd
    this.#size = 0
    this.#files.push(file)
    this.#prune()
  }

  #prune(): void {
    const { filesKept, filesKeptForReaders } = this.#options
    const needed = Math.min(...[...this.#readers].map(({ number }) => number))
    while (this.#files.length > filesKept && (this.#files[1]!.first <= needed || this.#files.length > filesKeptForReaders)) rmSync(this.#files.shift()!.path, { force: true })
  }

  #newFile(): JournalFile {
    return { first: this.#next, path: join(this.#options.directory, `${this.#next}.events`) }
  }

  /** What was last, and what number comes next. */
  #load({ first, path }: JournalFile): void {
    const lines = wholeLines(path)
    const events = lines.slice(-inMemory).flatMap((line) => decode(line) ?? [])
    this.#recent.push(...events)
    this.#recent.splice(0, Math.max(0, this.#recent.length - inMemory))
    // Only events that follow on one another can be found by their number.
    for (let index = this.#recent.length - 1; index > 0; index--) {
      if (this.#recent[index]!.number !== this.#recent[index - 1]!.number + 1) {
        this.#recent.splice(0, index)
        break
      }
    }
    this.#next = Math.max(first, (this.#recent.at(-1)?.number ?? 0) + 1)
  }
}

function encode({ number, event: { type, action, id, attributes, timeNano } }: JournaledEvent): string {
  return `${JSON.stringify([number, type, action, id, attributes, String(timeNano)])}\n`
}

/** Undefined for what is no event: a line that was torn by a crash. */
function decode(line: string): JournaledEvent | undefined {
  try {
    const [number, type, action, id, attributes, timeNano] = JSON.parse(line) as [number, EngineEvent['type'], string, string, Record<string, string>, string]
    return { number, event: { type, action, id, attributes, timeNano: BigInt(timeNano) } }
  } catch {
    return undefined
  }
}

function readWhole(path: string): Buffer {
  try {
    const bytes = readFileSync(path)
    return bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return Buffer.alloc(0)
    throw error
  }
}

const sizeOfWhole = (path: string): number => readWhole(path).length
const wholeLines = (path: string): string[] => readWhole(path).toString().split('\n').slice(0, -1)

/** Some whole lines from an offset on, and where they end; none at the end of the file or when it was deleted. */
async function readLines(path: string, offset: number): Promise<{ lines: string[]; end: number }> {
  try {
    await using file = await open(path)
    for (let size = blockSize; ; size *= 2) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(size), 0, size, offset)
      const length = buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1
      if (length > 0) return { lines: buffer.toString('utf8', 0, length - 1).split('\n'), end: offset + length }
      if (bytesRead < size) return { lines: [], end: offset }
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return { lines: [], end: offset }
    throw error
  }
}
