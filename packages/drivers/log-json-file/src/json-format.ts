import { fstatSync, readSync } from 'node:fs'
import type { LogStream } from '@berth/log-driver'
import type { RecordFormat } from '@berth/log-driver/files'
import { encodeAttributes, escapeBytes } from './json-text.ts'
import { RecordDecoder } from './record-decoder.ts'
import { recordTime } from './record-time.ts'

const newline = 0x0a
const head = '{"log":"'

/** Docker's json-file format: a JSON object a line. @see moby, daemon/logger/jsonfilelog/jsonlog */
export function jsonFormat(attributes: Readonly<Record<string, string>>): RecordFormat {
  const attrs = Object.keys(attributes).length > 0 ? `,"attrs":${encodeAttributes(attributes)}` : ''
  const tailOf = (stream: LogStream, time: bigint): string => `","stream":"${stream}"${attrs},"time":"${recordTime(time)}"}\n`
  return {
    // Text without anything to escape, the common case, is two passes over the run.
    encodeLines(stream, time, lines) {
      const tail = tailOf(stream, time)
      return Buffer.from(`${head}${escapeBytes(lines).slice(0, -1).replaceAll('\n', () => `\\n${tail}${head}`)}\\n${tail}`, 'latin1')
    },
    encodeEntry: (stream, time, entry) => Buffer.from(`${head}${escapeBytes(entry).replace('\n', '\\n')}${tailOf(stream, time)}`, 'latin1'),
    decode: (block, entries) => new RecordDecoder(block).decode(entries),
    startOfRecord(block, end) {
      // The newline that ends the record does not begin it.
      const before = end < 2 ? -1 : block.lastIndexOf(newline, end - 2)
      return before === -1 ? undefined : before + 1
    },
    wholeSize,
  }
}

function wholeSize(fd: number): number {
  const block = Buffer.alloc(64 * 1024)
  for (let end = fstatSync(fd).size; end > 0; ) {
    const start = Math.max(0, end - block.length)
    const whole = block.subarray(0, readSync(fd, block, 0, end - start, start)).lastIndexOf(newline) + 1
    if (whole > 0) return start + whole
    end = start
  }
  return 0
}
