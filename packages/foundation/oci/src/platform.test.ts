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

  it('knows what runs where', () => {
    expect(matchesPlatform({ os: 'linux', architecture: 'arm', variant: 'v6' }, { os: 'linux', architecture: 'arm64' })).toBe(true)
    expect(matchesPlatform({ os: 'linux', architecture: 'arm', variant: 'v7' }, { os: 'linux', architecture: 'arm', variant: 'v6' })).toBe(false)
    expect(matchesPlatform({ os: 'linux', architecture: 'arm', variant: 'v99999999999' })).toBe(false)
    expect(matchesPlatform({ os: 'linux', architecture: 'amd64' }, { os: 'linux', architecture: 'amd64', variant: 'v0' })).toBe(true)
  })
})
