import { lstatSync, readdirSync, renameSync, rmdirSync, unlinkSync } from 'node:fs'
import { isErrno } from '@berth/core'

export interface TreeUsage {
  /** Bytes that the disk gives for files, so a sparse one counts what it holds; one with several names counts once, and directories not at all. */
  bytes: number
  /** Without the root itself. */
  inodes: number
}

/** What a directory takes. Follows no link; what vanishes meanwhile is not counted. */
export function usageOf(root: string): TreeUsage {
  const seen = new Set<string>()
  let bytes = 0
  let inodes = 0
  const pending: Buffer[] = [Buffer.from(root)]
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const here = path
    const stats = unlessGone(() => lstatSync(here))
    if (!stats) continue
    if (!stats.isDirectory() && stats.nlink > 1) {
      const inode = `${stats.dev}:${stats.ino}`
      if (seen.has(inode)) continue
      seen.add(inode)
    }
    if (!stats.isDirectory()) bytes += stats.blocks * 512
    inodes++
    if (stats.isDirectory()) for (const child of unlessGone(() => childrenOf(here)) ?? []) pending.push(child)
  }
  return { bytes, inodes: inodes - 1 }
}

/** Paths above this many bytes are not gone into further, lest they outgrow the 4096 that the kernel takes. */
const longPath = 2048

/** Deletes a directory with all in it, or a file; nothing there is well too. Follows no link. */
export function removeTree(root: string): void {
  const pending: Buffer[] = [Buffer.from(root)]
  let moved = 0
  for (let path = pending.at(-1); path !== undefined; path = pending.at(-1)) {
    const here = path
    const children = unlessGone(() => (lstatSync(here).isDirectory() ? childrenOf(here) : undefined))
    if (children === undefined || children.length === 0) {
      unlessGone(() => (children ? rmdirSync(here) : unlinkSync(here)))
      pending.pop()
    } else if (here.length > longPath) {
      // A container can nest directories deeper than any path reaches: they come up to the top, one by one.
      for (const child of children) renameSync(child, `${root}/.berth-moved-${process.pid}-${moved++}`)
      pending.splice(1)
    } else {
      for (const child of children) pending.push(child) // more of them than a call takes arguments, perhaps
    }
  }
}

function childrenOf(directory: Buffer): Buffer[] {
  return readdirSync(directory, { encoding: 'buffer' }).map((name) => Buffer.concat([directory, Buffer.from('/'), name]))
}

function unlessGone<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENAMETOOLONG')) return undefined
    throw error
  }
}
