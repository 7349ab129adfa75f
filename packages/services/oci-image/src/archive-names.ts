import { posix } from 'node:path'
import { BerthError } from '@berth/core'
import type { TarEntry } from '@berth/layer-tar'

export interface ArchiveNamesOptions {
  /** An archive with more entries is refused; 100,000. */
  maxEntries?: number | undefined
}

/** Links that lead to links. */
const maxLinks = 8
const maxNameLength = 4096
/** So long may names be on average if there are as many as there may be. */
const meanNameLength = 256

/**
 * The names in an archive of images and where each one's content is, in whatever way `T` says it. Names and links lead within the archive or are refused: they are looked up
 * here, and nowhere in a file system.
 */
export class ArchiveNames<T> {
  readonly #maxEntries: number
  /** By normalised byte string. */
  readonly #files = new Map<string, { at: T } | { link: string }>()
  #entries = 0
  #bytes = 0

  constructor({ maxEntries = 100_000 }: ArchiveNamesOptions = {}) {
    this.#maxEntries = maxEntries
  }

  /**
   * Takes an entry in, in the order of the archive; `at` matters for files only.
   * @throws `invalid-argument` for a name that leads out of the archive, and a second file of one name; `resource-exhausted` for too many entries.
   */
  add(entry: Pick<TarEntry, 'name' | 'type' | 'linkname'>, at: T): void {
    if (++this.#entries > this.#maxEntries) throw new BerthError('resource-exhausted', 'ARCHIVE_ENTRIES', `the archive has more than ${this.#maxEntries} entries`)
    this.#bytes += entry.name.length + entry.linkname.length
    if (this.#bytes > this.#maxEntries * meanNameLength) throw new BerthError('resource-exhausted', 'ARCHIVE_ENTRIES', `the names in the archive have more than ${this.#maxEntries * meanNameLength} bytes`)
    const name = inside(entry.name, entry.name)
    if (entry.type === 'directory') return
    if (this.#files.has(name)) throw refused(`two of its entries are named ${shown(entry.name)}`)
    if (entry.type === 'file') this.#files.set(name, { at })
    else if (entry.type === 'hardlink') this.#files.set(name, { link: entry.linkname })
    // docker 1.10 links a layer that two images share to `../OTHER/layer.tar`.
    else if (entry.type === 'symlink') this.#files.set(name, { link: entry.linkname.startsWith('/') ? entry.linkname : `${posix.dirname(name)}/${entry.linkname}` })
    else throw refused(`${shown(entry.name)} is a ${entry.type}, which no archive of images has`)
  }

  /**
   * Where the content of a name is, links followed; undefined if the archive has no such file.
   * @throws `invalid-argument` for a name, or a link, that leads out of the archive.
   */
  find(name: string): T | undefined {
    let wanted = inside(Buffer.from(name).toString('latin1'), name)
    for (let links = 0; links <= maxLinks; links++) {
      const found = this.#files.get(wanted)
      if (found === undefined || 'at' in found) return found?.at
      wanted = inside(found.link, name)
    }
    throw refused(`${shown(name)} is a link that leads nowhere`)
  }
}

/** A name without `.` and `..`. */
function inside(name: string, named: string): string {
  const normal = posix.normalize(name)
  if (name.length > maxNameLength) throw refused(`a name has ${name.length} bytes`)
  if (name === '' || normal.startsWith('/') || normal === '..' || normal.startsWith('../') || name.includes('\0')) throw refused(`${shown(named)} leads out of it`)
  return normal.replace(/\/$/, '')
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 200))
}

function refused(what: string): BerthError {
  return new BerthError('invalid-argument', 'ARCHIVE_REFUSED', `the archive is refused: ${what}`)
}
