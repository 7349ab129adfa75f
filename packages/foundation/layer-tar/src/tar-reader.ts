import { BerthError } from '@berth/core'
import { limits } from './limits.ts'
import { decodePax, xattrsOf } from './pax.ts'
import { checkSparseMap, oldSparseSize, parseSparseMap, readOldSparseBlock, type SparseMap, SparseMapReader } from './sparse.ts'
import { blockSize, corrupt, decodeHeader, type TarEntry, type TarEntryType, type TarHeader } from './tar-header.ts'

/** Who receives what a {@link TarReader} finds, in the order of the archive: an entry, its content in pieces, its end. */
export interface TarHandler {
  entry(entry: TarEntry): void
  /** A piece of the content of the last entry; valid only during the call. */
  data(bytes: Buffer): void
  /** So many zeros of a sparse file, which need not be written. A handler without this gets them as data. */
  hole?(length: number): void
  end(): void
}

const types: Record<string, TarEntryType> = {
  '\0': 'file',
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
  // "Contiguous" files, and sparse ones in GNU's old format.
  '7': 'file',
  S: 'file',
}

const nothing = Buffer.alloc(0)
/** What handlers without `hole` are given for one. */
const zeros = Buffer.alloc(64 * 1024)
const maxId = 2 ** 32 - 2
/** What Linux has: 12 and 20 bits. */
const [maxMajor, maxMinor] = [0xfff, 0xfffff]

/**
 * Reads a tar that is pushed into it piece by piece, synchronously, so that its handler can work inside a root that holds for one call only.
 * Knows V7, ustar and PAX, and of GNU's the long names, the big numbers and all four forms of sparse files. Global PAX headers are read over, as Docker does.
 */
export class TarReader {
  readonly #handler: TarHandler
  /** What is to be collected whole before going on: a block, or the body of a PAX or long-name header. */
  #wanted = blockSize
  #collected: Buffer[] = []
  #missing = blockSize
  #state: 'header' | 'meta' | 'old-sparse' | 'sparse-map' | 'data' | 'padding' | 'ended' = 'header'
  #metaFlag = ''
  /** Bytes of data up to the next hole, or up to the end. */
  #left = 0
  #padding = 0
  #pax: Map<string, Buffer> | undefined
  #longName: string | undefined
  #longLink: string | undefined
  #sparse: SparseEntry | undefined

  constructor(handler: TarHandler) {
    this.#handler = handler
  }

