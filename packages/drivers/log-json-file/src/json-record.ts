import { isUtf8 } from 'node:buffer'
import type { LogEntry, LogStream } from '@berth/log-driver'

// What JSON writes differently in a string, but for the newline.
// oxlint-disable-next-line no-control-regex
const needsEscape = /["\\\u0000-\u0009\u000b-\u001f\u2028\u2029]/

/** Records of a run of whole lines; the common case, text without anything to escape, is two passes over the run. */
export function encodeLines(stream: LogStream, time: string, lines: Buffer): string {
  const text = decode(lines)
  const [head, tail] = [`{"log":"`, `","stream":"${stream}","time":"${time}"}\n`]
  if (needsEscape.test(text)) return text.slice(0, -1).split('\n').map((line) => `${head}${JSON.stringify(`${line}\n`).slice(1, -1)}${tail}`).join('')
  return `${head}${text.slice(0, -1).replaceAll('\n', `\\n${tail}${head}`)}\\n${tail}`
}

/** The record of one entry, which need not end in a newline. */
export function encodeEntry(stream: LogStream, time: string, entry: Buffer): string {
  return `{"log":${JSON.stringify(decode(entry))},"stream":"${stream}","time":"${time}"}\n`
}

/** An entry again; undefined for a line that is no record (a torn one, another program's). */
export function decodeRecord(record: string): LogEntry | undefined {
  try {
    const { log, stream, time } = JSON.parse(record) as { log?: unknown; stream?: unknown; time?: unknown }
    if (typeof log !== 'string' || typeof time !== 'string' || (stream !== 'stdout' && stream !== 'stderr')) return undefined
    return { stream, time: parseTime(time), line: Buffer.from(log) }
  } catch {
    return undefined
  }
}

/** RFC 3339 in UTC with up to nine decimals, to nanoseconds since the epoch. */
function parseTime(time: string): bigint {
  const [, seconds = '', fraction = ''] = /^([\d-]+T[\d:]+)(?:\.(\d+))?Z$/.exec(time) ?? []
  return BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'))
}

/** Text with each byte that is not UTF-8 as one U+FFFD, as Go's encoder writes it. */
function decode(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString()
  const valid = Buffer.allocUnsafe(bytes.length * 3)
  let size = 0
  for (let offset = 0; offset < bytes.length; ) {
    const length = characterLength(bytes, offset)
    for (let index = 0; index < length; index++) valid[size++] = bytes[offset + index]!
    if (length === 0) {
      valid[size++] = 0xef
      valid[size++] = 0xbf
      valid[size++] = 0xbd
    }
    offset += length || 1
  }
  return valid.toString('utf8', 0, size)
}

/** Bytes of the character that starts here; 0 when none does. @see The Unicode Standard, table 3-7 */
function characterLength(bytes: Buffer, offset: number): number {
  const lead = bytes[offset]!
  if (lead < 0x80) return 1
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2
  if (lead < 0xc2 || lead > 0xf4 || offset + length > bytes.length) return 0
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
  const second = bytes[offset + 1]!
  if (second < lowest || second > highest) return 0
  for (let index = 2; index < length; index++) if ((bytes[offset + index]! & 0xc0) !== 0x80) return 0
  return length
}
