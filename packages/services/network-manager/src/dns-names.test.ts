import { describe, expect, it } from 'vitest'
import { addressData, nameData, recordTypes } from './dns-message.ts'
import { DnsNames, type NamedEndpoint } from './dns-names.ts'

const { A, AAAA, PTR } = recordTypes
const endpoint = (id: string, names: string[], ipv4: string, more: Partial<NamedEndpoint> = {}): NamedEndpoint => ({ id, networkId: 'n1', fullName: `${names[0]}.front`, names, ipv4, ipv6: undefined, ...more })
const scope = { networks: [{ id: 'n1', name: 'front' }], links: [] }

describe('names', () => {
  it('lead to containers of the networks of the asker only', () => {
    const names = new DnsNames()
    names.put(endpoint('e1', ['Web', 'site'], '10.0.0.2'))
    names.put(endpoint('e2', ['db'], '10.1.0.2', { networkId: 'n2' }))
    expect(names.resolve(scope, 'web', A)).toEqual([addressData('10.0.0.2')])
    expect(names.resolve(scope, 'site.front', A)).toEqual([addressData('10.0.0.2')])
    expect(names.resolve(scope, 'site.back', A)).toBeUndefined()
    expect(names.resolve(scope, 'db', A)).toBeUndefined()
    expect(names.resolve({ ...scope, networks: [] }, 'web', A)).toBeUndefined()
  })

  it('have no other records, which is not the same as not being there', () => {
    const names = new DnsNames()
    names.put(endpoint('e1', ['web'], '10.0.0.2'))
    expect(names.resolve(scope, 'web', AAAA)).toEqual([])
    expect(names.resolve(scope, 'web', 15)).toEqual([])
    names.put(endpoint('e1', ['web'], '10.0.0.2', { ipv6: 'fd00::2' }))
    expect(names.resolve(scope, 'web', AAAA)).toEqual([addressData('fd00::2')])
  })

  it('lead to each of those that share one in turn', () => {
    const names = new DnsNames()
    for (const [index, address] of ['10.0.0.2', '10.0.0.3', '10.0.0.4'].entries()) names.put(endpoint(`e${index}`, ['pool'], address))
    const firsts = new Set([1, 2, 3].map(() => names.resolve(scope, 'pool', A)?.[0]?.join('.')))
    expect(firsts).toEqual(new Set(['10.0.0.2', '10.0.0.3', '10.0.0.4']))
    names.delete('e1')
    expect(names.resolve(scope, 'pool', A)).toHaveLength(2)
  })

  it('go with their endpoints', () => {
    const names = new DnsNames()
    names.put(endpoint('e1', ['old'], '10.0.0.2'))
    names.put(endpoint('e1', ['new'], '10.0.0.2'))
    expect(names.resolve(scope, 'old', A)).toBeUndefined()
    expect(names.resolve(scope, 'new', A)).toHaveLength(1)
    names.delete('e1')
    names.delete('e1')
    expect(names.resolve(scope, 'new', A)).toBeUndefined()
    expect(names.resolve(scope, '2.0.0.10.in-addr.arpa', PTR)).toBeUndefined()
  })

  it('of links are the asker’s own', () => {
    const names = new DnsNames()
    names.put(endpoint('e1', ['web'], '10.0.0.2'))
    expect(names.resolve({ ...scope, links: [{ networkId: 'n1', alias: 'Upstream', name: 'web' }] }, 'upstream', A)).toHaveLength(1)
    expect(names.resolve(scope, 'upstream', A)).toBeUndefined()
  })
})

it('addresses lead back to names', () => {
  const names = new DnsNames()
  names.put(endpoint('e1', ['web'], '10.0.0.2', { ipv6: 'fd00::2' }))
  expect(names.resolve(scope, '2.0.0.10.in-addr.arpa', PTR)).toEqual([nameData('web.front')])
  expect(names.resolve(scope, `2.${'0.'.repeat(29)}d.f.ip6.arpa`, PTR)).toEqual([nameData('web.front')])
  expect(names.resolve(scope, '3.0.0.10.in-addr.arpa', PTR)).toBeUndefined()
  expect(names.resolve({ ...scope, networks: [{ id: 'n2', name: 'back' }] }, '2.0.0.10.in-addr.arpa', PTR)).toBeUndefined()
})
