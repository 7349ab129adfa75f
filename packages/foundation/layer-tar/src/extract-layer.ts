import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
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
import { type IdRange, listXattrs, mknod, setTimes, setXattr } from '@berth/linux'
import { limits } from './limits.ts'
import { ownerOutside } from './mapped-ids.ts'
import { corrupt, type TarEntry } from './tar-header.ts'
import type { TarHandler } from './tar-reader.ts'
import { defaultAcl, isAufsMetadata, isKeptXattr, isWhiteout, opaqueMarker, opaqueXattr, whiteoutPrefix } from './whiteouts.ts'

export interface ExtractOptions {
  /**
   * `overlay`: the root is an empty directory that becomes a layer of overlayfs, so whiteouts become 0/0 devices and opaque directories an attribute.
   * `plain`: the root holds the lower layers' files, which whiteouts delete. `none`: names with `.wh.` are names like others.
   */
  whiteouts: 'overlay' | 'plain' | 'none'
  /** Entries above this number are refused with `resource-exhausted`; ten millions unless told otherwise. */
  maxEntries?: number | undefined
  /**
   * The directory to unpack into: an absolute path (byte string) in the root of the thread, which is there already; the root itself by default. Links in it
   * are followed inside of the root. It keeps its own owner, mode and times, even if the archive describes it as `./`. Hard links are named from it.
   */
  into?: string | undefined
  /** Owns all that is made, whatever the archive says. */
  owner?: { uid: number; gid: number } | undefined
  /** The files belong to a user namespace that the thread is outside of: what the archive and `owner` say is as that one sees it. */
  ids?: IdRange | undefined
  /** Whether it is refused (`invalid-argument`, `CANNOT_OVERWRITE`) that something else takes the place of a directory, or a directory that of something else. */
  noOverwriteDirNonDir?: boolean | undefined
}

export interface ExtractResult {
  entries: number
  /** Directories that no entry described, made because something lies in them (byte strings, from the root): `/usr/bin`. */
  impliedDirectories: string[]
}

/** A file whose content is being written. */
interface OpenFile {
  entry: TarEntry
  path: string
  fd: number
  /** What it was made with. */
  mode: number
  /** Where the next byte belongs. */
  position: number
  /** Where the descriptor stands, which is elsewhere once there was a hole: writes say their position from then on. */
  offset: number
}

/**
 * Makes the files of a layer in the root directory of the calling thread. Every call is synchronous, so that the caller can confine
 * each to a root ({@link applyLayer} does); nothing here checks where a link leads, because the kernel does.
 */
export class LayerExtractor implements TarHandler {
  readonly #options: ExtractOptions
  /** What goes before a name: the path of the directory to unpack into, without a slash at its end. */
  readonly #base: string
  /** Directories' times are set last, since making what lies in them changes them. */
  readonly #directoryTimes = new Map<string, bigint>()
  /** What this layer made, and all directories above; only whiteouts in a plain root need to know. */
  readonly #unpacked = new Set<string>()
  readonly #implied = new Set<string>()
  /** Directories' rules for what is made in them are set last too, lest what this layer makes follow them. */
  readonly #defaultAcls = new Map<string, Buffer>()
  readonly #own = { uid: process.geteuid!(), gid: process.getegid!() }
  /** Whether what is made belongs to this process and has the mode it was asked for, but for `umask`; found out at the first entry. */
  #isPredictable: boolean | undefined
  /** The bits of a mode that the system withholds, known from the first file. */
  #umask = 0o7777
  #entries = 0
  #open: OpenFile | undefined

  constructor(options: ExtractOptions) {
    this.#options = options
    this.#base = (options.into ?? '').replace(/\/+$/, '')
  }

