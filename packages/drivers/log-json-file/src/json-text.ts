import { isUtf8 } from 'node:buffer'

// What Go's encoder writes differently in a string, but for the newline.
// oxlint-disable-next-line no-control-regex
const escaped = /["\\<>&\u0000-\u0009\u000b-\u001f\u2028\u2029]/
// oxlint-disable-next-line no-control-regex
const everyEscaped = /["\\<>&\u0000-\u0009\u000b-\u001f\u2028\u2029]/g

/** Text as it stands in a JSON string, but for newlines, with the escapes of Docker's encoder: files are the same to the byte. */
function escapeText(text: string): string {
  return escaped.test(text) ? text.replace(everyEscaped, escapeCharacter) : text
}

function escapeCharacter(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`
  if (character === '\r') return '\\r'
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** An object as Go's encoder writes it: keys sorted, without what could be markup. */
export function encodeAttributes(attributes: Readonly<Record<string, string>>): string {
  const members = Object.keys(attributes).toSorted().map((name) => `${quote(name)}:${quote(attributes[name] ?? '')}`)
  return `{${members.join(',')}}`
}

const quote = (text: string): string => `"${escapeText(text).replaceAll('\n', '\\n').replaceAll('\\u0009', '\\t')}"`

/** What a JSON string holds of bytes: text, in which each byte that is not UTF-8 is one `\ufffd`, as Docker's encoder writes it. */
export function escapeBytes(bytes: Buffer): string {
  if (isUtf8(bytes)) return escapeText(bytes.toString())
  let text = ''
  let start = 0
  for (let offset = 0; offset < bytes.length; ) {
    const length = characterLength(bytes, offset)
    if (length === 0) {
      text += `${escapeText(bytes.toString('utf8', start, offset))}\\ufffd`
      start = offset + 1
    }
    offset += length || 1
  }
  return text + escapeText(bytes.toString('utf8', start))
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
