import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { BerthError, isErrno, messageOf } from '@berth/core'
import { mknod, setTimes, setXattr } from '@berth/linux'
import { corrupt, type TarEntry } from './tar-header.ts'
import type { TarHandler } from './tar-reader.ts'
import { isKeptXattr, opaqueMarker, opaqueXattr, whiteoutPrefix } from './whiteouts.ts'

export interface ExtractOptions {
  /**
   * `overlay`: the root is an empty directory that becomes a layer of overlayfs, so whiteouts become 0/0 devices and opaque directories an attribute.
   * `plain`: the root holds the lower layers' files, which whiteouts delete. `none`: names with `.wh.` are names like others.
   */
  whiteouts: 'overlay' | 'plain' | 'none'
  /** Entries above this number are refused with `resource-exhausted`. */
  maxEntries?: number | undefined
}

export interface ExtractResult {
  entries: number
  /** Directories that no entry described, made because something lies in them (byte strings, from the root): `/usr/bin`. */
  impliedDirectories: string[]
}

/**
 * Makes the files of a layer in the root directory of the calling thread. Every call is synchronous, so that the caller can confine
 * each to a root ({@link applyLayer} does); nothing here checks where a link leads, because the kernel does.
 */
export class LayerExtractor implements TarHandler {
  readonly #options: ExtractOptions
  /** Directories' times are set last, since making what lies in them changes them. */
  readonly #directoryTimes = new Map<string, bigint>()
  /** What this layer made; only whiteouts in a plain root need to know. */
  readonly #unpacked = new Set<string>()
  readonly #implied = new Set<string>()
  #entries = 0
  #open: { entry: TarEntry; path: string; fd: number } | undefined

  constructor(options: ExtractOptions) {
    this.#options = options
  }

  entry(entry: TarEntry): void {
    this.#entries++
    const { maxEntries = Infinity } = this.#options
    if (this.#entries > maxEntries) throw new BerthError('resource-exhausted', 'LAYER_TOO_LARGE', `the layer holds more than ${maxEntries} entries`)
    try {
      this.#make(entry)
    } catch (error) {
      throw failure(error, entry.name)
    }
  }

  data(bytes: Buffer): void {
    if (!this.#open) return
    try {
      for (let written = 0; written < bytes.length; ) written += writeSync(this.#open.fd, bytes, written)
    } catch (error) {
      throw failure(error, this.#open.entry.name)
    }
  }

  end(): void {
    if (!this.#open) return
    const { entry, path, fd } = this.#open
    try {
      fchownSync(fd, entry.uid, entry.gid)
      // After chown, which clears setuid bits and capabilities.
      fchmodSync(fd, entry.mode)
      this.#setXattrs(path, entry)
      setTimes(bytes(path), entry.mtime, entry.mtime)
    } catch (error) {
      throw failure(error, entry.name)
    } finally {
      this.abort()
    }
  }

  /** Sets what must be set last. */
  finish(): ExtractResult {
    for (const [path, mtime] of this.#directoryTimes) setTimes(bytes(path), mtime, mtime)
    return { entries: this.#entries, impliedDirectories: [...this.#implied] }
  }

  /** Closes the file that was being written. */
  abort(): void {
    if (this.#open) closeSync(this.#open.fd)
    this.#open = undefined
  }

  #make(entry: TarEntry): void {
    const components = componentsOf(entry.name)
    const base = components.at(-1)
    if (base === undefined) {
      // The root itself is there already.
      if (entry.type !== 'directory') throw refused(entry.name, 'it would replace the root')
      return this.#describeDirectory('/', entry)
    }
    const directory = pathOf(components.slice(0, -1))
    if (this.#options.whiteouts !== 'none' && base.startsWith(whiteoutPrefix)) return this.#whiteout(directory, base, entry)
    this.#create(entry, pathOf(components), directory)
  }

  #create(entry: TarEntry, path: string, directory: string): void {
    if (this.#options.whiteouts === 'plain') this.#unpacked.add(path)
    switch (entry.type) {
      case 'directory':
        this.#inParent(directory, () => this.#makeDirectory(path))
        this.#describeDirectory(path, entry)
        break
      case 'file': {
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
        const fd = this.#replacing(directory, path, () => openSync(bytes(path), flags, 0o600))
        this.#open = { entry, path, fd }
        break
      }
      case 'hardlink': {
        const target = pathOf(componentsOf(entry.linkname))
        if (target === path) break
        if (!isThere(target)) throw corrupt(`${show(entry.name)} is a hard link to ${show(entry.linkname)}, which is not there`)
        // The link shares its target's attributes; those in its own entry are the same or lie.
        this.#replacing(directory, path, () => linkSync(bytes(target), bytes(path)))
        break
      }
      case 'symlink':
        this.#replacing(directory, path, () => symlinkSync(bytes(entry.linkname), bytes(path)))
        lchownSync(bytes(path), entry.uid, entry.gid)
        setTimes(bytes(path), entry.mtime, entry.mtime)
        break
      default: {
        const kind = entry.type === 'fifo' ? constants.S_IFIFO : entry.type === 'block-device' ? constants.S_IFBLK : constants.S_IFCHR
        const device = entry.type === 'fifo' ? undefined : { major: entry.devmajor, minor: entry.devminor }
        this.#replacing(directory, path, () => mknod(bytes(path), kind | 0o600, device))
        lchownSync(bytes(path), entry.uid, entry.gid)
        chmodSync(bytes(path), entry.mode)
        setTimes(bytes(path), entry.mtime, entry.mtime)
      }
    }
  }

  #describeDirectory(path: string, entry: TarEntry): void {
    lchownSync(bytes(path), entry.uid, entry.gid)
    chmodSync(bytes(path), entry.mode)
    this.#setXattrs(path, entry)
    this.#directoryTimes.set(path, entry.mtime)
    this.#implied.delete(path)
  }

  #setXattrs(path: string, entry: TarEntry): void {
    for (const [name, value] of entry.xattrs) if (isKeptXattr(name)) setXattr(bytes(path), name, value)
  }

  #whiteout(directory: string, base: string, entry: TarEntry): void {
    if (base === opaqueMarker) return this.#makeOpaque(directory)
    // Other names of this form were aufs's own bookkeeping.
    if (base.startsWith(`${whiteoutPrefix}${whiteoutPrefix}`)) return
    const name = base.slice(whiteoutPrefix.length)
    if (name === '' || name === '.' || name === '..') throw refused(entry.name, 'it is a whiteout of no name')
    const path = `${directory === '/' ? '' : directory}/${name}`
    if (this.#options.whiteouts === 'plain') return this.#removeLower(path)
    const there = isThere(path)
    // A whiteout hides what is below. What this layer itself made at that name stays; a directory must no longer show what is under it.
    if (there?.isDirectory()) setXattr(bytes(path), opaqueXattr, Buffer.from('y'))
    else if (!there) this.#inParent(directory, () => mknod(bytes(path), constants.S_IFCHR, { major: 0, minor: 0 }))
  }

  #makeOpaque(directory: string): void {
    if (this.#options.whiteouts === 'overlay') {
      if (!isThere(directory)) this.#makeParents(directory)
      setXattr(bytes(directory), opaqueXattr, Buffer.from('y'))
    } else if (isThere(directory)?.isDirectory()) {
      for (const child of childrenOf(directory)) this.#removeLower(child)
    }
  }

  /** Deletes what lower layers brought under a name and keeps what this layer brought. */
  #removeLower(path: string): void {
    const there = isThere(path)
    if (!there) return
    if (!this.#unpacked.has(path)) removeTree(path)
    else if (there.isDirectory()) for (const child of childrenOf(path)) this.#removeLower(child)
  }

  /** Makes a node at a name that may be taken: whatever is there gives way. */
  #replacing<T>(directory: string, path: string, make: () => T): T {
    return this.#inParent(directory, () => {
      try {
        return make()
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw error
        removeTree(path)
        this.#directoryTimes.delete(path)
        return make()
      }
    })
  }

  #makeDirectory(path: string): void {
    try {
      mkdirSync(bytes(path), 0o755)
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error
      const there = lstatSync(bytes(path))
      if (there.isDirectory()) return
      removeTree(path)
      mkdirSync(bytes(path), 0o755)
      if (this.#options.whiteouts === 'overlay' && isWhiteoutDevice(there)) setXattr(bytes(path), opaqueXattr, Buffer.from('y'))
    }
  }

  /** Does `work` in a directory, which is made if it is not there. */
  #inParent<T>(directory: string, work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error
      this.#makeParents(directory)
      return work()
    }
  }