  entry(entry: TarEntry): void {
    this.#entries++
    const { maxEntries = limits.entries } = this.#options
    if (this.#entries > maxEntries) throw new BerthError('resource-exhausted', 'LAYER_TOO_LARGE', `the layer holds more than ${maxEntries} entries`)
    try {
      this.#make(entry)
    } catch (error) {
      throw failure(error, entry.name)
    }
  }

  data(bytes: Buffer): void {
    const file = this.#open
    if (!file) return
    try {
      for (let done = 0; done < bytes.length; ) {
        const inSequence = file.position === file.offset
        const count = writeSync(file.fd, bytes, done, bytes.length - done, inSequence ? null : file.position)
        done += count
        file.position += count
        if (inSequence) file.offset += count
      }
    } catch (error) {
      throw failure(error, file.entry.name)
    }
  }

  hole(length: number): void {
    if (this.#open) this.#open.position += length
  }

  end(): void {
    const file = this.#open
    if (!file) return
    const { entry, path, fd, mode, position, offset } = file
    try {
      if (position !== offset) ftruncateSync(fd, entry.size)
      const { uid, gid } = this.#ownerOf(entry)
      if (!this.#isOwn(uid, gid)) fchownSync(fd, uid, gid)
      // After chown, which clears setuid bits and capabilities.
      if (mode !== entry.mode || !this.#isExact(mode)) fchmodSync(fd, entry.mode)
      if (entry.xattrs.size > 0) this.#setXattrs(path, entry)
      setTimes(fd, entry.atime ?? entry.mtime, entry.mtime)
    } catch (error) {
      throw failure(error, entry.name)
    } finally {
      this.abort()
    }
  }

  /** Sets what must be set last. */
  finish(): ExtractResult {
    for (const [path, mtime] of this.#directoryTimes) {
      try {
        const acl = this.#defaultAcls.get(path)
        if (acl) setXattr(bytes(path), defaultAcl, acl)
        setTimes(bytes(path), mtime, mtime)
      } catch (error) {
        // Its place may be another's since, by a link on the way.
        if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw failure(error, path)
      }
    }
    return { entries: this.#entries, impliedDirectories: [...this.#implied] }
  }

  /** Closes the file that was being written. */
  abort(): void {
    if (this.#open) closeSync(this.#open.fd)
    this.#open = undefined
  }

  #make(entry: TarEntry): void {
    const name = resolveName(entry.name)
    if (name === '') return this.#makeRoot(entry)
    if (this.#options.whiteouts !== 'none' && name.includes(whiteoutPrefix)) {
      if (isAufsMetadata(name)) return
      const slash = name.lastIndexOf('/')
      if (slash > 0 && name.slice(0, slash).split('/').some(isWhiteout)) throw refused(entry.name, 'it lies in a whiteout')
      const base = name.slice(slash + 1)
      if (isWhiteout(base)) return this.#whiteout(name.slice(0, Math.max(slash, 0)), base, entry)
    }
    this.#create(entry, name)
  }

  /** The root is there already. */
  #makeRoot(entry: TarEntry): void {
    if (entry.type !== 'directory') throw refused(entry.name, 'it would replace the root')
    if (this.#options.into === undefined) this.#describeDirectory('/', entry, false)
  }

  #create(entry: TarEntry, name: string): void {
    const path = `${this.#base}/${name}`
    if (this.#options.whiteouts === 'plain') this.#remember(path)
    switch (entry.type) {
      case 'directory': {
        const isNew = this.#inParent(name, () => this.#makeDirectory(path))
        this.#describeDirectory(path, entry, isNew)
        break
      }
      case 'file': {
        const mode = this.#openMode(entry)
        const fd = this.#replacing(name, path, () => openSync(fsPath(path), newFile, mode))
        this.#open = { entry, path, fd, mode, position: 0, offset: 0 }
        if (this.#umask === 0o7777) this.#umask = 0o777 & ~fstatSync(fd).mode
        break
      }
      case 'hardlink':
        this.#link(entry, name, path)
        break
      case 'symlink':
        this.#replacing(name, path, () => symlinkSync(fsPath(entry.linkname), fsPath(path)))
        this.#describe(path, entry)
        break
      default: {
        const kind = entry.type === 'fifo' ? constants.S_IFIFO : entry.type === 'block-device' ? constants.S_IFBLK : constants.S_IFCHR
        const device = entry.type === 'fifo' ? undefined : { major: entry.devmajor, minor: entry.devminor }
        this.#replacing(name, path, () => mknod(bytes(path), kind | 0o600, device))
        this.#describe(path, entry)
      }
    }
  }

  #link(entry: TarEntry, name: string, path: string): void {
    const target = `${this.#base}/${resolveName(entry.linkname)}`
    if (target === path) return
    const there = isThere(target)
    if (!there || isWhiteoutDevice(there)) throw corrupt(`${show(entry.name)} is a hard link to ${show(entry.linkname)}, which is not there`)
    if (there.isDirectory()) throw refused(entry.name, 'it is a hard link to a directory')
    // The link shares its target's attributes; those in its own entry are the same or lie.
    this.#replacing(name, path, () => linkSync(bytes(target), bytes(path)))
  }

  #describeDirectory(path: string, entry: TarEntry, isNew: boolean): void {
    const { uid, gid } = this.#ownerOf(entry)
    if (!isNew || !this.#isOwn(uid, gid)) lchownSync(fsPath(path), uid, gid)
    if (!isNew || entry.mode !== directoryMode || !this.#isExact(entry.mode)) chmodSync(fsPath(path), entry.mode)
    if (entry.xattrs.size > 0) this.#setXattrs(path, entry)
    this.#directoryTimes.set(path, entry.mtime)
    if (this.#implied.size > 0) this.#implied.delete(path)
    // What is made in it may take its group from it.
    if (gid !== this.#own.gid || entry.mode & setgid) this.#isPredictable = false
  }

  /** Gives a link or a device what belongs to it. */
  #describe(path: string, entry: TarEntry): void {
    const { uid, gid } = this.#ownerOf(entry)
    if (!this.#isOwn(uid, gid)) lchownSync(fsPath(path), uid, gid)
    if (entry.type !== 'symlink') chmodSync(fsPath(path), entry.mode)
    if (entry.xattrs.size > 0) this.#setXattrs(path, entry)
    setTimes(bytes(path), entry.atime ?? entry.mtime, entry.mtime)
  }

  /** Whether what was just made belongs to this owner already. */
  #isOwn(uid: number, gid: number): boolean {
    return uid === this.#own.uid && gid === this.#own.gid && this.#foresees()
  }

  /** Whether what was just made with a mode has it. */
  #isExact(mode: number): boolean {
    return (mode & (this.#umask | 0o7000)) === 0 && this.#foresees()
  }

  #openMode(entry: TarEntry): number {
    // In a directory that others see, a file shows itself when it is whole.
    if (!this.#foresees()) return 0o600
    return this.#umask === 0o7777 ? 0o777 : entry.mode & 0o777
  }

  /** Only an empty layer of our own holds no surprise: in other directories groups and access lists may be passed on to what is made there. */
  #foresees(): boolean {
    this.#isPredictable ??= this.#options.whiteouts === 'overlay' && this.#options.into === undefined && isOrdinary(lstatSync('/'), this.#own.gid) && listXattrs('/').length === 0
    return this.#isPredictable
  }

  #ownerOf(entry: TarEntry): { uid: number; gid: number } {
    const { owner = entry, ids } = this.#options
    return ids ? ownerOutside(ids, owner) : owner
  }

  #setXattrs(path: string, entry: TarEntry): void {
    for (const [name, value] of entry.xattrs) {
      if (!isKeptXattr(name)) continue
      if (name === defaultAcl) {
        this.#defaultAcls.set(path, value)
        continue
      }
      try {
        setXattr(bytes(path), name, value)
      } catch (error) {
        // As containerd does: a file system that has no such attributes goes without. The kernel has user.* on files and directories only.
        if (!isErrno(error, 'ENOTSUP', 'EOPNOTSUPP') && !(isErrno(error, 'EPERM') && entry.type !== 'file' && entry.type !== 'directory')) throw error
      }
    }
  }

  #whiteout(parent: string, base: string, entry: TarEntry): void {
    const directory = parent === '' ? this.#base : `${this.#base}/${parent}`
    if (base === opaqueMarker) return this.#makeOpaque(directory, `${parent}/${base}`)
    const name = base.slice(whiteoutPrefix.length)
    if (name === '' || name === '.' || name === '..') throw refused(entry.name, 'it is a whiteout of no name')
    const path = `${directory}/${name}`
    if (this.#options.whiteouts === 'plain') return this.#removeLower(path)
    const there = isThere(path)
    // A whiteout hides what is below. What this layer itself made at that name stays; a directory must no longer show what is under it.
    if (there?.isDirectory()) setXattr(bytes(path), opaqueXattr, Buffer.from('y'))
    else if (!there) this.#inParent(parent === '' ? base : `${parent}/${base}`, () => mknod(bytes(path), constants.S_IFCHR, { major: 0, minor: 0 }))
  }

  #makeOpaque(directory: string, marker: string): void {
    if (this.#options.whiteouts === 'overlay') {
      // The dot leads through a link, which is one of this layer.
      this.#inParent(marker, () => setXattr(bytes(`${directory}/.`), opaqueXattr, Buffer.from('y')))
    } else if (isThere(directory)?.isDirectory()) {
      for (const child of childrenOf(directory)) this.#removeLower(child)
    }
  }

  /** Deletes what lower layers brought under a name and keeps what this layer brought. */
  #removeLower(path: string): void {
    const there = isThere(path)
    if (!there) return
    if (!this.#unpacked.has(path)) this.#remove(path)
    else if (there.isDirectory()) for (const child of childrenOf(path)) this.#removeLower(child)
  }

  /** Makes a node at a name that may be taken: whatever is there gives way. */
  #replacing<T>(name: string, path: string, make: () => T): T {
    return this.#inParent(name, () => {
      try {
        return make()
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw error
        if (this.#options.noOverwriteDirNonDir && isThere(path)?.isDirectory()) throw this.#cannotOverwrite('directory', path, 'non-directory')
        this.#remove(path)
        return make()
      }
    })
  }

  /** @returns whether there was none before */
  #makeDirectory(path: string): boolean {
    try {
      mkdirSync(fsPath(path), directoryMode)
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error
      const there = lstatSync(bytes(path))
      if (there.isDirectory()) return false
      if (this.#options.noOverwriteDirNonDir) throw this.#cannotOverwrite('non-directory', path, 'directory')
      this.#remove(path)
      mkdirSync(fsPath(path), directoryMode)
      if (this.#options.whiteouts === 'overlay' && isWhiteoutDevice(there)) setXattr(bytes(path), opaqueXattr, Buffer.from('y'))
    }
    return true
  }

  /** In Docker's words, which name the directory that is unpacked into last. */
  #cannotOverwrite(what: string, path: string, by: string): BerthError {
    return new BerthError('invalid-argument', 'CANNOT_OVERWRITE', `cannot overwrite ${what} ${show(path)} with ${by} ${show(this.#base === '' ? '/' : this.#base)}`)
  }

  /** Does `work` on a name, whose directory is made if it is not there. */
  #inParent<T>(name: string, work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error
      this.#makeParents(name)
      return work()
    }
  }

