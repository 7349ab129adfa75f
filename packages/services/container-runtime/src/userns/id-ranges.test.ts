import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { freeRange, parseSubordinateIds, readSubordinateFiles, remapRange } from './id-ranges.ts'

const none = { uids: [], gids: [] }
const half = 2 ** 31

it('reads what the files of subordinate IDs say, and leaves out what says nothing', () => {
  expect(parseSubordinateIds('# given\nsam:100000:65536\n\nbad line\nx:1\n1000:5:7\n')).toEqual([
    { user: 'sam', first: 100_000, count: 65_536 },
    { user: '1000', first: 5, count: 7 },
  ])
})

it('finds no rows where there are no files', () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-subuid-'))
  try {
    expect(readSubordinateFiles(dir)).toEqual(none)
    writeFileSync(join(dir, 'subgid'), 'berth:1:2')
    expect(readSubordinateFiles(dir)).toEqual({ uids: [], gids: [{ user: 'berth', first: 1, count: 2 }] })
  } finally {
    rmSync(dir, { recursive: true })
  }
})

it('gives each container a range that no other has, and one that was given back again', () => {
  const first = freeRange(none, [])
  const second = freeRange(none, [first])
  expect(first).toEqual({ uid: half, gid: half, size: 65_536 })
  expect(second).toEqual({ uid: half + 65_536, gid: half + 65_536, size: 65_536 })
  expect(freeRange(none, [second])).toEqual(first)
})

it('takes from what is given to berth and says when that is all', () => {
  const files = { uids: [{ user: 'berth', first: 100_000, count: 131_072 }], gids: [{ user: 'berth', first: 500_000, count: 131_072 }] }
  const first = freeRange(files, [])
  expect(first).toEqual({ uid: 100_000, gid: 500_000, size: 65_536 })
  const second = freeRange(files, [first])
  expect(second).toEqual({ uid: 165_536, gid: 565_536, size: 65_536 })
  expect(() => freeRange(files, [first, second])).toThrow(expect.objectContaining({ kind: 'unavailable', code: 'USERNS_IDS' }))
})

it('takes none that the files give to others', () => {
  expect(freeRange({ uids: [{ user: 'sam', first: half + 10, count: 65_536 }], gids: [] }, []).uid).toBe(half + 10 + 65_536)
})

it('remaps as dockerd does', () => {
  const files = { uids: [{ user: 'sam', first: 100_000, count: 70_000 }], gids: [{ user: 'crew', first: 200_000, count: 65_536 }, { user: 'sam', first: 9, count: 10 }] }
  expect(remapRange('sam:crew', files)).toEqual({ uid: 100_000, gid: 200_000, size: 65_536 })
  expect(remapRange('sam', files)).toEqual({ uid: 100_000, gid: 9, size: 10 })
  expect(remapRange('default', none)).toEqual({ uid: half, gid: half, size: 65_536 })
  expect(() => remapRange('joe', files)).toThrow(/no subuid ranges found for user "joe"/)
  expect(() => remapRange('sam:joe', files)).toThrow(/no subgid ranges found for group "joe"/)
})
