import { BerthError } from '@berth/core'
import type { IdRange } from '@berth/linux'

/** Who owns what belongs to nobody of a user namespace, as it sees it. @see user_namespaces(7), /proc/sys/kernel/overflowuid */
const nobody = 65_534

/** The owner that a user namespace sees of a file of the machine. */
export function ownerInside({ uid, gid, size }: IdRange, owner: { uid: number; gid: number }): { uid: number; gid: number } {
  const inside = (id: number, first: number): number => (id >= first && id < first + size ? id - first : nobody)
  return { uid: inside(owner.uid, uid), gid: inside(owner.gid, gid) }
}

/** The machine's owner of a file that belongs to `owner` in a user namespace. Throws `invalid-argument`, in Docker's words, for one that it does not have. */
export function ownerOutside({ uid, gid, size }: IdRange, owner: { uid: number; gid: number }): { uid: number; gid: number } {
  const outside = (id: number, first: number): number => {
    if (id >= size) throw new BerthError('invalid-argument', 'ID_UNMAPPED', `Container ID ${id} cannot be mapped to a host ID`)
    return id + first
  }
  return { uid: outside(owner.uid, uid), gid: outside(owner.gid, gid) }
}
