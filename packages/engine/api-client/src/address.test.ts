import { describe, expect, it } from 'vitest'
import { parseHost } from './address.ts'

describe('parseHost', () => {
  it.each([
    ['unix:///run/berth/berth.sock', { kind: 'unix', path: '/run/berth/berth.sock' }],
    ['tcp://127.0.0.1:2375', { kind: 'tcp', host: '127.0.0.1', port: 2375 }],
    ['tcp://engine.example', { kind: 'tcp', host: 'engine.example', port: undefined }],
    ['tcp://[::1]:2376', { kind: 'tcp', host: '::1', port: 2376 }],
    ['ssh://me@engine.example:22', { kind: 'ssh', host: 'engine.example', user: 'me', port: 22 }],
    ['ssh://engine', { kind: 'ssh', host: 'engine', user: undefined, port: undefined }],
  ])('reads %s', (host, address) => {
    expect(parseHost(host)).toEqual(address)
  })

  // A host that begins with a dash would be an option of ssh (CVE-2017-1000117 and its kin).
  it.each(['', 'unix://', 'unix://relative', '/run/berth.sock', 'npipe:////./pipe', 'tcp://', 'tcp://me@host', 'ssh://-oProxyCommand=evil', 'ssh://-x@host', 'tcp://host:port', 'ssh://host/path'])('refuses "%s"', (host) => {
    expect(() => parseHost(host)).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
  })
})
