import { closeSync, constants, fchmodSync, futimesSync, linkSync, lstatSync, mkdirSync, openSync, rmSync, type Stats, symlinkSync, writeSync } from 'node:fs'
import { BerthError, isErrno } from '@berth/core'
import { type TarEntry, type TarHandler, TarReader } from '@berth/layer-tar'
import { printable } from '../output/table.ts'
import type { CopyPlan } from './copy-paths.ts'

export interface UnpackOptions extends Pick<CopyPlan, 'directory' | 'from' | 'to'> {
  /** Told of what is left out: devices and pipes, which are nothing to copy. */
  onSkip?: (name: string) => void
}

/**
 * Unpacks an archive that an engine sent, whatever it holds, into a directory of this machine: its names are walked part by part from there without following
 * links, so that nothing outside is touched, also while something else changes the directory. Files belong to the user who runs this.
 * @throws `data-loss` for an archive that is none, and for a name that it may not have; `conflict` where a directory and something else would replace each other.
 */
export async function unpackFiles(archive: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<{ bytes: number }> {
  using unpacker = new Unpacker(options)
  const reader = new TarReader(unpacker)
  let bytes = 0
  for await (const chunk of archive) {
    bytes += chunk.length
    reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length))
  }
  reader.finish()
  unpacker.finish()
  return { bytes }
}

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
const fileFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

const shown = (name: string): string => printable(Buffer.from(name, 'latin1').toString())

class Unpacker implements TarHandler, Disposable {
  readonly #root: number
  readonly #plan: UnpackOptions
  /** The directory that was worked in last, kept open: entries of one directory follow each other. */
  #parent: { path: string; fd: number } | undefined
  #file: { fd: number; entry: TarEntry } | undefined
  /** Times and permissions of directories, which come when all is in them. */
  readonly #directories = new Map<string, TarEntry>()

  constructor(plan: UnpackOptions) {
    this.#plan = plan
    this.#root = openSync(plan.directory, constants.O_RDONLY | constants.O_DIRECTORY)
  }

  entry(entry: TarEntry): void {
    const parts = this.#partsOf(entry.name)
    const name = parts.at(-1)
    // The directory that is unpacked into keeps what it is.
    if (name === undefined) return
    const place = this.#at(parts)
    const found = statOf(place)
    if (entry.type === 'directory') this.#makeDirectory(entry, place, found, parts)
    else {
      if (found?.isDirectory()) throw new BerthError('conflict', 'CANNOT_OVERWRITE', `cannot overwrite directory "${shown(parts.join('/'))}" with non-directory "${this.#plan.directory}"`)
      if (found) rmSync(place)
      this.#make(entry, place)
    }
  }