  /** @throws `data-loss` for what is no tar; `not-implemented` for a form of sparse files that is not known; whatever the handler throws. */
  push(chunk: Buffer): void {
    let offset = 0
    while (offset < chunk.length && this.#state !== 'ended') {
      if (this.#state === 'data') {
        const piece = chunk.subarray(offset, offset + this.#left)
        offset += piece.length
        this.#left -= piece.length
        this.#handler.data(piece)
        if (this.#left === 0) this.#nextPiece()
      } else if (this.#state === 'padding') {
        const skipped = Math.min(this.#padding, chunk.length - offset)
        offset += skipped
        this.#padding -= skipped
        if (this.#padding === 0) this.#expectHeader()
      } else {
        const piece = chunk.subarray(offset, offset + this.#missing)
        offset += piece.length
        this.#missing -= piece.length
        // A whole block is used at once; a part must be copied, since its chunk may be reused.
        this.#collected.push(piece.length === this.#wanted ? piece : Buffer.from(piece))
        if (this.#missing === 0) this.#take(this.#collected.length === 1 ? this.#collected[0]! : Buffer.concat(this.#collected))
      }
    }
  }

  /** Says that there is no more. @throws `data-loss` if the archive stopped inside an entry. */
  finish(): void {
    const between = this.#state === 'header' && this.#missing === blockSize && this.#pax === undefined && this.#longName === undefined && this.#longLink === undefined
    if (this.#state !== 'ended' && !between) throw corrupt('it ends too early')
  }

  #take(block: Buffer): void {
    switch (this.#state) {
      case 'header': {
        const header = decodeHeader(block)
        if (header === undefined) this.#state = 'ended'
        else this.#takeHeader(header, block)
        break
      }
      case 'old-sparse': {
        const sparse = this.#sparse!
        if (readOldSparseBlock(block, sparse.map, false)) this.#collect('old-sparse', blockSize)
        else this.#beginSparse(sparse)
        break
      }
      case 'sparse-map':
        this.#takeMap(block)
        break
      default:
        this.#takeMeta(block)
        this.#skip(this.#wanted)
    }
  }

  #takeHeader(header: TarHeader, block: Buffer): void {
    if ('xgLK'.includes(header.flag)) {
      if (header.size > limits.headerBody) throw corrupt('an extended header is too large')
      this.#metaFlag = header.flag
      if (header.size > 0) return this.#collect('meta', header.size)
      this.#takeMeta(nothing)
      return this.#expectHeader()
    }
    const type = types[header.flag]
    if (type === undefined) throw corrupt(`an entry is of the unknown type ${JSON.stringify(header.flag)}`)
    const pax = this.#pax
    const entry = this.#complete(header, type)
    if (header.flag === 'S') return this.#beginOldSparse(entry, block)
    if (entry.type === 'file' && pax && isSparse(pax)) return this.#beginPaxSparse(entry, pax)
    this.#left = entry.size
    this.#padding = padding(entry.size)
    this.#handler.entry(entry)
    if (entry.size > 0) this.#state = 'data'
    else this.#endEntry()
  }

  #takeMeta(body: Buffer): void {
    // Copied, since the piece that it lies in may be reused before the entry comes that it is for.
    if (this.#metaFlag === 'x') this.#pax = decodePax(Buffer.from(body))
    // The body of a long name ends in a NUL.
    else if (this.#metaFlag === 'L') this.#longName = untilNul(body)
    else if (this.#metaFlag === 'K') this.#longLink = untilNul(body)
    // Only whether it is one: Docker and containerd give nothing for what global headers set.
    else decodePax(body)
  }

  #complete(header: TarHeader, type: TarEntryType): TarEntry {
    const pax = this.#pax
    const entry: TarEntry = {
      name: this.#longName ?? header.name,
      type,
      mode: header.mode,
      uid: header.uid,
      gid: header.gid,
      size: type === 'file' ? header.size : 0,
      mtime: header.mtime,
      linkname: this.#longLink ?? header.linkname,
      devmajor: header.devmajor,
      devminor: header.devminor,
      xattrs: pax ? xattrsOf(pax) : new Map(),
    }
    if (pax) {
      entry.name = this.#longName ?? bytesOf(pax.get('GNU.sparse.name')) ?? bytesOf(pax.get('path')) ?? header.name
      entry.linkname = this.#longLink ?? bytesOf(pax.get('linkpath')) ?? header.linkname
      entry.uid = integerOf(pax, 'uid') ?? header.uid
      entry.gid = integerOf(pax, 'gid') ?? header.gid
      if (type === 'file') entry.size = integerOf(pax, 'size') ?? header.size
      entry.mtime = timeOf(pax, 'mtime') ?? header.mtime
      const atime = timeOf(pax, 'atime')
      if (atime !== undefined) entry.atime = atime
    }
    // Before POSIX, directories were files whose name ended in a slash.
    if (header.flag === '\0' && entry.name.endsWith('/')) Object.assign(entry, { type: 'directory', size: 0 })
    if (entry.name.includes('\0') || entry.linkname.includes('\0')) throw corrupt('a name holds a NUL')
    if (entry.uid < 0 || entry.uid > maxId || entry.gid < 0 || entry.gid > maxId) throw corrupt('an owner is out of range')
    if (entry.devmajor < 0 || entry.devmajor > maxMajor || entry.devminor < 0 || entry.devminor > maxMinor) throw corrupt('a device number is out of range')
    this.#pax = undefined
    this.#longName = undefined
    this.#longLink = undefined
    return entry
  }

  #beginOldSparse(entry: TarEntry, header: Buffer): void {
    const stored = entry.size
    this.#sparse = { entry: { ...entry, size: oldSparseSize(header) }, stored, map: [], next: 0, position: 0 }
    this.#padding = padding(stored)
    if (readOldSparseBlock(header, this.#sparse.map, true)) this.#collect('old-sparse', blockSize)
    else this.#beginSparse(this.#sparse)
  }

  #beginPaxSparse(entry: TarEntry, pax: Map<string, Buffer>): void {
    const version = `${pax.get('GNU.sparse.major')?.toString('latin1') ?? '0'}.${pax.get('GNU.sparse.minor')?.toString('latin1') ?? '0'}`
    if (!['0.0', '0.1', '1.0'].includes(version)) {
      throw new BerthError('not-implemented', 'LAYER_SPARSE', `the layer holds a sparse file in GNU tar's form ${JSON.stringify(version)}, which is not supported`)
    }
    const size = integerOf(pax, version === '1.0' ? 'GNU.sparse.realsize' : 'GNU.sparse.size')
    if (size === undefined) throw corrupt('a sparse file has no size')
    const sparse: SparseEntry = { entry: { ...entry, size }, stored: entry.size, map: [], next: 0, position: 0 }
    this.#sparse = sparse
    this.#padding = padding(entry.size)
    if (version === '1.0') {
      sparse.reader = new SparseMapReader()
      return this.#collectMap(sparse)
    }
    sparse.map = parseSparseMap(pax.get('GNU.sparse.map')?.toString('latin1') ?? '')
    this.#beginSparse(sparse)
  }

  #collectMap(sparse: SparseEntry): void {
    if (sparse.stored < blockSize) throw corrupt('a map of a sparse file ends too early')
    sparse.stored -= blockSize
    this.#collect('sparse-map', blockSize)
  }

  #takeMap(block: Buffer): void {
    const sparse = this.#sparse!
    if (!sparse.reader!.push(block)) return this.#collectMap(sparse)
    sparse.map = sparse.reader!.map
    this.#beginSparse(sparse)
  }

  #beginSparse(sparse: SparseEntry): void {
    sparse.map = checkSparseMap(sparse.map, sparse.entry.size, sparse.stored)
    this.#handler.entry(sparse.entry)
    this.#nextPiece()
  }

  /** Goes on behind a piece of data: with the hole and the next piece of a sparse file, or with the end. */
  #nextPiece(): void {
    const sparse = this.#sparse
    if (!sparse) return this.#endEntry()
    const offset = sparse.map[sparse.next]
    this.#hole((offset ?? sparse.entry.size) - sparse.position)
    if (offset === undefined) {
      this.#sparse = undefined
      return this.#endEntry()
    }
    this.#left = sparse.map[sparse.next + 1]!
    sparse.position = offset + this.#left
    sparse.next += 2
    this.#state = 'data'
  }

  #hole(length: number): void {
    if (length === 0) return
    if (this.#handler.hole) return this.#handler.hole(length)
    for (let left = length; left > 0; left -= zeros.length) this.#handler.data(zeros.subarray(0, left))
  }

  #endEntry(): void {
    this.#handler.end()
    if (this.#padding > 0) this.#state = 'padding'
    else this.#expectHeader()
  }

  #skip(size: number): void {
    this.#padding = padding(size)
    if (this.#padding > 0) this.#state = 'padding'
    else this.#expectHeader()
  }

  #expectHeader(): void {
    this.#collect('header', blockSize)
  }

  #collect(state: 'header' | 'meta' | 'old-sparse' | 'sparse-map', length: number): void {
    this.#state = state
    this.#wanted = length
    this.#missing = length
    this.#collected = []
  }
}

