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

const ustarMagic = Buffer.from('ustar\0')

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
  let sum = 0
  for (let index = 0; index < blockSize; index++) sum += block[index]!
  if (sum === 0) return undefined
  // The checksum counts its own field as blanks.
  for (let index = 148; index < 156; index++) sum += 0x20 - block[index]!
  if (sum !== decodeNumber(block, 148, 8)) throw corrupt('a header has a wrong checksum')
  const isUstar = ustarMagic.equals(block.subarray(257, 263))
  const prefix = isUstar && block[345] !== 0 ? text(block, 345, 155) : ''
  const name = text(block, 0, 100)
  const flag = block[156]!
  const isDevice = flag === 0x33 || flag === 0x34
  const size = decodeNumber(block, 124, 12)
  if (size < 0) throw corrupt('a size is negative')
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    flag: String.fromCharCode(flag),
    mode: decodeNumber(block, 100, 8) & 0o7777,
    uid: decodeNumber(block, 108, 8),
    gid: decodeNumber(block, 116, 8),
    size,
    mtime: BigInt(decodeNumber(block, 136, 12)) * 1_000_000_000n,
    linkname: block[157] === 0 ? '' : text(block, 157, 100),
    // What others have there before POSIX, and what archivers leave there for other kinds, need not be a number.
    devmajor: isDevice ? decodeNumber(block, 329, 8) : 0,
    devminor: isDevice ? decodeNumber(block, 337, 8) : 0,
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

/** Octal digits between blanks, or GNU's big-endian two's complement, marked by the first bit. @throws `data-loss` */
export function decodeNumber(block: Buffer, offset: number, length: number): number {
  const first = block[offset]!
  if (first & 0x80) {
    let value = BigInt(first & 0x40 ? first | ~0xff : first & 0x7f)
    for (let index = 1; index < length; index++) value = (value << 8n) | BigInt(block[offset + index]!)
    if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER)) throw corrupt('a number is out of range')
    return Number(value)
  }
  let index = offset
  const end = offset + length
  while (index < end && isBlank(block[index]!)) index++
  let value = 0
  for (; index < end && !isBlank(block[index]!); index++) {
    const digit = block[index]! - 0x30
    if (digit < 0 || digit > 7) throw corrupt('a number is not octal')
    value = value * 8 + digit
  }
  return value
}

function isBlank(byte: number): boolean {
  return byte === 0 || byte === 0x20
}
