import { limits } from './limits.ts'
import { corrupt, decodeNumber } from './tar-header.ts'

/** Where a sparse file has data: offset, length, offset, length, …, ascending. Between them are holes. */
export type SparseMap = number[]

/**
 * Checks a map from an archive and drops its empty pieces.
 * @param stored how many bytes of data the archive holds
 * @throws `data-loss`
 */
export function checkSparseMap(map: SparseMap, size: number, stored: number): SparseMap {
  if (map.length % 2 !== 0) throw corrupt('a map of a sparse file has an odd length')
  if (size > limits.sparseSize) throw corrupt(`a sparse file is larger than ${limits.sparseSize} bytes`)
  const kept: SparseMap = []
  let end = 0
  let sum = 0
  for (let index = 0; index < map.length; index += 2) {
    const [offset, length] = [map[index]!, map[index + 1]!]
    if (offset < end || length < 0 || offset + length > size) throw corrupt('a map of a sparse file is out of order')
    end = offset + length
    sum += length
    if (length > 0) kept.push(offset, length)
  }
  if (sum !== stored) throw corrupt('a sparse file has not the data that its map says')
  return kept
}

/** Reads the map in the PAX headers of the formats 0.0 and 0.1: numbers between commas. @throws `data-loss` */
export function parseSparseMap(text: string): SparseMap {
  return text === '' ? [] : text.split(',').map(parseDecimal)
}

/** Reads the map that goes before the data in the format 1.0: how many pieces, then offset and length of each, a line each, filled up to a block. */
export class SparseMapReader {
  #count: number | undefined
  #digits = ''
  readonly map: SparseMap = []

  /** Takes the next block; true when the map is whole. @throws `data-loss` */
  push(block: Buffer): boolean {
    for (const byte of block) {
      if (byte !== 0x0a) {
        this.#digits += String.fromCharCode(byte)
        if (this.#digits.length > 16) throw corrupt('a map of a sparse file holds what is no number')
        continue
      }
      const value = parseDecimal(this.#digits)
      this.#digits = ''
      if (this.#count === undefined) this.#count = checkCount(value)
      else this.map.push(value)
      if (this.map.length === this.#count * 2) return true
    }
    return false
  }
}

/**
 * Adds the pieces that a block of GNU's old format holds: 4 in the header, from offset 386 on, and 21 in each block after it.
 * @returns whether another such block follows
 */
export function readOldSparseBlock(block: Buffer, map: SparseMap, isHeader: boolean): boolean {
  const [start, count] = isHeader ? [386, 4] : [0, 21]
  for (let offset = start; offset < start + count * 24 && block[offset] !== 0; offset += 24) {
    map.push(decodeNumber(block, offset, 12), decodeNumber(block, offset + 12, 12))
  }
  checkCount(map.length / 2)
  return block[isHeader ? 482 : 504] !== 0
}

/** The size, with holes, in a header of GNU's old format. */
export function oldSparseSize(header: Buffer): number {
  return decodeNumber(header, 483, 12)
}

function checkCount(count: number): number {
  if (count > limits.sparseSegments) throw corrupt(`a sparse file has more than ${limits.sparseSegments} pieces`)
  return count
}

function parseDecimal(text: string): number {
  const value = Number(text)
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value)) throw corrupt('a map of a sparse file holds what is no number')
  return value
}
