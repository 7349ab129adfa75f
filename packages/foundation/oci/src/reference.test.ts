import { describe, expect, it } from 'vitest'
import { familiarReference, formatReference, isTag, parseReference, withDefaultTag } from './reference.ts'

const digest = `sha256:${'a'.repeat(64)}`

describe('references', () => {
  it.each([
    ['busybox', 'docker.io/library/busybox', 'busybox'],
    ['busybox:1.36', 'docker.io/library/busybox:1.36', 'busybox:1.36'],
    ['docker.io/busybox', 'docker.io/library/busybox', 'busybox'],
    ['index.docker.io/library/busybox', 'docker.io/library/busybox', 'busybox'],
    ['someone/tool', 'docker.io/someone/tool', 'someone/tool'],
    ['library/a/b', 'docker.io/library/a/b', 'library/a/b'],
    ['localhost/tool', 'localhost/tool', 'localhost/tool'],
    ['localhost:5000/a/b:t', 'localhost:5000/a/b:t', 'localhost:5000/a/b:t'],
    ['registry/tool', 'docker.io/registry/tool', 'registry/tool'],
    ['Registry/tool', 'Registry/tool', 'Registry/tool'],
    ['registry:5000/tool', 'registry:5000/tool', 'registry:5000/tool'],
    ['example.org/a__b/c-d.e', 'example.org/a__b/c-d.e', 'example.org/a__b/c-d.e'],
    ['[::1]:5000/tool', '[::1]:5000/tool', '[::1]:5000/tool'],
    [`busybox@${digest}`, `docker.io/library/busybox@${digest}`, `busybox@${digest}`],
    [`busybox:1@${digest}`, `docker.io/library/busybox:1@${digest}`, `busybox:1@${digest}`],
  ])('%s is %s', (text, whole, familiar) => {
    const reference = parseReference(text)
    expect(formatReference(reference)).toBe(whole)
    expect(familiarReference(reference)).toBe(familiar)
    expect(parseReference(whole)).toEqual(reference)
    expect(parseReference(familiar)).toEqual(reference)
  })

  it('have the tag latest when they say nothing', () => {
    expect(withDefaultTag(parseReference('busybox')).tag).toBe('latest')
    expect(withDefaultTag(parseReference('busybox:1')).tag).toBe('1')
    expect(withDefaultTag(parseReference(`busybox@${digest}`)).tag).toBeUndefined()
  })

  it.each(['', ' ', 'a:', 'a@', ':tag', '/a', 'a/', 'a//b', '-a', 'a-', 'a...b', 'a:tag:tag', '../a', 'a/../b', 'a b', 'a\n', 'a\0', 'http://a/b', `a:${'t'.repeat(129)}`, 'a@sha256:abc', 'a.b:x/c', 'ü'])(
    'refuses %j', (text) => {
      expect(() => parseReference(text)).toThrow('invalid reference format')
    })

  it('refuses with the words that Docker’s users know', () => {
    expect(() => parseReference('Busybox')).toThrow('invalid reference format: repository name must be lowercase')
    expect(() => parseReference('a'.repeat(64))).toThrow('cannot specify 64-byte hexadecimal strings')
    expect(() => parseReference(`a/${'b'.repeat(255)}`)).toThrow('repository name must not be more than 255 characters')
    expect(() => parseReference(`a@sha256:${'a'.repeat(63)}`)).toThrow('invalid checksum digest length')
    expect(() => parseReference(`a@md5:${'a'.repeat(32)}`)).toThrow('unsupported digest algorithm')
  })

  it('takes tags of up to 128 characters', () => {
    expect(isTag('t'.repeat(128))).toBe(true)
    expect(isTag('t'.repeat(129))).toBe(false)
    expect(isTag('.t')).toBe(false)
  })

  it('reads a hostile text of any length at once', () => {
    expect(() => parseReference(`${'a-'.repeat(5_000_000)}!`)).toThrow('invalid reference format')
    expect(() => parseReference(`${'a-'.repeat(500)}!`)).toThrow('invalid reference format')
  })
})
