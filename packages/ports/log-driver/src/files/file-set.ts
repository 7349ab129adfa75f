import { constants, existsSync, fstatSync, openSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { isErrno } from '@berth/core'

const { O_APPEND, O_CREAT, O_RDWR, O_TRUNC } = constants

export interface OpenedFile {
  fd: number
  isCompressed: boolean
}

/** The files of a log: `path` is the current one, `path.1` the one before, and so on; older ones may be compressed, as `path.1.gz`. */
export class FileSet {
  readonly path: string
  readonly #maxFile: number

  constructor(path: string, maxFile: number) {
    this.path = path
    this.#maxFile = maxFile
  }

  /** Descriptors of all files, oldest first, to read; they stay valid when the files are rotated. */
  openAll(): OpenedFile[] {
    const opened: OpenedFile[] = []
    for (let index = this.#maxFile - 1; index >= 0; index--) {
      // What was being compressed when the engine was killed is there in both forms: the plain one is whole for certain.
      const plain = openIfThere(this.nameOf(index))
      if (plain !== undefined) opened.push({ fd: plain, isCompressed: false })
      else if (index > 0) {
        const compressed = openIfThere(`${this.nameOf(index)}.gz`)
        if (compressed !== undefined) opened.push({ fd: compressed, isCompressed: true })
      }
    }
    return opened
  }

  /** A descriptor of the current file to read. */
  openCurrent(): number | undefined {
    return openIfThere(this.path)
  }

  /** Makes the current file the one before, drops the oldest, and gives a new one, open. When there is no room for one, nothing has changed. */
  rotate(): number {
    const fresh = `${this.path}.new`
    const fd = openSync(fresh, O_RDWR | O_CREAT | O_APPEND | O_TRUNC, 0o640)
    for (const suffix of ['', '.gz']) {
      if (this.#maxFile > 1) rmSync(`${this.nameOf(this.#maxFile - 1)}${suffix}`, { force: true })
      for (let index = this.#maxFile - 2; index >= (suffix === '' ? 0 : 1); index--) {
        const name = `${this.nameOf(index)}${suffix}`
        if (existsSync(name)) renameSync(name, `${this.nameOf(index + 1)}${suffix}`)
      }
    }
    renameSync(fresh, this.path)
    return fd
  }

  /** An older file that is not compressed; the oldest. */
  uncompressed(): string | undefined {
    for (let index = this.#maxFile - 1; index > 0; index--) if (existsSync(this.nameOf(index))) return this.nameOf(index)
    return undefined
  }

  /** The name that an open older file has now; undefined when it was dropped. */
  nameOfOlder(fd: number): string | undefined {
    const { ino, dev } = fstatSync(fd)
    for (let index = 1; index < this.#maxFile; index++) {
      const stats = statSync(this.nameOf(index), { throwIfNoEntry: false })
      if (stats?.ino === ino && stats.dev === dev) return this.nameOf(index)
    }
    return undefined
  }

  /** Deletes all of them, and what is only for a time beside them. */
  removeAll(): void {
    const prefix = `${basename(this.path)}.`
    for (const name of namesIn(dirname(this.path))) if (name.startsWith(prefix)) rmSync(join(dirname(this.path), name), { force: true })
    rmSync(this.path, { force: true })
  }

  /** Deletes what a killed engine left half compressed. */
  removeHalfDone(): void {
    const prefix = `${basename(this.path)}.`
    for (const name of namesIn(dirname(this.path))) if (name.startsWith(prefix) && name.endsWith('.tmp')) rmSync(join(dirname(this.path), name), { force: true })
  }

  nameOf(index: number): string {
    return index === 0 ? this.path : `${this.path}.${index}`
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return []
    throw error
  }
}