/** A sparse file that is being read. */
interface SparseEntry {
  entry: TarEntry
  /** Bytes of data that the archive holds for it. */
  stored: number
  map: SparseMap
  /** Index in the map of the piece that comes next. */
  next: number
  /** Where the last piece ended. */
  position: number
  reader?: SparseMapReader
}

function isSparse(pax: Map<string, Buffer>): boolean {
  return pax.has('GNU.sparse.major') || pax.has('GNU.sparse.map') || pax.has('GNU.sparse.size')
}

function padding(size: number): number {
  return (blockSize - (size % blockSize)) % blockSize
}

function untilNul(body: Buffer): string {
  const end = body.indexOf(0)
  return body.toString('latin1', 0, end < 0 ? body.length : end)
}

/** A record's value as a byte string; an empty one says that the header's own counts. */
function bytesOf(value: Buffer | undefined): string | undefined {
  return value === undefined || value.length === 0 ? undefined : value.toString('latin1')
}

function integerOf(pax: Map<string, Buffer>, key: string): number | undefined {
  const value = bytesOf(pax.get(key))
  if (value === undefined) return undefined
  if (!/^\d{1,16}$/.test(value) || !Number.isSafeInteger(Number(value))) throw corrupt(`PAX ${key} is not a number`)
  return Number(value)
}

/** In nanoseconds. */
function timeOf(pax: Map<string, Buffer>, key: string): bigint | undefined {
  const value = bytesOf(pax.get(key))
  if (value === undefined) return undefined
  const [, sign, seconds, fraction = ''] = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(value) ?? []
  if (seconds === undefined) throw corrupt(`PAX ${key} is not a time`)
  const nanoseconds = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'))
  return sign === '-' ? -nanoseconds : nanoseconds
}
