import { describe, expect, it } from 'vitest'
import { changeElements, networkElements, portElements, type PortRule, ruleset } from './ruleset.ts'

const rules = { bridge: 'berth0', isInternal: false, isMasqueraded: true, cidrs: ['172.18.0.1/16', 'fd00::/64'] }
const port: PortRule = { protocol: 'tcp', containerPort: 80, hostAddress: '0.0.0.0', hostPort: 8080, address: '172.18.0.2' }
const lines = (elements: ReturnType<typeof networkElements>) => elements.map(({ set, element }) => `${set} ${element}`)

describe('rules', () => {
  it('know a network by its sets', () => {
    expect(lines(networkElements(rules))).toEqual([
      'bridges "berth0"', 'same "berth0" . "berth0"',
      'subnets4 "berth0" . 172.18.0.0/16', 'masqueraded4 172.18.0.0/16', 'subnets6 "berth0" . fd00:0:0:0:0:0:0:0/64', 'masqueraded6 fd00:0:0:0:0:0:0:0/64',
    ]) // prettier-ignore
    const internal = lines(networkElements({ ...rules, isInternal: true })).join('\n')
    expect(internal).toContain('internal "berth0"')
    expect(internal).not.toContain('masqueraded')
    expect(lines(networkElements({ ...rules, isMasqueraded: false })).join('\n')).not.toContain('masqueraded')
  })

  it('know a port by its protocol, address and number', () => {
    expect(lines(portElements(port))).toEqual(['ports4any 6 . 8080 : 172.18.0.2 . 80'])
    expect(lines(portElements({ ...port, protocol: 'udp', hostAddress: '127.0.0.1' }))).toEqual(['ports4 17 . 127.0.0.1 . 8080 : 172.18.0.2 . 80'])
    expect(lines(portElements({ ...port, hostAddress: '::', address: 'fd00::2' }))).toEqual(['ports6any 6 . 8080 : fd00::2 . 80'])
  })

  it('leave to the relay what the kernel cannot do', () => {
    expect(portElements({ ...port, hostAddress: '::' })).toEqual([])
    expect(portElements({ ...port, hostAddress: '::1', address: 'fd00::2' })).toEqual([])
    expect(portElements({ ...port, address: 'fd00::2' })).toEqual([])
  })

  it('name a member of a map by its key to remove it', () => {
    expect(changeElements('add', 't', portElements(port))).toBe('add element inet t ports4any { 6 . 8080 : 172.18.0.2 . 80 }\n')
    expect(changeElements('delete', 't', portElements(port))).toBe('delete element inet t ports4any { 6 . 8080 }\n')
  })

  it('guard a host that was no router', () => {
    expect(ruleset('t', [], { isGuarded: true })).toContain('jump strangers')
    expect(ruleset('t', [], { isGuarded: false })).not.toContain('strangers')
  })
})
