import { expect, it } from 'vitest'
import { parseChallenge } from './challenge.ts'

it.each([
  ['Basic realm="Registry"', { scheme: 'basic', parameters: { realm: 'Registry' } }],
  ['basic', { scheme: 'basic', parameters: {} }],
  [
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull,push",error="invalid_token"',
    { scheme: 'bearer', parameters: { realm: 'https://auth.docker.io/token', service: 'registry.docker.io', scope: 'repository:a:pull,push', error: 'invalid_token' } },
  ],
  ['Basic realm="a, Bearer b", Bearer realm=https://x/, Service = "s"', { scheme: 'bearer', parameters: { realm: 'https://x/', service: 's' } }],
  ['Bearer realm="a\\"b"', { scheme: 'bearer', parameters: { realm: 'a"b' } }],
  ['Negotiate, Basic realm="x"', { scheme: 'basic', parameters: { realm: 'x' } }],
  ['Negotiate', undefined],
  ['', undefined],
  [undefined, undefined],
])('%s', (header, expected) => {
  expect(parseChallenge(header)).toEqual(expected)
})

it('does not spend long on a header made for that', () => {
  expect(parseChallenge(`Bearer ${'a='.repeat(100_000)}`)?.scheme).toBe('bearer')
  expect(parseChallenge('a'.repeat(100_000))).toBeUndefined()
  expect(parseChallenge(`Basic realm="${'\\'.repeat(100_000)}`)?.scheme).toBe('basic')
})
