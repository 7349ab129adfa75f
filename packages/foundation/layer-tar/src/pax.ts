import { corrupt } from './tar-header.ts'

/** GNU tar's first form of a sparse file repeated these two for each piece. */
const sparsePieces = new Set(['GNU.sparse.offset', 'GNU.sparse.numbytes'])

/**
 * Reads PAX records: `LENGTH KEY=VALUE\n`, of which LENGTH counts all. Keys are UTF-8; values bytes, because extended attributes are. The last record of
 * a key counts, save for the pieces of sparse files in GNU's form 0.0, which become `GNU.sparse.map`, as in its form 0.1.
 * @throws `data-loss`
 * @see POSIX.1-2017, pax, "pax Extended Header"; the manual of GNU tar, "Storing Sparse Files"
 */
export function decodePax(body: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>()
  const pieces: string[] = []
  for (let offset = 0; offset < body.length; ) {
    let length = 0
    let space = offset
    for (; body[space] !== 0x20; space++) {
      const digit = (body[space] ?? 0) - 0x30
      if (digit < 0 || digit > 9 || (digit === 0 && space === offset) || space - offset > 9) throw corrupt('a PAX record has a wrong length')
      length = length * 10 + digit
    }
    const end = offset + length
    if (length === 0 || end > body.length || end <= space + 1 || body[end - 1] !== 0x0a) throw corrupt('a PAX record has a wrong length')
    const equals = body.indexOf(0x3d, space)
    if (equals < 0 || equals >= end) throw corrupt('a PAX record has no value')
    const key = body.toString('utf8', space + 1, equals)
    if (sparsePieces.has(key)) pieces.push(body.toString('latin1', equals + 1, end - 1))
    else records.set(key, body.subarray(equals + 1, end - 1))
    offset = end
  }
  if (pieces.length > 0) records.set('GNU.sparse.map', Buffer.from(pieces.join(',')))
  return records
}

/**
 * The extended attributes among PAX records, as GNU tar and Go write them (`SCHILY.xattr.NAME`, of which `=` and `%` are escaped) and as libarchive does
 * (`LIBARCHIVE.xattr.NAME`, escaped like a URL, of a value in base64). @throws `data-loss`
 */
export function xattrsOf(records: Map<string, Buffer>): Map<string, Buffer> {
  const xattrs = new Map<string, Buffer>()
  for (const [key, value] of records) {
    if (!key.startsWith('LIBARCHIVE.xattr.')) continue
    xattrs.set(Buffer.from(unescape(key.slice(17), /%([\da-f]{2})/gi), 'latin1').toString(), Buffer.from(value.toString('latin1'), 'base64'))
  }
  for (const [key, value] of records) if (key.startsWith('SCHILY.xattr.')) xattrs.set(unescape(key.slice(13), /%(3d|25)/gi), value)
  return xattrs
}

/** The key of the PAX record for an extended attribute. */
export function xattrKey(name: string): string {
  return `SCHILY.xattr.${name.replaceAll('%', '%25').replaceAll('=', '%3D')}`
}

function unescape(text: string, escapes: RegExp): string {
  return text.includes('%') ? text.replaceAll(escapes, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))) : text
}

export function encodePax(records: Map<string, Buffer>): Buffer {
  const parts: Buffer[] = []
  for (const [key, value] of records) {
    const rest = Buffer.byteLength(key) + value.length + 3
    // The length counts its own digits.
    let length = rest + String(rest).length
    length = rest + String(length).length
    parts.push(Buffer.from(`${length} ${key}=`), value, newline)
  }
  return Buffer.concat(parts)
}

const newline = Buffer.from('\n')
