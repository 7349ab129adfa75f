import { isUtf8 } from 'node:buffer'

// Text is in Latin 1 here, a character a byte: of what stands for UTF-8 and of what does not, that is the fastest to go through.

// What Go's encoder writes differently in a string, but for the newline; U+2028 and U+2029 are three bytes.
// oxlint-disable-next-line no-control-regex
const escaped = /["\\<>&\u0000-\u0009\u000b-\u001f]|\u00e2\u0080[\u00a8\u00a9]/

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const unicode = (code: number): Uint8Array => ascii(`\\u${code.toString(16).padStart(4, '0')}`)

/** How each byte of ASCII is written that does not stand for itself. */
const escapes = Array.from({ length: 0x80 }, (_, code) => {
  const character = String.fromCharCode(code)
  if (!escaped.test(character)) return undefined
  if (character === '"' || character === '\\') return ascii(`\\${character}`)
  return character === '\r' ? ascii('\\r') : unicode(code)
})
const [notUtf8, lineSeparator, paragraphSeparator] = [unicode(0xfffd), unicode(0x2028), unicode(0x2029)]
/** What a byte takes at most. */
const longestEscape = notUtf8.length

/** An object as Go's encoder writes it, in Latin 1, a character a byte: keys sorted, without what could be markup. */
export function encodeAttributes(attributes: Readonly<Record<string, string>>): string {
  const members = Object.keys(attributes).toSorted().map((name) => `${quote(name)}:${quote(attributes[name] ?? '')}`)
  return `{${members.join(',')}}`
}

const quote = (text: string): string => `"${escapeBytes(Buffer.from(text)).replaceAll('\n', '\\n').replaceAll('\\u0009', '\\t')}"`

/**
 * What a JSON string holds of bytes, but for newlines, with the escapes of Docker's encoder, so that files are the same to the byte: in Latin 1, a character
 * a byte. Each byte that is not UTF-8 is one `\ufffd`.
 */
export function escapeBytes(bytes: Buffer): string {
  if (!isUtf8(bytes)) return escapeEach(bytes)
  const text = bytes.toString('latin1')
  return escaped.test(text) ? escapeEach(bytes) : text
}

/** In one pass that makes no string of a part: what is no text has something to escape at every other byte. */
function escapeEach(bytes: Buffer): string {
  const target = Buffer.allocUnsafe(bytes.length * longestEscape)
  let size = 0
  for (let offset = 0; offset < bytes.length; ) {
    const byte = bytes[offset]!
    const length = byte < 0x80 ? 1 : characterLength(bytes, offset)
    const escape = byte < 0x80 ? escapes[byte] : length === 0 ? notUtf8 : separatorAt(bytes, offset)
    if (escape) for (let index = 0; index < escape.length; index++) target[size++] = escape[index]!
    else for (let index = 0; index < length; index++) target[size++] = bytes[offset + index]!
    offset += length || 1
  }
  return target.toString('latin1', 0, size)
}

/** The escape of the only characters of several bytes that have one: E2 80 A8 and E2 80 A9. */
function separatorAt(bytes: Buffer, offset: number): Uint8Array | undefined {
  if (bytes[offset] !== 0xe2 || bytes[offset + 1] !== 0x80) return undefined
  const last = bytes[offset + 2]
  return last === 0xa8 ? lineSeparator : last === 0xa9 ? paragraphSeparator : undefined
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