  #makeParents(name: string): void {
    for (let slash = name.indexOf('/', 1); slash > 0; slash = name.indexOf('/', slash + 1)) {
      const path = `${this.#base}/${name.slice(0, slash)}`
      const there = isThere(path)
      if (there && !isWhiteoutDevice(there)) continue
      this.#makeDirectory(path)
      lchownSync(bytes(path), 0, 0)
      chmodSync(bytes(path), directoryMode)
      this.#implied.add(path)
    }
  }

  /** Notes that this layer brought a path, and that the directories above hold something of it. */
  #remember(path: string): void {
    for (let part = path; part.length > this.#base.length && !this.#unpacked.has(part); part = part.slice(0, part.lastIndexOf('/'))) this.#unpacked.add(part)
  }

  /** Deletes whatever is at a path, with all in it, and forgets what was to be done there. */
  #remove(path: string): void {
    if (lstatSync(bytes(path)).isDirectory()) {
      for (const child of childrenOf(path)) this.#remove(child)
      rmdirSync(bytes(path))
    } else unlinkSync(bytes(path))
    this.#directoryTimes.delete(path)
    this.#defaultAcls.delete(path)
    this.#implied.delete(path)
  }
}

const newFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const directoryMode = 0o755
const setgid = 0o2000

/** A name that needs no resolving has neither an empty part nor one of dots. */
const unresolved = /(?:^|\/)\.{0,2}(?:\/|$)/

