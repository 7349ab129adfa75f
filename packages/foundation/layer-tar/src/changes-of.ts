import { type BigIntStats, lstatSync, readdirSync } from 'node:fs'
import { isErrno } from '@berth/core'
import { getXattr, withRoot } from '@berth/linux'
import { opaqueXattr } from './whiteouts.ts'

/** One difference between two trees, as `docker diff` tells it. */
export interface TreeChange {
  /** From the root, with a slash at its beginning; bytes that are no UTF-8 are replaced. */
  path: string
  kind: 'modified' | 'added' | 'deleted'
}

/** A directory, by byte strings from the root, and the lower ones that show through it, the top one first. */
interface Directory {
  path: string
  /** Whether it hides what those hold. */
  opaque: boolean
  lowers: readonly string[]
}

interface Node {
  stats: BigIntStats
  capability: Buffer | undefined
  opaque: boolean
}

const batchSize = 500

/**
 * What an upper directory of overlayfs changes of the directories below it, the top one first, in batches: for worker threads. A directory that is as it was is told of
 * as `modified` if something in it changed; what lay in a deleted directory is not told of. Times of directories count for nothing.
 */
export function* changesOf(upper: string, lowers: readonly string[]): Generator<TreeChange[], void, undefined> {
  let batch: TreeChange[] = []
  for (const change of walk(upper, { path: '', opaque: false, lowers }, [])) {
    batch.push(change)
    if (batch.length < batchSize) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** @param silent Directories above that have not been told of, because nothing was seen to change. */
function* walk(upper: string, directory: Directory, silent: string[]): Generator<TreeChange, void, undefined> {
  const own = withRoot(upper, () => childrenOf(directory))
  const names = new Set(own.keys())
  if (directory.opaque) for (const name of lowerNames(directory)) names.add(name)
  for (const name of [...names].toSorted()) {
    const path = `${directory.path}/${name}`
    const node = own.get(name)
    const below = lowerNode(directory.lowers, path)
    const kind = changeOf(node, below.node)
    if (kind !== undefined) {
      for (const parent of silent.splice(0)) yield { path: shown(parent), kind: 'modified' }
      yield { path: shown(path), kind }
    }
    if (!node?.stats.isDirectory()) continue
    if (kind === undefined) silent.push(path)
    yield* walk(upper, { path, opaque: node.opaque, lowers: below.directories }, silent)
    if (silent.at(-1) === path) silent.pop()
  }
}

/** @param node What the upper directory has; undefined where an opaque directory hides what is below. */
function changeOf(node: Node | undefined, below: Node | undefined): TreeChange['kind'] | undefined {
  if (!node || isWhiteout(node)) return below && 'deleted'
  if (!below) return 'added'
  const [now, then] = [node.stats, below.stats]
  if (now.mode !== then.mode || now.uid !== then.uid || now.gid !== then.gid || now.rdev !== then.rdev) return 'modified'
  if (!now.isDirectory() && (now.size !== then.size || now.mtimeNs !== then.mtimeNs)) return 'modified'
  return (node.capability ?? Buffer.alloc(0)).equals(below.capability ?? Buffer.alloc(0)) ? undefined : 'modified'
}

/** What a path shows in the layers below, and which of them show through if it is a directory. */
function lowerNode(lowers: readonly string[], path: string): { node: Node | undefined; directories: string[] } {
  let found: Node | undefined
  const directories: string[] = []
  for (const lower of lowers) {
    const node = nodeAt(Buffer.from(`${byteString(lower)}${path}`, 'latin1'))
    if (!node) continue
    if (isWhiteout(node)) break
    found ??= node
    // A file below a directory is hidden by it, with all that is below the file.
    if (!node.stats.isDirectory()) break
    directories.push(lower)
    if (node.opaque) break
  }
  return { node: found, directories }
}

function lowerNames({ path, lowers }: Directory): Set<string> {
  return new Set(lowers.flatMap((lower) => namesIn(Buffer.from(`${byteString(lower)}${path}`, 'latin1'))))
}

function childrenOf({ path }: Directory): Map<string, Node> {
  const children = new Map<string, Node>()
  for (const name of namesIn(Buffer.from(path === '' ? '/' : path, 'latin1'))) {
    const node = nodeAt(Buffer.from(`${path}/${name}`, 'latin1'))
    if (node) children.set(name, node)
  }
  return children
}

function namesIn(directory: Buffer): string[] {
  return unlessGone(() => readdirSync(directory, { encoding: 'buffer' }))?.map((name) => name.toString('latin1')) ?? []
}

function nodeAt(path: Buffer): Node | undefined {
  const stats = unlessGone(() => lstatSync(path, { bigint: true }))
  if (!stats) return undefined
  const attribute = (name: string) => unlessGone(() => getXattr(path, name))
  return {
    stats,
    capability: stats.isFile() ? attribute('security.capability') : undefined,
    opaque: stats.isDirectory() && attribute(opaqueXattr)?.toString('latin1') === 'y',
  }
}

function isWhiteout({ stats }: Node): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0n
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENODATA', 'ENAMETOOLONG')) return undefined
    throw error
  }
}

function byteString(text: string): string {
  return Buffer.from(text).toString('latin1')
}

function shown(path: string): string {
  return Buffer.from(path, 'latin1').toString()
}