  data(bytes: Buffer): void {
    if (!this.#file) return
    for (let written = 0; written < bytes.length; ) written += writeSync(this.#file.fd, bytes, written)
  }

  end(): void {
    if (!this.#file) return
    const { fd, entry } = this.#file
    this.#file = undefined
    fchmodSync(fd, entry.mode & 0o7777)
    const time = seconds(entry)
    futimesSync(fd, time, time)
    closeSync(fd)
  }

  /** Gives directories their times, those within first. */
  finish(): void {
    for (const [path, entry] of [...this.#directories].toReversed()) {
      const fd = openIfDirectory(this.#at(path.split('/')))
      if (fd === undefined) continue
      const time = seconds(entry)
      try {
        fchmodSync(fd, entry.mode & 0o7777)
        futimesSync(fd, time, time)
      } finally {
        closeSync(fd)
      }
    }
  }

  [Symbol.dispose](): void {
    for (const fd of [this.#file?.fd, this.#parent?.fd, this.#root]) if (fd !== undefined) closeSync(fd)
  }

  #makeDirectory(entry: TarEntry, place: Buffer, found: Stats | undefined, parts: readonly string[]): void {
    if (found && !found.isDirectory()) throw new BerthError('conflict', 'CANNOT_OVERWRITE', `cannot overwrite non-directory "${shown(parts.join('/'))}" with directory "${this.#plan.directory}"`)
    if (!found) mkdirSync(place, 0o700)
    this.#directories.set(parts.join('/'), entry)
  }

  #make(entry: TarEntry, place: Buffer): void {
    switch (entry.type) {
      case 'file':
        this.#file = { fd: openSync(place, fileFlags, 0o600), entry }
        break
      case 'symlink':
        symlinkSync(bytesOf(entry.linkname), place)
        break
      case 'hardlink':
        this.#link(entry, place)
        break
      default:
        this.#plan.onSkip?.(shown(entry.name))
    }
  }

  #link(entry: TarEntry, place: Buffer): void {
    const parts = this.#partsOf(entry.linkname)
    if (parts.length === 0) throw corrupt(entry.linkname)
    const { fd, isOwn } = this.#open(parts.slice(0, -1))
    try {
      linkSync(within(fd, parts.at(-1) ?? ''), place)
    } finally {
      if (isOwn) closeSync(fd)
    }
  }

  /** The parts of a name below the directory that is unpacked into, the first one by its new name. */
  #partsOf(name: string): string[] {
    const parts = name.split('/').filter((part) => part !== '' && part !== '.')
    if (parts.includes('..')) throw corrupt(name)
    const { from, to } = this.#plan
    if (from === '.' || from === '/') return to === '.' || to === '/' ? parts : [Buffer.from(to).toString('latin1'), ...parts]
    if (parts[0] !== Buffer.from(from).toString('latin1')) throw corrupt(name)
    return [Buffer.from(to).toString('latin1'), ...parts.slice(1)]
  }

  /** A path that the kernel resolves from the open directory that the last part lies in. */
  #at(parts: readonly string[]): Buffer {
    const path = parts.slice(0, -1).join('/')
    if (this.#parent?.path !== path) {
      const { fd, isOwn } = this.#open(parts.slice(0, -1))
      if (this.#parent) closeSync(this.#parent.fd)
      this.#parent = undefined
      if (isOwn) this.#parent = { path, fd }
      else return within(fd, parts.at(-1) ?? '')
    }
    return within(this.#parent.fd, parts.at(-1) ?? '')
  }

  /** Opens a directory below the root, part by part; one that is not there is made. */
  #open(parts: readonly string[]): { fd: number; isOwn: boolean } {
    let fd = this.#root
    for (const part of parts) {
      const path = within(fd, part)
      try {
        const next = openDirectory(path)
        if (fd !== this.#root) closeSync(fd)
        fd = next
      } catch (error) {
        if (fd !== this.#root) closeSync(fd)
        if (isErrno(error, 'ELOOP', 'ENOTDIR')) throw new BerthError('conflict', 'NOT_A_DIRECTORY', `${shown(parts.join('/'))} leads through something that is not a directory`, { cause: error })
        throw error
      }
    }
    return { fd, isOwn: fd !== this.#root }
  }
}

function openDirectory(path: Buffer): number {
  try {
    return openSync(path, directoryFlags)
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error
    mkdirSync(path)
    return openSync(path, directoryFlags)
  }
}

/** Undefined for what is not a directory any more: a link in its place must not be followed. */
function openIfDirectory(path: Buffer): number | undefined {
  try {
    return openSync(path, directoryFlags)
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined
    throw error
  }
}

/** What openat(2) would take. @see proc(5), /proc/pid/fd */
function within(fd: number, part: string): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), Buffer.from(part, 'latin1')])
}

const bytesOf = (name: string): Buffer => Buffer.from(name, 'latin1')
const seconds = ({ mtime }: TarEntry): number => Number(mtime) / 1e9

function statOf(path: Buffer): Stats | undefined {
  try {
    return lstatSync(path)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}

function corrupt(name: string): BerthError {
  return new BerthError('data-loss', 'ARCHIVE_INVALID', `the engine sent a file that was not asked for: ${shown(name)}`)
}
