import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type BigIntStats } from 'node:fs'
import { BerthError, isErrno } from '@berth/core'
import { getXattr, type IdRange, listXattrs } from '@berth/linux'
import { ownerInside } from './mapped-ids.ts'
import type { TarEntry, TarEntryType } from './tar-header.ts'
import { contentPadding, encodeEntry, endOfArchive } from './tar-writer.ts'
import { isKeptXattr, isWhiteout, opaqueMarker, opaqueXattr, whiteoutPrefix } from './whiteouts.ts'

export interface PackOptions {
  /** `overlay`: the root is a layer of overlayfs, whose 0/0 devices and opaque directories become whiteouts. `none`: all is taken as it is. */
  whiteouts: 'overlay' | 'none'
  /**
   * What to pack: an absolute path (byte string) in the root of the thread, and all of that root by default. Links in its middle are followed inside of the
   * root, its last part is not, nor is anything below.
   */
  path?: string | undefined
  /**
   * What `path` is called in the archive (byte string), with what lies in it below: `etc` makes `etc/` and `etc/passwd`, and `/` makes `/` and `/etc/`.
   * Without it a directory has no entry of its own and what lies in it is named from there; of a file it is the last part of `path`.
   */
  name?: string | undefined
  /** The files are seen from outside of the user namespace that they belong to: the archive has the owners that it sees. */
  ids?: IdRange | undefined
}

const batchSize = 256 * 1024

/** A file to be packed: where it lies, without a slash at its end, and its name in the archive. Both are byte strings. */
interface Place {
  path: string
  name: string
}

/**
 * The root directory of the calling thread as a tar, or one path of it, in batches of 256 KiB, in an order that depends on nothing but the names.
 * Each step is synchronous, so that the caller can confine each to a root ({@link LayerWorkers.pack} does), and may run in a root of its own. Sockets are left
 * out, and so are what vanishes meanwhile and, of a layer of overlayfs, names that would be read as whiteouts. A file that changes its size is cut or filled with zeros, and so are holes.
 * @throws `not-found` if there is no `path`; `not-implemented` for paths above 4096 bytes.
 */
export function* packTree({ whiteouts, path: start = '/', name: startName, ids }: PackOptions): Generator<Buffer, void, undefined> {
  const batch = new Batch()
  const links = new Map<string, string>()
  /** What is still to be visited, the next one last: a stack and no recursion, because a tree may be deep. */
  const places = startOf(start, startName)
  for (let place = places.pop(); place !== undefined; place = places.pop()) {
    const found = describe(place, links, whiteouts)
    if (found === undefined) continue
    if (ids) Object.assign(found.entry, ownerInside(ids, found.entry))
    batch.add(encodeEntry(found.entry))
    if (found.entry.type === 'file' && found.entry.size > 0) yield* content(place.path, found.entry.size, batch)
    if (found.entry.type === 'directory') {
      if (found.opaque) batch.add(encodeEntry({ ...found.entry, type: 'file', name: childName(place.name, opaqueMarker), mode: 0, xattrs: new Map() }))
      for (const child of childrenOf(place).toReversed()) places.push(child)
    }
    yield* batch.whole()
  }
  batch.add(endOfArchive())
  yield* batch.whole()
  yield batch.rest()
}

function startOf(start: string, name: string | undefined): Place[] {
  const path = start.replace(/\/+$/, '')
  const stats = unlessGone(() => lstatSync(bytes(path)))
  if (!stats) throw new BerthError('not-found', 'PATH_NOT_FOUND', `${Buffer.from(start, 'latin1').toString()}: no such file or directory`)
  if (name !== undefined) return [{ path, name: name === '/' ? '' : name }]
  return stats.isDirectory() ? childrenOf({ path, name: undefined }).toReversed() : [{ path, name: path.slice(path.lastIndexOf('/') + 1) }]
}

/** Collects an archive in pieces of one size. */
class Batch {
  #piece = Buffer.allocUnsafeSlow(batchSize)
  #length = 0
  #whole: Buffer[] = []

