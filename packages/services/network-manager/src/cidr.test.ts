import { describe, expect, it } from 'vitest'
import { contains, formatAddress, formatCidr, overlaps, parseAddress, parseCidr } from './cidr.ts'

describe('addresses', () => {
  it.each([
    ['172.17.0.2', '172.17.0.2'],
    ['::', '::'],
    ['::1', '::1'],
    ['fd00::', 'fd00::'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['::ffff:1.2.3.4', '::ffff:102:304'],
  ])('reads %s and writes it %s', (text, written) => {
    expect(formatAddress(parseAddress(text)!)).toBe(written)
  })

  it.each(['', '1.2.3', '1.2.3.256', '01.2.3.4', 'fe80::1%eth0', '::g', 'host', '1.2.3.4/8'])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined()
  })
})

describe('ranges', () => {
  it.each(['', '/8', '10.0.0.0', '10.0.0.0/33', '10.0.0.0/-1', 'fd00::/129', '10.0.0.0/8/8'])('refuses %j', (text) => {
    expect(parseCidr(text)).toBeUndefined()
  })

  it('tells what is inside and what overlaps', () => {
    const range = parseCidr('10.1.2.3/16')!
    expect(formatCidr(range)).toBe('10.1.0.0/16')
    expect(contains(range, parseAddress('10.1.255.255')!)).toBe(true)
    expect(contains(range, parseAddress('10.2.0.0')!)).toBe(false)
    expect(contains(range, parseAddress('::')!)).toBe(false)
    expect(overlaps(range, parseCidr('10.1.9.0/24')!)).toBe(true)
    expect(overlaps(range, parseCidr('0.0.0.0/0')!)).toBe(true)
    expect(overlaps(range, parseCidr('10.2.0.0/16')!)).toBe(false)
    expect(overlaps(range, parseCidr('::/0')!)).toBe(false)
  })
})
