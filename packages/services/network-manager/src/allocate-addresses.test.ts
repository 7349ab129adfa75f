import { describe, expect, it } from 'vitest'
import { AddressAllocator } from './allocate-addresses.ts'
import type { Pool } from './network-records.ts'

const pool = (subnet: string, more: Partial<Pool> = {}): Pool => ({ subnet, range: undefined, gateway: undefined, auxiliary: {}, ...more })

/** Takes addresses until there are none. */
function drain(given: Pool): string[] {
  const [allocator, taken] = [new AddressAllocator(), new Set<string>()]
  for (;;) {
    const address = allocator.choose('n', given, taken)
    if (address === undefined) return [...taken]
    expect(taken.has(address)).toBe(false)
    taken.add(address)
  }
}

describe('the choice of addresses', () => {
  it('leaves out the subnet, its broadcast, the gateway and the auxiliary addresses', () => {
    expect(drain(pool('10.0.0.0/29', { gateway: '10.0.0.1', auxiliary: { router: '10.0.0.3' } }))).toEqual(['10.0.0.2', '10.0.0.4', '10.0.0.5', '10.0.0.6'])
  })

  it('keeps to the range for containers', () => {
    expect(drain(pool('10.0.0.0/24', { range: '10.0.0.252/30', gateway: '10.0.0.1' }))).toEqual(['10.0.0.252', '10.0.0.253', '10.0.0.254'])
  })

  it('uses both addresses of a point-to-point subnet', () => {
    expect(drain(pool('10.0.0.0/31'))).toEqual(['10.0.0.0', '10.0.0.1'])
  })

  it('goes on after the last one, and comes back to those given back', () => {
    const [allocator, given] = [new AddressAllocator(), pool('10.0.0.0/29')]
    expect(allocator.choose('n', given, new Set())).toBe('10.0.0.1')
    expect(allocator.choose('n', given, new Set())).toBe('10.0.0.2')
    expect(allocator.choose('n', given, new Set(['10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6']))).toBe('10.0.0.1')
    expect(allocator.choose('other', given, new Set())).toBe('10.0.0.1')
  })

  it('takes a step for each taken address only, however big the subnet', () => {
    expect(new AddressAllocator().choose('n', pool('fd00::/64', { gateway: 'fd00::1' }), new Set(['fd00::2']))).toBe('fd00::3')
  })
})
