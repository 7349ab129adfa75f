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

function numeric(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined
  return Number(text)
}

function inRange(id: number, kind: string): number {
  if (id > maxId) throw new BerthError('invalid-argument', 'USER_INVALID', `uids and gids must be in range 0-${maxId} (${kind} ${id})`)
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
    return inRange(id, 'gid')
  }
  const gid = group ? groupId(group) : (numeric(entry?.[3]) ?? 0)
  const memberOf = group || !entry ? [] : groups.filter((row) => row[3]?.split(',').includes(entry[0] ?? '')).map((row) => numeric(row[2]) ?? 0)
  // The primary group is among them, so that a set-group-ID program that drops its group does not gain by it (CVE-2022-36109).
  const additionalGids = [...new Set([gid, ...memberOf, ...groupAdd.map(groupId)])].filter((id) => id <= maxId)
  return { uid: inRange(uid, 'uid'), gid: inRange(gid, 'gid'), additionalGids }
}
