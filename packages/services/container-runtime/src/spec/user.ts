import { BerthError } from '@berth/core'

export interface ResolvedUser {
  uid: number
  gid: number
  additionalGids: number[]
}

/** Contents of a root file system's account files; undefined where there is none. */
export interface AccountFiles {
  passwd: string | undefined
  group: string | undefined
}

const maxId = 2 ** 31 - 1

function rows(text: string | undefined, columns: number): string[][] {
  return (text ?? '')
    .split('\n')
    .filter((line) => line && !line.startsWith('#'))
    .map((line) => line.split(':'))
    .filter((row) => row.length >= columns)
}

/** A number as long as any that 64 bits hold; whether it is an ID is for {@link inRange}. */
function numeric(text: string | undefined): number | undefined {
  if (text === undefined || !/^-?\d{1,19}$/.test(text)) return undefined
  return Number(text)
}

/** An ID that does not fit would be another one to the kernel: 4294967296 is root (CVE-2024-40635). */
function inRange(id: number): number {
  if (id < 0 || id > maxId) throw new BerthError('invalid-argument', 'USER_INVALID', `uids and gids must be in range 0-${maxId}`)
  return id
}

/**
 * Who `user` (`name|uid[:group|gid]`, empty for root) is inside a container, as its own account files say. Supplementary groups come from the
 * group file unless a group is given. Throws `invalid-argument` for a name that the files do not know.
 */
export function resolveUser(user: string, accounts: AccountFiles, groupAdd: readonly string[] = []): ResolvedUser {
  const [who = '', group] = user.split(':', 2)
  const users = rows(accounts.passwd, 4)
  const groups = rows(accounts.group, 3)

  // A name is looked for before a number, as a name may consist of digits.
  const wantedUid = numeric(who || '0')
  const entry = users.find((row) => (who !== '' && row[0] === who) || (wantedUid !== undefined && row[2] === String(wantedUid)))
  const uid = entry ? numeric(entry[2]) : wantedUid
  if (uid === undefined) throw new BerthError('invalid-argument', 'USER_UNKNOWN', `unable to find user ${who}: no matching entries in passwd file`)

  const groupId = (name: string): number => {
    const id = numeric(groups.find((row) => row[0] === name)?.[2]) ?? numeric(name)
    if (id === undefined) throw new BerthError('invalid-argument', 'GROUP_UNKNOWN', `unable to find group ${name}: no matching entries in group file`)
    return inRange(id)
  }
  // A group that is no number must not become root's.
  const gid = group ? groupId(group) : entry ? (numeric(entry[3]) ?? -1) : 0
  const memberOf = group || !entry ? [] : groups.filter((row) => row[3]?.split(',').includes(entry[0] ?? '')).map((row) => numeric(row[2]) ?? -1)
  // The primary group is among them, so that a set-group-ID program that drops its group does not gain by it (CVE-2022-36109).
  const additionalGids = [...new Set([gid, ...memberOf, ...groupAdd.map(groupId)])].filter((id) => id >= 0 && id <= maxId)
  return { uid: inRange(uid), gid: inRange(gid), additionalGids }
}
