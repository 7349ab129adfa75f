import { expect, it } from 'vitest'
import { ownerInside, ownerOutside } from './mapped-ids.ts'

const range = { uid: 100_000, gid: 200_000, size: 65_536 }

it('translates owners both ways, users and groups by their own first', () => {
  expect(ownerInside(range, { uid: 100_007, gid: 200_008 })).toEqual({ uid: 7, gid: 8 })
  expect(ownerOutside(range, { uid: 7, gid: 8 })).toEqual({ uid: 100_007, gid: 200_008 })
  expect(ownerInside(range, { uid: 165_535, gid: 265_535 })).toEqual({ uid: 65_535, gid: 65_535 })
})

it('gives to nobody what the namespace does not have, and takes nothing of whom it does not have', () => {
  expect(ownerInside(range, { uid: 0, gid: 265_536 })).toEqual({ uid: 65_534, gid: 65_534 })
  expect(() => ownerOutside(range, { uid: 65_536, gid: 0 })).toThrow('Container ID 65536 cannot be mapped to a host ID')
  expect(() => ownerOutside(range, { uid: 0, gid: 70_000 })).toThrow(expect.objectContaining({ kind: 'invalid-argument', code: 'ID_UNMAPPED' }))
})
