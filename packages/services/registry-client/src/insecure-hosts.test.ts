import { expect, it } from 'vitest'
import { InsecureHosts } from './insecure-hosts.ts'

it.each([
  [[], '127.0.0.1:5000', true],
  [[], '127.9.9.9', true],
  [[], 'localhost:5000', true],
  [[], '[::1]:5000', true],
  [[], '10.0.0.1:5000', false],
  [[], 'localhost.example.com', false],
  [[], '127.0.0.1.example.com', false],
  [['registry:5000'], 'registry:5000', true],
  [['Registry:5000'], 'registry:5000', true],
  [['registry:5000'], 'registry', false],
  [['registry'], 'registry:5000', true],
  [['registry'], 'my.registry', false],
  [['10.0.0.0/8'], '10.1.2.3:5000', true],
  [['10.0.0.0/8'], '11.1.2.3:5000', false],
  [['fd00::/8'], '[fd00::1]:5000', true],
])('%j: %s %s', (entries, host, expected) => {
  expect(new InsecureHosts(entries).has(host)).toBe(expected)
})

it.each(['10.0.0.0/33', 'registry/8', '10.0.0.0/', 'http://registry', ''])('%j is refused', (entry) => {
  expect(() => new InsecureHosts([entry])).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
})
