import { expect, it } from 'vitest'
import { netlinkAttribute, parseNetlinkAttributes } from './netlink.ts'

it('attributes are padded, nest and are found again', () => {
  const name = netlinkAttribute(3, Buffer.from('eth0\0'))
  expect(name.toString('hex')).toBe('09000300657468300000' + '0000')
  const nested = netlinkAttribute(18, [name, netlinkAttribute(1, Buffer.of(7))])
  const parsed = parseNetlinkAttributes(Buffer.concat([Buffer.alloc(16), nested, netlinkAttribute(4, Buffer.of(1, 2, 3, 4))]), 16)
  expect([...parsed.keys()]).toEqual([18, 4])
  expect(parseNetlinkAttributes(parsed.get(18)!).get(3)?.toString()).toBe('eth0\0')
})

it('a truncated attribute ends the list', () => {
  expect(parseNetlinkAttributes(Buffer.of(0, 0, 1, 0)).size).toBe(0)
})
