import { fstatSync, readSync } from 'node:fs'
import type { LogStream } from '@berth/log-driver'
import type { RecordFormat } from '@berth/log-driver/files'
import { field, lengthBytes, maxMessageBytes } from './entry-message.ts'
import { EntryDecoder } from './entry-decoder.ts'

const newline = 0x0a

/**
 * Docker's local format: `LogEntry` messages of protobuf, each between two big-endian lengths, so that a file can be read in both directions. A line without its
 * newline is a partial message. Attributes are the same for all entries of a container: they are not in the file, and are added when entries are read.
 *
 * @see moby, daemon/logger/local, and api/types/plugins/logdriver/entry.proto
 */
export function localFormat(attributes: Readonly<Record<string, string>>): RecordFormat {
  const added = Object.keys(attributes).length > 0 ? attributes : undefined
  return {
    encodeLines(stream, time, lines) {
      const head = headOf(stream, time)
      const target = Buffer.allocUnsafe(lines.length + countLines(lines) * (head.length + overhead))
      let size = 0
      for (let start = 0; start < lines.length; ) {
        const end = lines.indexOf(newline, start)
        size = putMessage(target, size, head, lines.subarray(start, end), false)
        start = end + 1
      }
      return target.subarray(0, size)
    },
    encodeEntry(stream, time, entry) {
      const head = headOf(stream, time)
      const isPartial = entry.at(-1) !== newline
      const target = Buffer.allocUnsafe(entry.length + head.length + overhead)
      return target.subarray(0, putMessage(target, 0, head, isPartial ? entry : entry.subarray(0, -1), isPartial))
    },
    decode: (block, entries) => new EntryDecoder(block, added).decode(entries),
    startOfRecord(block, end) {
      if (end < lengthBytes) return undefined
      const start = end - block.readUInt32BE(end - lengthBytes) - 2 * lengthBytes
      return start < 0 ? undefined : start
    },
    wholeSize,
  }
}

/** Most bytes of a message beside its head and its line: two lengths, the line's length, what says that it is partial. */
const overhead = 2 * lengthBytes + 3 + 4

/** All before the length of a message's line. */
function headOf(stream: LogStream, time: bigint): Buffer {
  const bytes = [field.source, stream.length, ...Buffer.from(stream), field.time]
  let rest = time
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  bytes.push(Number(rest), field.line)
  return Buffer.from(bytes)
}

function putMessage(target: Buffer, start: number, head: Buffer, line: Buffer, isPartial: boolean): number {
  let at = start + lengthBytes
  at += head.copy(target, at)
  let length = line.length
  for (; length > 0x7f; length >>>= 7) target[at++] = (length & 0x7f) | 0x80
  target[at++] = length
  at += line.copy(target, at)
  if (isPartial) {
    target[at++] = field.partial
    target[at++] = 1
    target[at++] = field.metadata
    target[at++] = 0
  }
  const size = at - start - lengthBytes
  target.writeUInt32BE(size, start)
  return target.writeUInt32BE(size, at)
}

function countLines(lines: Buffer): number {
  let count = 0
  for (let at = lines.indexOf(newline); at !== -1; at = lines.indexOf(newline, at + 1)) count++
  return count
}

/** The last message says its own length; where that does not fit, all of them are gone through from the beginning. */
function wholeSize(fd: number): number {
  const { size } = fstatSync(fd)
  const lengthAt = (offset: number): number => {
    const bytes = Buffer.alloc(lengthBytes)
    return offset >= 0 && readSync(fd, bytes, 0, lengthBytes, offset) === lengthBytes ? bytes.readUInt32BE() : -1
  }
  const last = lengthAt(size - lengthBytes)
  if (last > 0 && last <= maxMessageBytes && lengthAt(size - last - 2 * lengthBytes) === last) return size
  let whole = 0
  for (;;) {
    const length = lengthAt(whole)
    const end = whole + length + 2 * lengthBytes
    if (length < 0 || length > maxMessageBytes || end > size || lengthAt(end - lengthBytes) !== length) return whole
    whole = end
  }
}