  add(part: Buffer): void {
    for (let offset = 0; offset < part.length; ) {
      const count = part.copy(this.#piece, this.#length, offset)
      offset += count
      this.#advance(count)
    }
  }

  /** Adds what a file gives at once, at most `limit` bytes. @returns how many */
  read(fd: number, limit: number): number {
    const count = readSync(fd, this.#piece, this.#length, Math.min(limit, batchSize - this.#length), null)
    this.#advance(count)
    return count
  }

  /** At most `limit` zeros. @returns how many */
  zeros(limit: number): number {
    const count = Math.min(limit, batchSize - this.#length)
    this.#piece.fill(0, this.#length, this.#length + count)
    this.#advance(count)
    return count
  }

  /** The pieces that are full, each once. */
  *whole(): Generator<Buffer, void, undefined> {
    for (let piece = this.#whole.shift(); piece !== undefined; piece = this.#whole.shift()) yield piece
  }

  rest(): Buffer {
    return this.#piece.subarray(0, this.#length)
  }

  #advance(count: number): void {
    this.#length += count
    if (this.#length < batchSize) return
    this.#whole.push(this.#piece)
    this.#piece = Buffer.allocUnsafeSlow(batchSize)
    this.#length = 0
  }
}

function describe({ path: where, name }: Place, links: Map<string, string>, whiteouts: PackOptions['whiteouts']): { entry: TarEntry; opaque: boolean } | undefined {
  const path = bytes(where)
  const stats = unlessGone(() => lstatSync(path, { bigint: true }))
  const type = stats && typeOf(stats)
  if (!stats || !type) return undefined
  const base = name.slice(name.lastIndexOf('/') + 1)
  // A layer cannot tell of a file by this name: it would delete another.
  if (whiteouts === 'overlay' && isWhiteout(base)) return undefined
  const entry: TarEntry = {
    name,
    type,
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: type === 'file' ? Number(stats.size) : 0,
    mtime: stats.mtimeNs,
    linkname: '',
    ...deviceOf(stats, type),
    xattrs: new Map(),
  }
  if (whiteouts === 'overlay' && type === 'character-device' && stats.rdev === 0n) {
    // When it went is nobody's to know: the same changes are the same archive.
    return { entry: { ...entry, type: 'file', mode: 0, mtime: 0n, name: `${name.slice(0, -base.length)}${whiteoutPrefix}${base}` }, opaque: false }
  }
  if (type !== 'directory' && stats.nlink > 1n) {
    const inode = `${stats.dev}:${stats.ino}`
    const first = links.get(inode)
    if (first !== undefined) return { entry: { ...entry, type: 'hardlink', size: 0, linkname: first }, opaque: false }
    links.set(inode, name)
  }
  if (type === 'symlink') entry.linkname = unlessGone(() => readlinkSync(path, { encoding: 'buffer' }))?.toString('latin1') ?? ''
  let opaque = false
  for (const attribute of unlessGone(() => listXattrs(path)) ?? []) {
    const value = isKeptXattr(attribute) || attribute === opaqueXattr ? unlessGone(() => getXattr(path, attribute)) : undefined
    if (value === undefined) continue
    if (attribute !== opaqueXattr) entry.xattrs.set(attribute, value)
    else opaque = type === 'directory' && whiteouts === 'overlay' && value.toString('latin1') === 'y'
  }
  return { entry, opaque }
}

function* content(path: string, size: number, batch: Batch): Generator<Buffer, void, undefined> {
  let left = size
  const fd = openFile(path)
  try {
    const isFile = fd !== undefined && fstatSync(fd).isFile()
    for (let count = 1; isFile && left > 0 && count > 0; left -= count) {
      count = batch.read(fd, left)
      yield* batch.whole()
    }
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
  while (left > 0) {
    left -= batch.zeros(left)
    yield* batch.whole()
  }
  batch.add(contentPadding(size))
}

/** Whoever writes in the tree meanwhile may have put something else there: undefined if it cannot be opened, as a socket or, where the caller sees to that, a device. */
function openFile(path: string): number | undefined {
  try {
    return openSync(bytes(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO')) return undefined
    // The mount forbids devices, or an access list of a file system elsewhere forbids the file.
    if (isErrno(error, 'EACCES') && !lstatSync(bytes(path)).isFile()) return undefined
    throw error
  }
}

/** What lies in a directory, in the order of the names' bytes. */
function childrenOf({ path, name }: { path: string; name: string | undefined }): Place[] {
  const children = unlessGone(() => readdirSync(bytes(path), { encoding: 'buffer' })) ?? []
  return children.toSorted((left, right) => Buffer.compare(left, right)).map((child) => {
    const base = child.toString('latin1')
    return { path: `${path}/${base}`, name: childName(name, base) }
  })
}

function childName(directory: string | undefined, base: string): string {
  return directory === undefined ? base : `${directory}/${base}`
}

function bytes(path: string): Buffer {
  return Buffer.from(path === '' ? '/' : path, 'latin1')
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENODATA', 'ENOTSUP', 'EOPNOTSUPP')) return undefined
    if (isErrno(error, 'ENAMETOOLONG')) throw new BerthError('not-implemented', 'TREE_TOO_DEEP', 'the tree holds directories whose path is longer than 4096 bytes', { cause: error })
    throw error
  }
}

function typeOf(stats: BigIntStats): TarEntryType | undefined {
  if (stats.isFile()) return 'file'
  if (stats.isDirectory()) return 'directory'
  if (stats.isSymbolicLink()) return 'symlink'
  if (stats.isCharacterDevice()) return 'character-device'
  if (stats.isBlockDevice()) return 'block-device'
  if (stats.isFIFO()) return 'fifo'
  return undefined
}

/** glibc's layout of a device number, which stat(2) answers in. */
function deviceOf(stats: BigIntStats, type: TarEntryType): { devmajor: number; devminor: number } {
  if (type !== 'character-device' && type !== 'block-device') return { devmajor: 0, devminor: 0 }
  const device = stats.rdev
  return {
    devmajor: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n)),
    devminor: Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n)),
  }
}
