import { lstatSync, readlinkSync, type BigIntStats } from 'node:fs'
import { posix } from 'node:path'
import { BerthError, formatNano, isErrno } from '@berth/core'

/** What clients learn of a path before they copy it; as JSON in base64 it is the header `X-Docker-Container-Path-Stat`. */
export interface PathStat {
  /** Its last part; `.` where the path ends in `/.`, `/` of the root. */
  name: string
  size: number
  /** Go's `os.FileMode`. */
  mode: number
  /** RFC 3339, UTC, nanoseconds. */
  mtime: string
  /** Where a link leads to in the container; empty for anything else. */
  linkTarget: string
}

/** The path that a client means: from the root, without `..`, and with the slash or the `/.` that it ends in, which follow a link. */
export function absolutePath(path: string): string {
  const clean = posix.join('/', path)
  if (/(^|\/)\.$/.test(path)) return clean.endsWith('/') ? `${clean}.` : `${clean}/.`
  return clean
}

/** Looks in the root of the calling thread. Throws as lstat(2) does. */
export function statPath(path: string): PathStat {
  const stats = lstatSync(path, { bigint: true })
  return {
    name: baseName(path),
    size: Number(stats.size),
    mode: goFileMode(stats),
    mtime: formatNano(stats.mtimeNs),
    linkTarget: stats.isSymbolicLink() ? linkTarget(path) : '',
  }
}

/** As Go's `filepath.Base`. */
function baseName(path: string): string {
  const trimmed = path.replace(/\/+$/, '')
  return trimmed === '' ? '/' : trimmed.slice(trimmed.lastIndexOf('/') + 1)
}

/** Bit numbers of Go's `os.FileMode`. @see https://pkg.go.dev/io/fs#FileMode */
const goBits = { directory: 31, symlink: 27, device: 26, namedPipe: 25, socket: 24, setuid: 23, setgid: 22, charDevice: 21, sticky: 20 } as const

function goFileMode(stats: BigIntStats): number {
  const mode = Number(stats.mode)
  const bits: number[] = []
  if (stats.isDirectory()) bits.push(goBits.directory)
  if (stats.isSymbolicLink()) bits.push(goBits.symlink)
  if (stats.isBlockDevice() || stats.isCharacterDevice()) bits.push(goBits.device)
  if (stats.isCharacterDevice()) bits.push(goBits.charDevice)
  if (stats.isFIFO()) bits.push(goBits.namedPipe)
  if (stats.isSocket()) bits.push(goBits.socket)
  if (mode & 0o4000) bits.push(goBits.setuid)
  if (mode & 0o2000) bits.push(goBits.setgid)
  if (mode & 0o1000) bits.push(goBits.sticky)
  return bits.reduce((sum, bit) => sum + 2 ** bit, mode & 0o777)
}

const mostLinks = 255

/** What a path leads to once all links in it are followed; what does not exist is taken as named. Only told to clients: whoever opens it asks the kernel. */
function linkTarget(path: string): string {
  const left = path.split('/').filter((part) => part !== '')
  const found: string[] = []
  let links = 0
  for (let part = left.shift(); part !== undefined; part = left.shift()) {
    if (part === '' || part === '.') continue
    if (part === '..') {
      found.pop()
      continue
    }
    const target = readLink(`/${[...found, part].join('/')}`)
    if (target === undefined) {
      found.push(part)
      continue
    }
    if (++links > mostLinks) throw new BerthError('invalid-argument', 'TOO_MANY_LINKS', `too many links in ${path}`)
    if (target.startsWith('/')) found.length = 0
    left.unshift(...target.split('/'))
  }
  return `/${found.join('/')}`
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch (error) {
    if (isErrno(error, 'EINVAL', 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP')) return undefined
    throw error
  }
}
