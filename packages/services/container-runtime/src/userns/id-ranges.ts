import { readFileSync } from 'node:fs'
import { BerthError, isErrno } from '@berth/core'
import type { IdRange } from '@berth/linux'

/** A row of IDs that a file gives to a user. @see subuid(5), subgid(5) */
export interface SubordinateIds {
  user: string
  first: number
  count: number
}

/** The files of a machine that give rows of IDs away. */
export interface SubordinateFiles {
  uids: readonly SubordinateIds[]
  gids: readonly SubordinateIds[]
}

/** How many IDs a container's user namespace has. */
const rangeSize = 65_536

/** Where ranges are taken from that no file gives: the upper half of all IDs, which is what other engines keep for containers too. */
const defaultPool = { first: 2 ** 31, count: 2 ** 31 - rangeSize }

/** The user whose subordinate IDs are the engine's. */
const engineUser = 'berth'

/** What `/etc/subuid` or `/etc/subgid` says; a line that says nothing is left out. */
export function parseSubordinateIds(text: string): SubordinateIds[] {
  return text.split('\n').flatMap((line) => {
    const [, user = '', first, count] = /^([^:#]+):(\d{1,10}):(\d{1,10})\s*$/.exec(line) ?? []
    return first === undefined ? [] : [{ user, first: Number(first), count: Number(count) }]
  })
}

export function readSubordinateFiles(directory = '/etc'): SubordinateFiles {
  const read = (name: string): SubordinateIds[] => {
    try {
      return parseSubordinateIds(readFileSync(`${directory}/${name}`, 'utf8'))
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return []
      throw error
    }
  }
  return { uids: read('subuid'), gids: read('subgid') }
}

/**
 * A range that none of `taken` touches, for a container's own user namespace: of what the files give to `berth`, or of the upper half of all IDs without what they give to others.
 * @throws `unavailable` when all are taken
 */
export function freeRange(files: SubordinateFiles, taken: readonly IdRange[]): IdRange {
  const uids = freeRow(files.uids, taken.map(({ uid, size }) => ({ first: uid, count: size })))
  const gids = freeRow(files.gids, taken.map(({ gid, size }) => ({ first: gid, count: size })))
  if (uids === undefined || gids === undefined) {
    throw new BerthError('unavailable', 'USERNS_IDS', `no ${rangeSize} user and group IDs are left for another user namespace`, { hint: `Give the user ${engineUser} more in /etc/subuid and /etc/subgid, or remove containers.` })
  }
  return { uid: uids, gid: gids, size: rangeSize }
}

type Row = Pick<SubordinateIds, 'first' | 'count'>

function freeRow(given: readonly SubordinateIds[], taken: readonly Row[]): number | undefined {
  const own = given.filter(({ user }) => user === engineUser)
  const others = own.length > 0 ? [] : given
  const busy = [...taken, ...others]
  for (const { first, count } of own.length > 0 ? own : [defaultPool]) {
    let candidate = first
    while (candidate + rangeSize <= first + count) {
      const hit = busy.find((row) => candidate < row.first + row.count && row.first < candidate + rangeSize)
      if (!hit) return candidate
      candidate = Math.max(candidate + rangeSize, hit.first + hit.count)
    }
  }
  return undefined
}

/**
 * The range of `--userns-remap`, which all containers share: `default`, or `user[:group]` by name or number, whose first subordinate IDs are taken.
 * `default` is the engine's own user, or without one the first range of all.
 * @throws `invalid-argument` for somebody who has none
 */
export function remapRange(remap: string, files: SubordinateFiles): IdRange {
  const [user = '', group = user] = remap === 'default' ? [engineUser] : remap.split(':', 2)
  const uids = files.uids.find((row) => row.user === user)
  const gids = files.gids.find((row) => row.user === group)
  if (remap === 'default' && !uids && !gids) return freeRange(files, [])
  if (!uids) throw new BerthError('invalid-argument', 'USERNS_REMAP_INVALID', `Can't create ID mappings: no subuid ranges found for user ${JSON.stringify(user)} in /etc/subuid`)
  if (!gids) throw new BerthError('invalid-argument', 'USERNS_REMAP_INVALID', `Can't create ID mappings: no subgid ranges found for group ${JSON.stringify(group)} in /etc/subgid`)
  return { uid: uids.first, gid: gids.first, size: Math.min(uids.count, gids.count) }
}
