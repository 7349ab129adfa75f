import { corrupt } from './tar-header.ts'

/**
 * Reads PAX records: `LENGTH KEY=VALUE\n`, of which LENGTH counts all. Keys are UTF-8; values bytes, because extended attributes are.
 * @throws `data-loss`
 * @see POSIX.1-2017, pax, "pax Extended Header"
 */
export function decodePax(body: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>()
  let offset = 0
  while (offset < body.length) {
    const space = body.indexOf(0x20, offset)
    const digits = space < 0 ? '' : body.toString('latin1', offset, space)
    const end = offset + Number(digits)
    if (!/^[1-9]\d{0,9}$/.test(digits) || end > body.length || end <= space + 1 || body[end - 1] !== 0x0a) throw corrupt('a PAX record has a wrong length')
    const equals = body.indexOf(0x3d, space)
    if (equals < 0 || equals >= end) throw corrupt('a PAX record has no value')
    records.set(body.toString('utf8', space + 1, equals), body.subarray(equals + 1, end - 1))
    offset = end
  }
  return records
}

export function encodePax(records: Map<string, Buffer>): Buffer {
  const parts: Buffer[] = []
  for (const [key, value] of records) {
    const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')])
    // The length counts its own digits.
    let length = rest.length + String(rest.length).length
    length = rest.length + String(length).length
    parts.push(Buffer.from(String(length)), rest)
  }
  return Buffer.concat(parts)
}
