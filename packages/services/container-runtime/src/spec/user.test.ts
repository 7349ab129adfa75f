import { describe, expect, it } from 'vitest'
import { resolveUser } from './user.ts'

const accounts = {
  passwd: 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home:/bin/sh\n77:x:1077:0::/:/bin/sh\n# off:x:1:1::/:\nevil:x:4294967296:0::/:/bin/sh\nsneaky:x:1000:x::/:/bin/sh\nshort:x:5\n',
  group: 'root:x:0:\napp:x:1000:\nextra:x:1001:app,other\nbroken:x:nan:app\nwide:x:4294967296:app\n',
}
const of = (user: string, groupAdd: string[] = []) => resolveUser(user, accounts, groupAdd)

describe('a user', () => {
  it('is found by name or number, with the groups of the account files', () => {
    expect(of('')).toEqual({ uid: 0, gid: 0, additionalGids: [0] })
    expect(of('app')).toEqual({ uid: 1000, gid: 1000, additionalGids: [1000, 1001] })
    expect(of('1000')).toEqual(of('app'))
    expect(of('5')).toEqual({ uid: 5, gid: 0, additionalGids: [0] })
    expect(of('app:extra')).toEqual({ uid: 1000, gid: 1001, additionalGids: [1001] })
    // A name may consist of digits, and goes before the number.
    expect(of('77')).toMatchObject({ uid: 1077 })
  })

  it('is in further groups, by name or number', () => {
    expect(of('app', ['root', '88'])).toMatchObject({ additionalGids: [1000, 1001, 0, 88] })
    expect(() => of('app', ['nowhere'])).toThrow('unable to find group nowhere: no matching entries in group file')
  })

  it('that is not known is refused', () => {
    for (const user of ['ghost', 'off', 'short', '#', '99999999999999999999']) expect(() => of(user)).toThrow(`unable to find user ${user}: no matching entries in passwd file`)
    expect(() => resolveUser('app', { passwd: undefined, group: undefined })).toThrow('unable to find user app')
    expect(resolveUser('12:34', { passwd: undefined, group: undefined })).toMatchObject({ uid: 12, gid: 34 })
  })

  it('that does not fit is refused, and becomes nobody else (CVE-2024-40635)', () => {
    for (const user of ['2147483648', '4294967296', '-1', 'app:-1', 'app:4294967296', 'app:wide', 'evil', 'sneaky']) {
      expect(() => of(user), `as ${user}`).toThrow('uids and gids must be in range 0-2147483647')
    }
    expect(of('2147483647')).toMatchObject({ uid: 2147483647 })
    // A broken line of the group file makes nobody a member of root's group.
    expect(of('app').additionalGids).not.toContain(0)
  })
})
