import { describe, expect, it } from 'vitest'
import { bridgeSettings, checkNetwork } from './network-options.ts'

const id = '0123456789abcdef'.repeat(4)
const settings = (options: Record<string, string>) =>
  bridgeSettings({ id, name: 'net', options: Object.fromEntries(Object.entries(options).map(([name, value]) => [`com.docker.network.${name}`, value])) })

describe('options of a bridge network', () => {
  it('have defaults', () => {
    expect(settings({})).toEqual({ bridge: 'br-0123456789ab', isIccEnabled: true, isMasqueraded: true, mtu: undefined })
  })

  it('are Docker’s', () => {
    expect(
      settings({ 'bridge.name': 'berth0', 'bridge.enable_icc': 'false', 'bridge.enable_ip_masquerade': '0', 'bridge.host_binding_ipv4': '127.0.0.1', 'driver.mtu': '1400', 'bridge.default_bridge': 'true' }),
    ).toEqual({ bridge: 'berth0', isIccEnabled: false, isMasqueraded: false, mtu: 1400 })
  })

  it.each([
    ['bridge.name', 'sixteen-letters-'], ['bridge.name', ''], ['bridge.name', '../x'], ['bridge.name', 'a"b'], ['bridge.enable_icc', 'yes'],
    ['bridge.enable_ip_masquerade', ''], ['bridge.host_binding_ipv4', '::1'], ['driver.mtu', '-1'], ['driver.mtu', '67'], ['driver.mtu', '1e3'], ['driver.mtu', '65536'],
  ])('refuse %s=%j', (name, value) => {
    expect(() => settings({ [name]: value })).toThrow(`com.docker.network.${name}`)
  }) // prettier-ignore

  it('refuse what is not known', () => {
    expect(() => settings({ 'bridge.trusted_host_interfaces': 'eth0' })).toThrow('unknown option "com.docker.network.bridge.trusted_host_interfaces"')
    expect(() => checkNetwork({ id, name: 'net', isInternal: false, options: {}, subnets: [{ cidr: '10.0.0.0/8', gateway: 'fd00::1' }] })).toThrow('invalid gateway')
  })
})
