import {
  chmodSync, closeSync, constants, copyFileSync, fchmodSync, fchownSync, fstatSync, futimesSync, lchownSync, lstatSync, lutimesSync,
  mkdirSync, openSync, readdirSync, readlinkSync, symlinkSync,
} from 'node:fs' // prettier-ignore
import { getXattr, listXattrs, mknod, setXattr } from '@berth/linux'

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants
const { S_IFMT, S_IFCHR, S_IFBLK, S_IFIFO } = constants

/** A name in an open directory. However links are swapped meanwhile, the path cannot leave it. @see proc(5), /proc/pid/fd */
const within = (directory: number, name: string): string => `/proc/self/fd/${directory}/${name}`

function copyXattrs(from: string, to: string): void {
  for (const name of listXattrs(from)) {
    // trusted.* is the overlay's own book-keeping.
    if (name.startsWith('user.') || name === 'security.capability' || name.startsWith('system.posix_acl')) setXattr(to, name, getXattr(from, name))
  }
}

function copyEntry(source: number, target: number, name: string): void {
  const [from, to] = [within(source, name), within(target, name)]
  const stat = lstatSync(from)
  if (stat.isDirectory()) {
    mkdirSync(to, 0o700)
    const [fromDirectory, toDirectory] = [openSync(from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), openSync(to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)]
    try {
      copyDirectory(fromDirectory, toDirectory)
    } finally {
      closeSync(fromDirectory)
      closeSync(toDirectory)
    }
    return
  }
  if (stat.isSymbolicLink()) symlinkSync(readlinkSync(from), to)
  else if (stat.isFile()) copyFileSync(from, to, constants.COPYFILE_EXCL)
  else if ([S_IFCHR, S_IFBLK, S_IFIFO].includes(stat.mode & S_IFMT)) mknod(to, stat.mode, Math.floor(stat.rdev))
  else return // a socket means nothing without the process behind it
  lchownSync(to, stat.uid, stat.gid)
  if (!stat.isSymbolicLink()) {
    chmodSync(to, stat.mode & 0o7777) // after chown, which clears set-user-ID
    copyXattrs(from, to)
  }
  lutimesSync(to, stat.atime, stat.mtime)
}

/** Copies what is in one open directory into another, with owners, modes, times and attributes, and gives the other its own as well. Hard links become files of their own. */
export function copyDirectory(source: number, target: number): void {
  for (const name of readdirSync(`/proc/self/fd/${source}`)) copyEntry(source, target, name)
  const stat = fstatSync(source)
  fchownSync(target, stat.uid, stat.gid)
  fchmodSync(target, stat.mode & 0o7777)
  copyXattrs(within(source, '.'), within(target, '.'))
  futimesSync(target, stat.atime, stat.mtime)
}

