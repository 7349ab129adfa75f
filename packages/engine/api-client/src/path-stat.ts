import type { IncomingHttpHeaders } from 'node:http'
import { BerthError } from '@berth/core'

/** A file in a container. */
export interface PathStat {
  /** The last part of its path. */
  name: string
  /** In bytes. */
  size: number
  /** Go's `os.FileMode`: the permissions, and what it is in the bits that {@link isDirectory} and {@link isSymbolicLink} read. */
  mode: number
  /** RFC 3339. */
  mtime: string
  /** What a symbolic link finally leads to, inside the container; empty for anything else. */
  linkTarget: string
}

const directoryBit = 2 ** 31
const linkBit = 2 ** 27

/** Whether a bit of Go's file mode, which has more than the 31 that `&` keeps positive, is set. */
const has = (mode: number, bit: number): boolean => Math.floor(mode / bit) % 2 === 1

export const isDirectory = ({ mode }: PathStat): boolean => has(mode, directoryBit)
export const isSymbolicLink = ({ mode }: PathStat): boolean => has(mode, linkBit)

/** @see Docker Engine API, ContainerArchiveInfo, X-Docker-Container-Path-Stat */
export function pathStatOf(headers: IncomingHttpHeaders): PathStat {
  try {
    const { name, size, mode, mtime, linkTarget } = JSON.parse(Buffer.from(String(headers['x-docker-container-path-stat']), 'base64').toString()) as Record<string, unknown>
    if (typeof name === 'string' && typeof size === 'number' && typeof mode === 'number' && typeof mtime === 'string') return { name, size, mode, mtime, linkTarget: typeof linkTarget === 'string' ? linkTarget : '' }
  } catch {
    // told below
  }
  throw new BerthError('data-loss', 'ANSWER_INVALID', 'the engine did not say what the path is')
}