/** A name as seen from the root directory, without slashes at its ends: `usr/bin`, and empty for the root. One that climbs out says that its author meant harm. */
function resolveName(name: string): string {
  const trimmed = name.endsWith('/') ? name.slice(0, -1) : name
  if (!unresolved.test(trimmed)) return trimmed
  const parts: string[] = []
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) throw refused(name, 'it lies outside of the layer')
  }
  return parts.join('/')
}

/** A path without changing a byte; see TarEntry on byte strings. */
function bytes(path: string): Buffer {
  return Buffer.from(path === '' ? '/' : path, 'latin1')
}

const beyondAscii = /[\x80-\xff]/

/** The same for fs, which is quicker with a string where that has the same bytes. */
function fsPath(path: string): string | Buffer {
  return beyondAscii.test(path) ? bytes(path) : path
}

function isThere(path: string) {
  try {
    return lstatSync(bytes(path))
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}

/** Whether a directory passes no group on. */
function isOrdinary(stats: { gid: number; mode: number }, gid: number): boolean {
  return stats.gid === gid && !(stats.mode & setgid)
}

function isWhiteoutDevice(stats: { isCharacterDevice(): boolean; rdev: number }): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0
}

function childrenOf(directory: string): string[] {
  const prefix = directory === '/' ? '/' : `${directory}/`
  return readdirSync(bytes(directory), { encoding: 'buffer' }).map((name) => `${prefix}${name.toString('latin1')}`)
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
  const why = messageOf(error).slice(0, 100)
  if (isErrno(error, 'EFBIG', 'EMLINK')) return new BerthError('resource-exhausted', 'LAYER_TOO_LARGE', `the layer's entry ${show(name)} is more than the file system takes: ${why}`, { cause: error })
  if (isErrno(error, 'ENAMETOOLONG', 'ELOOP', 'ENOTDIR', 'EISDIR', 'ENOENT', 'EINVAL', 'E2BIG', 'ERANGE')) {
    return new BerthError('invalid-argument', 'LAYER_REFUSED', `the layer's entry ${show(name)} is refused: ${why}`, { cause: error })
  }
  return new BerthError('internal', 'LAYER_UNPACK', `unpacking ${show(name)} failed: ${why}`, { cause: error })
}
