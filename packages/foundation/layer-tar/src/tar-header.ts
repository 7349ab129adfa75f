import { BerthError } from '@berth/core'

/** A tar is made of blocks of this many bytes. */
export const blockSize = 512

export type TarEntryType = 'file' | 'hardlink' | 'symlink' | 'character-device' | 'block-device' | 'directory' | 'fifo'

/**
 * One member of a tar. Names are *byte strings*: each character is one byte (latin1), because file names on Linux are bytes and need not be UTF-8.
 */
export interface TarEntry {
  name: string
  type: TarEntryType
  /** Permissions with setuid, setgid and sticky bits. */
  mode: number
  uid: number
  gid: number
  /** Bytes of content; 0 for all but files. */
  size: number
  /** Nanoseconds since the epoch. */
  mtime: bigint
  /** Byte string; only of links. */
  linkname: string
  devmajor: number
  devminor: number
  /** When it was last read, in nanoseconds since the epoch; `mtime` where the archive does not say. */
  atime?: bigint | undefined
  /** Extended attributes, by name. */
  xattrs: Map<string, Buffer>
}

/** What a header block says by itself. `flag` is its type flag as a character. */
export interface TarHeader extends Omit<TarEntry, 'type' | 'xattrs'> {
  flag: string
}

export function corrupt(what: string): BerthError {
  return new BerthError('data-loss', 'LAYER_CORRUPT', `the layer is not a valid tar: ${what}`)
}

/**
 * Reads a header block; undefined for a block of zeros, which ends the archive.
 * @throws `data-loss`
 * @see POSIX.1-2017, pax, "ustar Interchange Format"
 */
export function decodeHeader(block: Buffer): TarHeader | undefined {
  let sum = 8 * 0x20
  for (let index = 0; index < blockSize; index++) if (index < 148 || index >= 156) sum += block[index]!
  if (sum === 8 * 0x20 && block.every((byte) => byte === 0)) return undefined
  if (sum !== number(block, 148, 8)) throw corrupt('a header has a wrong checksum')
  const isUstar = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isUstar ? text(block, 345, 155) : ''
  const name = text(block, 0, 100)
  const whole = prefix === '' ? name : `${prefix}/${name}`
  const flag = String.fromCharCode(block[156] || 0x30)
  const size = number(block, 124, 12)
  if (size < 0) throw corrupt('a size is negative')
  return {
    name: whole,
    // Before POSIX, directories were files whose name ended in a slash.
    flag: flag === '0' && whole.endsWith('/') ? '5' : flag,
    mode: number(block, 100, 8) & 0o7777,
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size,
    mtime: BigInt(number(block, 136, 12)) * 1_000_000_000n,
    linkname: text(block, 157, 100),
    devmajor: number(block, 329, 8),
    devminor: number(block, 337, 8),
  }
}

/** Whether {@link encodeHeader} can hold the number in a field of this many bytes. */
export function fitsOctal(value: number, length: number): boolean {
  return value >= 0 && value < 8 ** (length - 1)
}

/** Writes a ustar header block. Names are cut at 100 bytes and numbers replaced by 0 where they do not fit: a PAX record says them then. */
export function encodeHeader(header: TarHeader): Buffer {
  const block = Buffer.alloc(blockSize)
  const octal = (value: number, offset: number, length: number) =>
    block.write((fitsOctal(value, length) ? value : 0).toString(8).padStart(length - 1, '0'), offset, 'latin1')
  block.write(header.name.slice(0, 100), 0, 'latin1')
  octal(header.mode, 100, 8)
  octal(header.uid, 108, 8)
  octal(header.gid, 116, 8)
  octal(header.size, 124, 12)
  octal(Number(header.mtime / 1_000_000_000n), 136, 12)
  block.write(header.flag, 156, 'latin1')
  block.write(header.linkname.slice(0, 100), 157, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  octal(header.devmajor, 329, 8)
  octal(header.devminor, 337, 8)
  block.fill(0x20, 148, 156)
  let sum = 0
  for (const byte of block) sum += byte
  octal(sum, 148, 7)
  return block
}

function text(block: Buffer, offset: number, length: number): string {
  const end = block.indexOf(0, offset)
  return block.toString('latin1', offset, end < 0 || end > offset + length ? offset + length : end)
}

/** Octal digits between blanks, or GNU's big-endian two's complement, marked by the first bit. */
function number(block: Buffer, offset: number, length: number): number {
  if (block[offset]! & 0x80) {
    let value = BigInt(block[offset]! & 0x40 ? (block[offset]! | ~0xff) : block[offset]! & 0x7f)
    for (let index = 1; index < length; index++) value = (value << 8n) | BigInt(block[offset + index]!)
    if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER)) throw corrupt('a number is out of range')
    return Number(value)
  }
  const digits = block.toString('latin1', offset, offset + length).replace(/^[\0 ]+/, '').replace(/[\0 ][^]*$/, '')
  if (!/^[0-7]*$/.test(digits)) throw corrupt('a number is not octal')
  return digits === '' ? 0 : Number.parseInt(digits, 8)
}
