import { describe, expect, it } from 'vitest'
import { parseBind, parseMount, parseMounts, parseTmpfs } from './parse-mounts.ts'

describe('binds', () => {
  it.each([
    ['data:/data', { kind: 'volume', name: 'data', destination: '/data', readonly: false, copyUp: true }],
    ['/host:/data:ro', { kind: 'bind', source: '/host', destination: '/data', readonly: true, propagation: 'rprivate', createSource: true }],
    ['/host:/data:ro,rshared', { kind: 'bind', readonly: true, propagation: 'rshared' }],
    ['data:/data:nocopy', { kind: 'volume', copyUp: false }],
    ['/anonymous', { kind: 'volume', name: undefined, destination: '/anonymous' }],
    ['data:/a/./b//c/../d', { destination: '/a/b/d' }],
  ])('reads %s', (spec, expected) => {
    expect(parseBind(spec)).toMatchObject(expected)
  })

  it.each(['', ':', 'a:b', '/a:/b:ro:x', '/a:/b:wrong', '/a:/b:ro,rw', 'data:/', 'data:/..', 'data:/x:rshared', '/a\0b:/c', 'data:/c\0'])('refuses %j', (spec) => {
    expect(() => parseBind(spec)).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
  })
})

describe('mounts', () => {
  it.each([
    [{ Type: 'bind', Source: 'relative', Target: '/x' }, /mount path must be absolute/],
    [{ Type: 'bind', Target: '/x' }, /Source must not be empty/],
    [{ Type: 'volume', Source: 'x', Target: '' }, /Target must not be empty/],
    [{ Type: 'tmpfs', Source: 'x', Target: '/x' }, /Source must not be specified/],
    [{ Type: 'npipe', Source: 'x', Target: '/x' }, /mount type unknown/],
  ] as const)('refuses %j', (mount, message) => {
    expect(() => parseMount(mount)).toThrow(message)
  })

  it('reads a tmpfs with its size and mode', () => {
    expect(parseMount({ Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 1024, Mode: 0o700 } })).toMatchObject({
      options: ['noexec', 'nosuid', 'nodev', 'size=1024', 'mode=700'],
    })
  })

  it('honours every option of a mount, or refuses it', () => {
    const bind = { Type: 'bind', Source: '/s', Target: '/t', ReadOnly: true } as const
    expect(parseMount({ ...bind, BindOptions: { ReadOnlyForceRecursive: true } })).toMatchObject({ readonly: true, readonlyBelow: true })
    expect(parseMount({ ...bind, BindOptions: { ReadOnlyNonRecursive: true, NonRecursive: true } })).toMatchObject({ readonly: true, recursive: false })
    expect(() => parseMount({ ...bind, BindOptions: { ReadOnlyForceRecursive: true, ReadOnlyNonRecursive: true } })).toThrow(/exclude each other/)
    expect(() => parseMount({ ...bind, ReadOnly: false, BindOptions: { ReadOnlyForceRecursive: true } })).toThrow(/need ReadOnly/)
    expect(parseMount({ ...bind, Consistency: 'cached' })).toMatchObject({ kind: 'bind' })
    expect(() => parseMount({ ...bind, Consistency: 'whatever' })).toThrow(/invalid consistency/)
    expect(() => parseMount({ ...bind, ImageOptions: { Subpath: 'x' } })).toThrow(/ImageOptions must not be specified/)
    expect(parseMount({ Type: 'tmpfs', Target: '/t', TmpfsOptions: { Options: [['exec'], ['uid', '5']] } })).toMatchObject({ options: ['nosuid', 'nodev', 'exec', 'uid=5'] })
    expect(() => parseMount({ Type: 'tmpfs', Target: '/t', TmpfsOptions: { Options: [['context', 'x']] } })).toThrow(/invalid tmpfs option/)
    for (const Type of ['npipe', 'cluster', 'image'] as const) expect(() => parseMount({ Type, Source: 's', Target: '/t' })).toThrow(`invalid mount config for type "${Type}": mount type unknown`)
  })

  it('lets no option through to the kernel that is not a tmpfs option', () => {
    expect(() => parseTmpfs('/t', 'size=1m,context=x')).toThrow(/context=x/)
    expect(parseTmpfs('/t', 'size=1m,exec')).toMatchObject({ options: ['nosuid', 'nodev', 'size=1m', 'exec'] })
  })
})

describe('all mounts of a container', () => {
  it('gives the place of an anonymous volume to whatever else is wanted there', () => {
    expect(parseMounts({ Binds: ['data:/data'] }, ['/data/', '/other'])).toMatchObject([{ name: 'data' }, { name: undefined, destination: '/other' }])
  })

  it('gives volumes without a driver of their own the one that was named for all', () => {
    expect(parseMounts({ Binds: ['data:/data', '/srv:/srv'], VolumeDriver: 'nfs' }, ['/other'])).toMatchObject([{ driver: 'nfs' }, { kind: 'bind' }, { driver: 'nfs' }])
  })

  it('refuses two for one place', () => {
    expect(() => parseMounts({ Binds: ['a:/data'], Tmpfs: { '/data': '' } }, [])).toThrow('Duplicate mount point: /data')
  })
})
