import { expect, it } from 'vitest'
import { Proxies } from './proxies.ts'

const proxies = (noProxy?: string) => new Proxies({ httpProxy: 'plain:3128', httpsProxy: 'http://me:hunter2@secure:3128', noProxy })

it('has one for each protocol', () => {
  expect(proxies().for(new URL('http://registry.example/v2/'))).toBe('http://plain:3128/')
  expect(proxies().for(new URL('https://registry.example/v2/'))).toBe('http://me:hunter2@secure:3128/')
  expect(new Proxies({ httpsProxy: 'http://secure' }).for(new URL('http://registry.example/'))).toBeUndefined()
  expect(new Proxies({}).for(new URL('https://registry.example/'))).toBeUndefined()
})

it.each([
  ['', 'https://127.0.0.1:5000/', true],
  ['', 'https://localhost/', true],
  ['', 'https://[::1]/', true],
  ['', 'https://10.0.0.1/', false],
  ['*', 'https://registry.example/', true],
  ['registry.example', 'https://registry.example/', true],
  ['registry.example', 'https://a.registry.example/', true],
  ['registry.example', 'https://aregistry.example/', false],
  ['.example', 'https://registry.example/', true],
  ['.registry.example', 'https://registry.example/', false],
  ['*.example', 'https://registry.example/', true],
  ['registry.example:5000', 'https://registry.example/', false],
  ['registry.example:443', 'https://registry.example/', true],
  ['other, 10.0.0.0/8', 'https://10.1.2.3:5000/', true],
  ['10.0.0.0/8', 'https://11.1.2.3/', false],
  ['10.0.0.1', 'https://10.0.0.1/', true],
  ['10.0.0.1', 'https://10.0.0.2/', false],
  ['fd00::/8', 'https://[fd00::1]/', true],
])('with noProxy %j, %s is reached directly: %s', (noProxy, url, expected) => {
  expect(proxies(noProxy).for(new URL(url)) === undefined).toBe(expected)
})

it('does not repeat what is no proxy', () => {
  expect(() => new Proxies({ httpProxy: 'socks5://me:hunter2@proxy' })).toThrow(/^((?!hunter2).)*$/)
})
