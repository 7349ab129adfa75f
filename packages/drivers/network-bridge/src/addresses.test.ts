import { describe, expect, it } from 'vitest'
import { addressBytes, isAddress, isUnspecified, networkOf, parseCidr } from './addresses.ts'

describe('addresses', () => {
  it('have their bytes', () => {
    expect([...addressBytes('172.18.0.2')]).toEqual([172, 18, 0, 2])
    expect(addressBytes('fd00:1::2').toString('hex')).toBe('fd000001000000000000000000000002')
    expect(addressBytes('::').toString('hex')).toBe('0'.repeat(32))
    expect(addressBytes('1:2:3:4:5:6:7:8').toString('hex')).toBe('00010002000300040005000600070008')
    expect(addressBytes('::ffff:10.0.0.1').toString('hex')).toBe('00000000000000000000ffff0a000001')
  })

  it('have their network', () => {
    expect(networkOf('172.18.77.2/16')).toBe('172.18.0.0/16')
    expect(networkOf('172.18.77.255/22')).toBe('172.18.76.0/22')
    expect(networkOf('10.1.2.3/0')).toBe('0.0.0.0/0')
    expect(networkOf('10.1.2.3/32')).toBe('10.1.2.3/32')
    expect(networkOf('fd00:18::2/64')).toBe('fd00:18:0:0:0:0:0:0/64')
  })

  it('stand for all of their family', () => {
    expect(['0.0.0.0', '::', '0:0:0:0:0:0:0:0', '127.0.0.1', '::1'].map(isUnspecified)).toEqual([true, true, true, false, false])
  })

  it('are nothing else', () => {
    for (const text of ['', 'localhost', '1.2.3', 'fe80::1%eth0', '1.2.3.4/24', '1.2.3.4 ']) expect(isAddress(text)).toBe(false)
    for (const text of ['1.2.3.4', '1.2.3.4/33', '1.2.3.4/', '1.2.3.4/-1', '1.2.3.4/1/2', '::1/129', '1.2.3.4/1e1', 'fe80::1%eth0/64']) expect(() => parseCidr(text)).toThrow('invalid CIDR address')
  })
})
