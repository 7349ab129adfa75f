import { chmodSync, lchownSync, lstatSync } from 'node:fs'
import { isErrno } from '@berth/core'
import { getXattr, listXattrs, setTimes, setXattr, withRoot } from '@berth/linux'
import { isKeptXattr } from './whiteouts.ts'

/**
 * Gives directories that an archive did not describe the owner, mode, attributes and times that they have below: where it names `usr/bin/x` but not `usr/bin`,
 * that directory would else cover the one below with root's. For worker threads.
 * @param directories Byte strings, from the root.
 * @param lowers The layers below, the top one first.
 */
export function inheritAttributes(root: string, directories: readonly string[], lowers: readonly string[]): void {
  for (const directory of directories) inherit(root, Buffer.from(directory, 'latin1'), lowers)
}

function inherit(root: string, directory: Buffer, lowers: readonly string[]): void {
  for (const lower of lowers) {
    const found = withRoot(lower, () => attributesOf(directory))
    if (found === undefined) continue
    if (found === 'hidden') return
    withRoot(root, () => {
      lchownSync(directory, found.uid, found.gid)
      chmodSync(directory, found.mode)
      for (const [name, value] of found.xattrs) setXattr(directory, name, value)
      setTimes(directory, found.mtime, found.mtime)
    })
    return
  }
}

function attributesOf(directory: Buffer) {
  try {
    const stats = lstatSync(directory, { bigint: true })
    if (!stats.isDirectory()) return 'hidden'
    const xattrs = listXattrs(directory).filter(isKeptXattr).map((name): [string, Buffer] => [name, getXattr(directory, name)])
    return { uid: Number(stats.uid), gid: Number(stats.gid), mode: Number(stats.mode) & 0o7777, mtime: stats.mtimeNs, xattrs }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    if (isErrno(error, 'ENOTDIR')) return 'hidden'
    throw error
  }
}
