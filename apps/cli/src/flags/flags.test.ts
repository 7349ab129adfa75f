import { describe, expect, it } from 'vitest'
import { parseDuration, parseMoment } from './durations.ts'
import { parseEnvironment, parsePairs } from './environment.ts'
import { parseFilters } from './filters.ts'
import { parseMount, parseVolumes } from './mounts.ts'
import { parsePublished } from './ports.ts'
import { splitReference } from './references.ts'
import { parseSize } from './sizes.ts'

const refused = expect.objectContaining({ kind: 'invalid-argument' })

describe('sizes', () => {
  it.each([
    ['1024', 1024],
    ['64m', 64 << 20],
    ['1.5g', 1.5 * 1024 ** 3],
    ['2KiB', 2048],
    ['10B', 10],
    ['0', 0],
  ])('reads %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })
  it.each(['', 'm', '-1m', '1x', '1 2'])('refuses "%s"', (text) => {
    expect(() => parseSize(text)).toThrow(refused)
  })
})

describe('times', () => {
  it('reads durations', () => {
    expect(parseDuration('1m30s')).toBe(90e9)
    expect(parseDuration('500ms')).toBe(5e8)
    for (const text of ['', '5', 's', '1d', '1m ']) expect(() => parseDuration(text)).toThrow(refused)
  })
  it('reads moments', () => {
    expect(parseMoment('1700000000.5', 0)).toBe('1700000000.5')
    expect(parseMoment('10m', 1_700_000_000_000)).toBe('1699999400.000')
    expect(parseMoment('2026-01-01T00:00:00Z', 0)).toBe('1767225600.000')
    expect(() => parseMoment('yesterday', 0)).toThrow(refused)
  })
})

describe('ports', () => {
  it.each([
    ['80', { '80/tcp': [{ HostIp: '', HostPort: '' }] }],
    ['8080:80', { '80/tcp': [{ HostIp: '', HostPort: '8080' }] }],
    ['127.0.0.1:53:53/udp', { '53/udp': [{ HostIp: '127.0.0.1', HostPort: '53' }] }],
    ['127.0.0.1::80', { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] }],
    ['[::1]:80:80', { '80/tcp': [{ HostIp: '::1', HostPort: '80' }] }],
    ['8000-8001:80-81', { '80/tcp': [{ HostIp: '', HostPort: '8000' }], '81/tcp': [{ HostIp: '', HostPort: '8001' }] }],
    ['8000-8010:80', { '80/tcp': [{ HostIp: '', HostPort: '8000-8010' }] }],
  ])('reads %s', (spec, bindings) => {
    expect(parsePublished([spec])).toEqual({ bindings, exposed: Object.fromEntries(Object.keys(bindings).map((port) => [port, {}])) })
  })
  it('keeps several bindings of one port', () => {
    expect(parsePublished(['80:80', '81:80']).bindings['80/tcp']).toHaveLength(2)
  })
  it.each(['', 'http', '80:http', '70000', '1-2:1-3', '80/icmp', ':80:', '9-8:80'])('refuses "%s"', (spec) => {
    expect(() => parsePublished([spec])).toThrow(refused)
  })
})

describe('mounts', () => {
  it('tells binds from volumes of their own', () => {
    expect(parseVolumes(['data:/data', '/host:/data:ro', './here:/x', '/own'])).toEqual({ binds: ['data:/data', '/host:/data:ro', `${process.cwd()}/here:/x`], anonymous: { '/own': {} } })
  })
  it('reads --mount', () => {
    expect(parseMount('type=bind,src=/a,dst=/b,ro')).toEqual({ Type: 'bind', Source: '/a', Target: '/b', ReadOnly: true })
    expect(parseMount('source=data,target=/data,volume-nocopy=true')).toEqual({ Type: 'volume', Source: 'data', Target: '/data', VolumeOptions: { NoCopy: true } })
    expect(parseMount('type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770')).toEqual({ Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 1 << 20, Mode: 0o1770 } })
  })
  it.each(['type=bind,src=/a', 'type=other,target=/a', 'target=/a,what=1'])('refuses %s', (spec) => {
    expect(() => parseMount(spec)).toThrow(refused)
  })
})

describe('names and values', () => {
  it('takes variables from here that have no value', () => {
    expect(parseEnvironment(['A=1', 'B', 'C', 'D='], { B: 'b' })).toEqual(['A=1', 'B=b', 'D='])
    expect(() => parseEnvironment(['=1'], {})).toThrow(refused)
  })
  it('reads pairs and filters', () => {
    expect(parsePairs(['a=b=c', 'd'])).toEqual({ a: 'b=c', d: '' })
    expect(parseFilters(['label=a=b', 'label=c', 'name=x'])).toEqual({ label: ['a=b', 'c'], name: ['x'] })
    expect(() => parseFilters(['name'])).toThrow(refused)
  })
  it.each([
    ['busybox', { name: 'busybox' }],
    ['localhost:5000/a/b', { name: 'localhost:5000/a/b' }],
    ['localhost:5000/a:1', { name: 'localhost:5000/a', tag: '1' }],
    ['a:1@sha256:abc', { name: 'a', tag: '1', digest: 'sha256:abc' }],
  ])('splits %s', (reference, parts) => {
    expect(splitReference(reference)).toEqual(parts)
  })
})
