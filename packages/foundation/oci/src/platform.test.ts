import { describe, expect, it } from 'vitest'
import { formatPlatform, hostPlatform, matchesPlatform, parsePlatform, selectPlatform } from './platform.ts'

const entries = (...platforms: string[]) => platforms.map((text) => {
  const [os = '', architecture = '', variant] = text.split('/')
  return { text, platform: { os, architecture, variant } }
})

describe('platforms', () => {
  it.each([
    ['linux/amd64', 'linux/amd64'],
    ['Linux/x86_64', 'linux/amd64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/arm64/8', 'linux/arm64'],
    ['linux/arm64/v8.0', 'linux/arm64'],
    ['linux/arm64/9.0', 'linux/arm64/v9'],
    ['linux/arm64/v9.2', 'linux/arm64/v9.2'],
    ['linux/armel', 'linux/arm/v6'],
    ['linux/arm/v8', 'linux/arm/v8'],
    ['linux/riscv64', 'linux/riscv64'],
    ['linux/i386', 'linux/386'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/armhf', 'linux/arm/v7'],
    ['linux/arm/6', 'linux/arm/v6'],
    ['macos/arm64', 'darwin/arm64'],
  ])('%s is %s', (text, normal) => {
    expect(formatPlatform(parsePlatform(text))).toBe(normal)
  })

  it('completes one part from the host', () => {
    const host = hostPlatform()
    expect(parsePlatform('s390x')).toEqual({ os: host.os, architecture: 's390x' })
    expect(parsePlatform('windows')).toMatchObject({ os: 'windows', architecture: host.architecture })
  })

  it.each(['', 'nonsense', 'a/b/c/d', 'linux/', '/amd64', 'linux/../x', 'linux/a b'])('refuses %j', (text) => {
    expect(() => parsePlatform(text)).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
  })

  it('chooses the best entry, whatever the order', () => {
    const index = entries('unknown/unknown', 'linux/386', 'linux/arm/v5', 'linux/arm/v7', 'linux/amd64', 'linux/arm64/v8', 'windows/amd64')
    const chosen = (wanted: string) => selectPlatform(index, parsePlatform(wanted))?.text
    expect(chosen('linux/amd64')).toBe('linux/amd64')
    expect(chosen('linux/amd64/v3')).toBe('linux/amd64')
    expect(chosen('linux/arm64')).toBe('linux/arm64/v8')
    expect(chosen('linux/arm/v6')).toBe('linux/arm/v5')
    expect(chosen('linux/arm/v7')).toBe('linux/arm/v7')
    expect(chosen('linux/s390x')).toBeUndefined()
    expect(selectPlatform(entries('linux/386'), parsePlatform('linux/amd64'))?.text).toBe('linux/386')
    expect(selectPlatform(entries('linux/386'), parsePlatform('linux/amd64'), { strict: true })).toBeUndefined()
    expect(selectPlatform([{}], parsePlatform('linux/amd64'))).toBeUndefined()
  })

  it.each([
    ['linux/amd64/v4', ['amd64/v4', 'amd64/v3', 'amd64/v2', 'amd64', '386']],
    ['linux/amd64', ['amd64', '386']],
    ['linux/386', ['386']],
    ['linux/arm/v8', ['arm/v8', 'arm/v7', 'arm/v6', 'arm/v5']],
    ['linux/arm', ['arm/v7', 'arm/v6', 'arm/v5']],
    ['linux/arm/v5', ['arm/v5']],
    ['linux/arm/v4', ['arm/v4']],
    ['linux/arm64', ['arm64', 'arm/v8', 'arm/v7', 'arm/v6', 'arm/v5']],
    ['linux/arm64/v8.2', ['arm64/v8.2', 'arm64/v8.1', 'arm64', 'arm/v8', 'arm/v7', 'arm/v6', 'arm/v5']],
    ['linux/arm64/v9.1', ['arm64/v9.1', 'arm64/v9', 'arm64/v8.6', 'arm64/v8.5', 'arm64/v8.4', 'arm64/v8.3', 'arm64/v8.2', 'arm64/v8.1', 'arm64', 'arm/v8', 'arm/v7', 'arm/v6', 'arm/v5']],
    ['linux/riscv64', ['riscv64']],
    ['linux/ppc64le', ['ppc64le']],
  ])('runs on %s what containerd runs there, in its order', (wanted, expected) => {
    const all = ['386', 'amd64', 'amd64/v2', 'amd64/v3', 'amd64/v4', 'arm/v4', 'arm/v5', 'arm/v6', 'arm/v7', 'arm/v8', 'arm64', ...Array.from({ length: 9 }, (_, minor) => `arm64/v8.${minor + 1}`), 'arm64/v9', 'arm64/v9.1', 'riscv64', 'ppc64le', 's390x']
    const left = entries(...all.map((each) => `linux/${each}`))
    const order: string[] = []
    for (let next = selectPlatform(left, parsePlatform(wanted)); next; next = selectPlatform(left, parsePlatform(wanted))) {
      order.push(next.text.slice('linux/'.length))
      left.splice(left.indexOf(next), 1)
    }
    expect(order).toEqual(expected)
  })

  it('takes content for another system, or one of which the platform is unknown, for no choice', () => {
    expect(selectPlatform(entries('windows/amd64', 'unknown/unknown', 'linux/unknown'), parsePlatform('linux/amd64'))).toBeUndefined()
  })

  it('knows what runs where', () => {
    expect(matchesPlatform({ os: 'linux', architecture: 'arm', variant: 'v6' }, { os: 'linux', architecture: 'arm64' })).toBe(true)
    expect(matchesPlatform({ os: 'linux', architecture: 'arm', variant: 'v7' }, { os: 'linux', architecture: 'arm', variant: 'v6' })).toBe(false)
    expect(matchesPlatform({ os: 'linux', architecture: 'arm', variant: 'v99999999999' })).toBe(false)
    expect(matchesPlatform({ os: 'linux', architecture: 'amd64' }, { os: 'linux', architecture: 'amd64', variant: 'v0' })).toBe(true)
  })
})
