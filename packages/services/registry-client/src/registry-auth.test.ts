import { describe, expect, it } from 'vitest'
import { credentialsOf, parseRegistryAuth } from './registry-auth.ts'

const auth = { username: 'me', password: 'p\u{ff}ss?>', email: 'me@x', serveraddress: 'https://index.docker.io/v1/', identitytoken: 'i', registrytoken: 'r' }

describe('the header X-Registry-Auth', () => {
  it.each(['base64', 'base64url'] as const)('is read from %s, padded or not', (encoding) => {
    const header = Buffer.from(JSON.stringify(auth)).toString(encoding)
    expect(parseRegistryAuth(header)).toEqual(auth)
    expect(parseRegistryAuth(header.replace(/=+$/, ''))).toEqual(auth)
    expect(parseRegistryAuth(`${header.replace(/=+$/, '')}==`)).toEqual(auth)
  })

  it.each([undefined, '', 'e30=', '{}', 'null', Buffer.from('null').toString('base64'), 'garbage', '%%%', Buffer.from('[1').toString('base64'), Buffer.from('{"username":5}').toString('base64'), 'A'.repeat(1 << 20)])(
    'counts as no credentials if it is %.20s, as dockerd has it',
    (header) => expect(parseRegistryAuth(header)).toBeUndefined(),
  )

  it('gives nothing but what is known of credentials', () => {
    expect(parseRegistryAuth(Buffer.from('{"username":"me","__proto__":{"password":"x"},"other":"y","email":null}').toString('base64'))).toEqual({ username: 'me' })
  })
})

it.each([
  [undefined, { kind: 'none' }],
  [{}, { kind: 'none' }],
  [{ password: 'p' }, { kind: 'none' }],
  [{ username: 'u', password: 'p' }, { kind: 'password', username: 'u', password: 'p' }],
  [{ auth: Buffer.from('u:p:q').toString('base64') }, { kind: 'password', username: 'u', password: 'p:q' }],
  [{ auth: Buffer.from('u:p\0\0').toString('base64') }, { kind: 'password', username: 'u', password: 'p' }],
  [{ auth: Buffer.from('nothing').toString('base64') }, { kind: 'none' }],
  [{ username: 'v', password: 'w', auth: Buffer.from('u:p').toString('base64') }, { kind: 'password', username: 'v', password: 'w' }],
  [{ username: '<token>', password: 't' }, { kind: 'identity', username: '', token: 't' }],
  [{ username: 'u', identitytoken: 't' }, { kind: 'identity', username: 'u', token: 't' }],
  [{ username: 'u', password: 'p', identitytoken: 't', registrytoken: 'r' }, { kind: 'bearer', token: 'r' }],
])('%j comes down to %j', (given, credentials) => {
  expect(credentialsOf(given)).toEqual(credentials)
})