  #makeParents(directory: string): void {
    const components = componentsOf(directory)
    for (let length = 1; length <= components.length; length++) {
      const path = pathOf(components.slice(0, length))
      const there = isThere(path)
      if (there && !isWhiteoutDevice(there)) continue
      this.#makeDirectory(path)
      chmodSync(bytes(path), 0o755)
      this.#implied.add(path)
      if (this.#options.whiteouts === 'plain') this.#unpacked.add(path)
    }
  }
}

/** The parts of a name, resolved as in a root directory. A name that climbs out of it says that its author meant harm. */
function componentsOf(name: string): string[] {
  const components: string[] = []
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') components.push(part)
    else if (components.pop() === undefined) throw refused(name, 'it lies outside of the layer')
  }
  return components
}

function pathOf(components: string[]): string {
  return `/${components.join('/')}`
}

/** A path as fs takes it without changing a byte; see TarEntry on byte strings. */
function bytes(path: string): Buffer {
  return Buffer.from(path, 'latin1')
}

function isThere(path: string) {
  try {
    return lstatSync(bytes(path))
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}

function isWhiteoutDevice(stats: { isCharacterDevice(): boolean; rdev: number }): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0
}

function childrenOf(directory: string): string[] {
  return readdirSync(bytes(directory), { encoding: 'buffer' }).map((name) => `${directory === '/' ? '' : directory}/${name.toString('latin1')}`)
}

function removeTree(path: string): void {
  if (!lstatSync(bytes(path)).isDirectory()) return unlinkSync(bytes(path))
  for (const child of childrenOf(path)) removeTree(child)
  rmdirSync(bytes(path))
}

function show(name: string): string {
  return JSON.stringify(Buffer.from(name, 'latin1').toString().slice(0, 200))
}

function refused(name: string, why: string): BerthError {
  return new BerthError('invalid-argument', 'LAYER_REFUSED', `the layer's entry ${show(name)} is refused: ${why}`)
}

function failure(error: unknown, name: string): unknown {
  if (error instanceof BerthError) return error
  if (isErrno(error, 'ENOSPC', 'EDQUOT')) return new BerthError('resource-exhausted', 'NO_SPACE', `no space left on device while unpacking ${show(name)}`, { cause: error })
  if (isErrno(error, 'ENAMETOOLONG', 'ELOOP', 'ENOTDIR', 'EISDIR', 'ENOENT', 'EINVAL')) {
    return new BerthError('invalid-argument', 'LAYER_REFUSED', `the layer's entry ${show(name)} is refused: ${messageOf(error).slice(0, 100)}`, { cause: error })
  }
  return new BerthError('internal', 'LAYER_UNPACK', `unpacking ${show(name)} failed: ${messageOf(error).slice(0, 100)}`, { cause: error })
}
