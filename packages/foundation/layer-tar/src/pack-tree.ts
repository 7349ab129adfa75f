import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, readSync, type BigIntStats } from 'node:fs'
import { BerthError, isErrno } from '@berth/core'
import { getXattr, listXattrs } from '@berth/linux'
import type { TarEntry, TarEntryType } from './tar-header.ts'
import { contentPadding, encodeEntry, endOfArchive } from './tar-writer.ts'
import { isKeptXattr, opaqueMarker, opaqueXattr, whiteoutPrefix } from './whiteouts.ts'

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
}

const batchSize = 256 * 1024

/** A file to be packed: where it lies, without a slash at its end, and its name in the archive. Both are byte strings. */
interface Place {
  path: string
  name: string
}

/**
 * The root directory of the calling thread as a tar, or one path of it, in batches of about 256 KiB, in an order that depends on nothing but the names.
 * Each step is synchronous, so that the caller can confine each to a root ({@link LayerWorkers.pack} does), and may run in a root of its own. Sockets are left
 * out, and so is what vanishes meanwhile; a file that changes its size is cut or filled with zeros.
 * @throws `not-found` if there is no `path`.
 */
export function* packTree({ whiteouts, path: start = '/', name: startName }: PackOptions): Generator<Buffer, void, undefined> {
  const batch = new Batch()
  const links = new Map<string, string>()
  /** What is still to be visited, the next one last: a stack and no recursion, because a tree may be deep. */
  const places = startOf(start, startName)
  for (let place = places.pop(); place !== undefined; place = places.pop()) {
    const found = describe(place, links, whiteouts)
    if (found === undefined) continue
    batch.add(encodeEntry(found.entry))
    if (found.entry.type === 'file' && found.entry.size > 0) yield* content(place.path, found.entry.size, batch)
    if (found.entry.type === 'directory') {
      if (found.opaque) batch.add(encodeEntry({ ...found.entry, type: 'file', name: childName(place.name, opaqueMarker), mode: 0, xattrs: new Map() }))
      for (const child of childrenOf(place).toReversed()) places.push(child)
    }
    if (batch.isFull) yield batch.take()
  }
  batch.add(endOfArchive())
  yield batch.take()
}

function startOf(start: string, name: string | undefined): Place[] {
  const path = start.replace(/\/+$/, '')
  const stats = unlessGone(() => lstatSync(bytes(path)))
  if (!stats) throw new BerthError('not-found', 'PATH_NOT_FOUND', `${Buffer.from(start, 'latin1').toString()}: no such file or directory`)
  if (name !== undefined) return [{ path, name: name === '/' ? '' : name }]
  return stats.isDirectory() ? childrenOf({ path, name: undefined }).toReversed() : [{ path, name: path.slice(path.lastIndexOf('/') + 1) }]
}

class Batch {
  #parts: Buffer[] = []
  #length = 0

  get isFull(): boolean {
    return this.#length >= batchSize
  }

  add(part: Buffer): void {
    this.#parts.push(part)
    this.#length += part.length
  }

  take(): Buffer {
    const whole = Buffer.concat(this.#parts, this.#length)
    this.#parts = []
    this.#length = 0
    return whole
  }
}

function describe({ path: where, name }: Place, links: Map<string, string>, whiteouts: PackOptions['whiteouts']): { entry: TarEntry; opaque: boolean } | undefined {
  const path = bytes(where)
  const stats = unlessGone(() => lstatSync(path, { bigint: true }))
  const type = stats && typeOf(stats)
  if (!stats || !type) return undefined
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
    const slash = name.lastIndexOf('/') + 1
    // When it went is nobody's to know: the same changes are the same archive.
    return { entry: { ...entry, type: 'file', mode: 0, mtime: 0n, name: `${name.slice(0, slash)}${whiteoutPrefix}${name.slice(slash)}` }, opaque: false }
  }
  if (type !== 'directory' && stats.nlink > 1n) {
    const inode = `${stats.dev}:${stats.ino}`
    const first = links.get(inode)
    if (first !== undefined) return { entry: { ...entry, type: 'hardlink', size: 0, linkname: first }, opaque: false }
    links.set(inode, name)
  }
  if (type === 'symlink') entry.linkname = unlessGone(() => readlinkSync(path, { encoding: 'buffer' }))?.toString('latin1') ?? ''
  let opaque = false
  if (type === 'file' || type === 'directory') {
    for (const attribute of unlessGone(() => listXattrs(path)) ?? []) {
      const value = isKeptXattr(attribute) || attribute === opaqueXattr ? unlessGone(() => getXattr(path, attribute)) : undefined
      if (value === undefined) continue
      if (attribute !== opaqueXattr) entry.xattrs.set(attribute, value)
      else opaque = whiteouts === 'overlay' && value.toString('latin1') === 'y'
    }
  }
  return { entry, opaque }
}

function* content(path: string, size: number, batch: Batch): Generator<Buffer, void, undefined> {
  let left = size
  const fd = unlessGone(() => openSync(bytes(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK))
  try {
    while (left > 0 && fd !== undefined) {
      const buffer = Buffer.allocUnsafe(Math.min(left, batchSize))
      const read = readSync(fd, buffer)
      if (read === 0) break
      left -= read
      batch.add(buffer.subarray(0, read))
      if (batch.isFull) yield batch.take()
    }
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
  for (; left > 0; left -= batchSize) {
    batch.add(Buffer.alloc(Math.min(left, batchSize)))
    if (batch.isFull) yield batch.take()
  }
  batch.add(contentPadding(size))
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
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENODATA')) return undefined
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
