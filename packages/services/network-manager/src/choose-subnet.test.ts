import { describe, expect, it } from 'vitest'
import { chooseSubnet, chooseUniqueLocalSubnet, defaultPools } from './choose-subnet.ts'
import { parseCidr } from './cidr.ts'

const taken = (...ranges: string[]) => ranges.map((range) => parseCidr(range)!)

describe('the choice of a subnet', () => {
  it('goes through the pools of Docker in order', () => {
    expect(chooseSubnet(defaultPools, [])).toBe('172.17.0.0/16')
    expect(chooseSubnet(defaultPools, taken('172.17.0.0/16', '172.18.5.0/24'))).toBe('172.19.0.0/16')
    expect(chooseSubnet(defaultPools, taken('172.16.0.0/12', '192.168.0.0/20'))).toBe('192.168.16.0/20')
    expect(chooseSubnet(defaultPools, taken('172.16.0.0/12', '192.168.40.7/32'))).toBe('192.168.0.0/20')
  })

  it('says when there is none', () => {
    expect(() => chooseSubnet(defaultPools, taken('172.0.0.0/8', '192.168.0.0/16'))).toThrow('all predefined address pools have been fully subnetted')
  })

  it('makes a unique local one for IPv6', () => {
    expect(chooseUniqueLocalSubnet()).toMatch(/^fd[0-9a-f]{2}:[0-9a-f:]+\/64$/)
    expect(chooseUniqueLocalSubnet()).not.toBe(chooseUniqueLocalSubnet())
  })
})
