import { hostname } from 'node:os'
import { formatNano } from '@berth/core'
import type { ShippedEntry } from '@berth/log-driver/shipping'
import type { SyslogOptions } from './options.ts'

const [informational, errorSeverity] = [6, 3]
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const two = (number: number): string => String(number).padStart(2, '0')

/** `Nov  4 15:04:05`, in the machine's time zone. @see RFC 3164, section 4.1.2 */
function stamp(date: Date): string {
  return `${months[date.getMonth()]} ${String(date.getDate()).padStart(2)} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

/** RFC 3339 in UTC, with or without microseconds. @see RFC 5424, section 6.2.3 */
function timestamp(time: bigint, digits: 0 | 6): string {
  const text = formatNano(time)
  return digits === 0 ? `${text.slice(0, 19)}Z` : `${text.slice(0, 20 + digits)}Z`
}

/** For a field of a header, which ends at a space. */
const asField = (text: string): string => text.replace(/[^\x21-\x7e]/g, '_') || '-'
// oxlint-disable-next-line no-control-regex
const asTag = (text: string): string => text.replace(/[\u0000-\u001f\u007f]/g, '_')

/**
 * Makes messages of entries, ended by a newline. They come from process `pid` here, as Docker's do.
 *
 * A container cannot forge a message: what ends one for some receivers (a newline, NUL) or would do to terminals is written as rsyslog writes it, `#012`.
 */
export function messageOf(entry: ShippedEntry, tag: string, { facility, format }: SyslogOptions): Buffer {
  const priority = facility + (entry.stream === 'stderr' ? errorSeverity : informational)
  return Buffer.concat([Buffer.from(header(priority, entry.time, tag, format)), withoutControls(entry.text), Buffer.from('\n')])
}

function header(priority: number, time: bigint, tag: string, format: SyslogOptions['format']): string {
  if (format === 'rfc5424' || format === 'rfc5424micro') {
    const field = asField(tag)
    return `<${priority}>1 ${timestamp(time, format === 'rfc5424' ? 0 : 6)} ${asField(hostname())} ${field} ${process.pid} ${field} - `
  }
  const date = stamp(new Date(Number(time / 1_000_000n)))
  return `<${priority}>${date} ${format === 'rfc3164' ? `${asField(hostname())} ` : ''}${asTag(tag)}[${process.pid}]: `
}

const tab = 0x09
const isControl = (byte: number): boolean => (byte < 0x20 && byte !== tab) || byte === 0x7f

function withoutControls(text: Uint8Array): Uint8Array {
  let found = 0
  for (const byte of text) if (isControl(byte)) found++
  if (found === 0) return text
  const shown = Buffer.allocUnsafe(text.length + 3 * found)
  let size = 0
  for (const byte of text) {
    if (isControl(byte)) size += shown.write(`#${byte.toString(8).padStart(3, '0')}`, size, 'latin1')
    else shown[size++] = byte
  }
  return shown
}
