import { BerthError } from '@berth/core'
import { decodePax } from './pax.ts'
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

/** PAX headers and GNU long names above this many bytes are refused. */
const maxHeaderBody = 1024 * 1024

const types: Record<string, TarEntryType> = {
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
}

/**
 * Reads a tar that is pushed into it piece by piece, synchronously, so that its handler can work inside a root that holds for one call only.
 * Knows ustar, PAX and GNU's long names and big numbers. Sparse files are refused.
 */
export class TarReader {
  readonly #handler: TarHandler
  /** What is to be collected whole before going on: a header block, or the body of a PAX or long-name header. */
  #wanted = blockSize
  #collected: Buffer[] = []
  #missing = blockSize
  #state: 'header' | 'meta' | 'data' | 'padding' | 'ended' = 'header'
  #metaFlag = ''
  #left = 0
  #padding = 0
  #pax = new Map<string, Buffer>()
  #longName: string | undefined
  #longLink: string | undefined

  constructor(handler: TarHandler) {
    this.#handler = handler
  }

  /** @throws `data-loss` for what is no tar; `not-implemented` for sparse files; whatever the handler throws. */
  push(chunk: Buffer): void {
    let offset = 0
    while (offset < chunk.length && this.#state !== 'ended') {
      if (this.#state === 'data') {
        const piece = chunk.subarray(offset, offset + this.#left)
        offset += piece.length
        this.#left -= piece.length
        this.#handler.data(piece)
        if (this.#left === 0) this.#endEntry()
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
    const between = this.#state === 'header' && this.#missing === blockSize && this.#pax.size === 0 && this.#longName === undefined
    if (this.#state !== 'ended' && !between) throw corrupt('it ends too early')
  }

  #take(block: Buffer): void {
    if (this.#state === 'header') {
      const header = decodeHeader(block)
      if (header === undefined) this.#state = 'ended'
      else this.#takeHeader(header)
    } else {
      this.#takeMeta(block)
      this.#skip(this.#wanted)
    }
  }

  #takeHeader(header: TarHeader): void {
    if ('xgLK'.includes(header.flag)) {
      if (header.size > maxHeaderBody) throw corrupt('an extended header is too large')
      this.#metaFlag = header.flag
      if (header.size === 0) this.#takeMeta(Buffer.alloc(0))
      if (header.size === 0) this.#expectHeader()
      else this.#collect('meta', header.size)
      return
    }
    const type = types[header.flag]
    if (header.flag === 'S' || this.#pax.has('GNU.sparse.major') || this.#pax.has('GNU.sparse.map')) {
      throw new BerthError('not-implemented', 'LAYER_SPARSE', 'the layer holds sparse files in the form of GNU tar, which are not supported')
    }
    if (type === undefined) throw corrupt(`an entry is of the unknown type ${JSON.stringify(header.flag)}`)
    const entry = this.#complete(header, type)
    this.#left = entry.size
    this.#padding = padding(entry.size)
    this.#handler.entry(entry)
    if (entry.size > 0) this.#state = 'data'
    else this.#endEntry()
  }

  #takeMeta(body: Buffer): void {
    if (this.#metaFlag === 'x') for (const [key, value] of decodePax(body)) this.#pax.set(key, Buffer.from(value))
    // The body of a long name ends in a NUL.
    else if (this.#metaFlag === 'L') this.#longName = body.toString('latin1').replace(/\0[^]*$/, '')
    else if (this.#metaFlag === 'K') this.#longLink = body.toString('latin1').replace(/\0[^]*$/, '')
    // Global headers ('g') hold comments in practice; none of what they could set belongs to a layer.
  }

  #complete(header: TarHeader, type: TarEntryType): TarEntry {
    const pax = this.#pax
    const { flag: _, ...fields } = header
    const xattrs = new Map<string, Buffer>()
    for (const [key, value] of pax) if (key.startsWith('SCHILY.xattr.')) xattrs.set(key.slice(13), value)
    const integer = (key: string, fallback: number) => {
      const value = pax.get(key)?.toString('latin1')
      if (value === undefined || value === '') return fallback
      if (!/^\d{1,16}$/.test(value) || !Number.isSafeInteger(Number(value))) throw corrupt(`PAX ${key} is not a number`)
      return Number(value)
    }
    const entry: TarEntry = {
      ...fields,
      type,
      name: bytesOf(pax.get('path')) ?? this.#longName ?? header.name,
      linkname: bytesOf(pax.get('linkpath')) ?? this.#longLink ?? header.linkname,
      size: type === 'file' ? integer('size', header.size) : 0,
      uid: integer('uid', header.uid),
      gid: integer('gid', header.gid),
      mtime: paxTime(pax.get('mtime')) ?? header.mtime,
      xattrs,
    }
    if (entry.name.includes('\0') || entry.linkname.includes('\0')) throw corrupt('a name holds a NUL')
    this.#pax = new Map()
    this.#longName = undefined
    this.#longLink = undefined
    return entry
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

  #collect(state: 'header' | 'meta', length: number): void {
    this.#state = state
    this.#wanted = length
    this.#missing = length
    this.#collected = []
  }
}

function padding(size: number): number {
  return (blockSize - (size % blockSize)) % blockSize
}

function bytesOf(value: Buffer | undefined): string | undefined {
  return value === undefined || value.length === 0 ? undefined : value.toString('latin1')
}

function paxTime(value: Buffer | undefined): bigint | undefined {
  if (value === undefined || value.length === 0) return undefined
  const [, sign, seconds, fraction = ''] = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(value.toString('latin1')) ?? []
  if (seconds === undefined) throw corrupt('PAX mtime is not a time')
  const nanoseconds = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'))
  return sign === '-' ? -nanoseconds : nanoseconds
}
