import { realpathSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, normalize, resolve } from 'node:path'
import { usageError } from '../cli.ts'

/**
 * What is copied, or where to, as far as the rules of `docker cp` ask. A `/` or `/.` at the end of a path says something: that it is a directory, and
 * with the dot that its content is meant and not itself.
 */
export interface CopySource {
  path: string
  isDirectory: boolean
  /** What it is called where it goes to, if not by the last part of its path. */
  rebaseName?: string | undefined
}

export interface CopyTarget {
  path: string
  /** Absent for what is not there. */
  isDirectory?: boolean | undefined
}

/** Where an archive is unpacked: a directory, and the name that its first part gets there in place of `from`. */
export interface CopyPlan {
  directory: string
  from: string
  to: string
}

const meansContent = (path: string): boolean => path === '.' || path.endsWith('/.')
const endsInSlash = (path: string): boolean => path.endsWith('/')
const meansDirectory = (path: string): boolean => endsInSlash(path) || meansContent(path)

/** `container:path`; undefined for a path on this machine. One with a colon is written `./a:b`. */
export function containerPath(argument: string): { container: string; path: string } | undefined {
  if (isAbsolute(argument)) return undefined
  const at = argument.indexOf(':')
  if (at < 0 || argument.startsWith('.')) return undefined
  return { container: argument.slice(0, at), path: argument.slice(at + 1) }
}

/** An absolute path that still ends in what the user wrote at its end. */
export function absolutePath(path: string): string {
  return keepEnd(resolve(path), path)
}

function keepEnd(cleaned: string, written: string): string {
  if (meansContent(written) && !meansContent(cleaned)) return join(cleaned, '/') + '.'
  return endsInSlash(written) && !endsInSlash(cleaned) ? `${cleaned}/` : cleaned
}

/** The directory that something lies in and what it is called there; the content of a directory is `.` in it. */
export function splitPath(path: string): { directory: string; name: string } {
  const cleaned = normalize(path).replace(/(.)\/$/, '$1')
  if (meansContent(path)) return { directory: cleaned, name: '.' }
  return { directory: dirname(cleaned), name: cleaned === '/' ? '/' : basename(cleaned) }
}

/** Where a link of a container leads, and the name that the copy keeps: that of the link. */
export function followed(path: string, target: string): { path: string; rebaseName: string | undefined } {
  const absolute = isAbsolute(target) ? target : join(splitPath(path).directory, target)
  return renamed(path, absolute)
}

/** A path on this machine with its links resolved: all of them, or all but that in its last part. */
export function resolvedSource(path: string, { followLink }: { followLink: boolean }): { path: string; rebaseName: string | undefined } {
  if (followLink) return renamed(path, realpathSync(path))
  const { directory, name } = splitPath(path)
  if (name === '.' || name === '/') return { path: keepEnd(realpathSync(directory), path), rebaseName: undefined }
  return { path: keepEnd(join(realpathSync(directory), name), path), rebaseName: undefined }
}

function renamed(written: string, found: string): { path: string; rebaseName: string | undefined } {
  const path = keepEnd(found, written)
  const [before, after] = [splitPath(written).name, splitPath(path).name]
  return { path, rebaseName: before === after ? undefined : before }
}

/**
 * Docker's rules of what a copy becomes: inside a directory that is there, in the place of a file, or by the name of a target that is not there.
 * @throws `invalid-argument` where they leave nothing sensible.
 */
export function planCopy(source: CopySource, target: CopyTarget): CopyPlan {
  const from = splitPath(source.path).name
  const kept = source.rebaseName ?? from
  const { directory, name } = splitPath(target.path)
  if (target.isDirectory) return { directory: target.path, from, to: kept }
  if (target.isDirectory === false) {
    if (source.isDirectory) throw usageError('cannot copy directory')
    if (meansDirectory(target.path)) throw usageError('not a directory')
    return { directory, from, to: name }
  }
  if (!source.isDirectory && meansDirectory(target.path)) throw usageError('no such directory')
  if (name === '.') return { directory: dirname(directory), from, to: basename(directory) }
  return { directory, from, to: name }
}
