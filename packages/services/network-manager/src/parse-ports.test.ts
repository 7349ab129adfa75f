import { describe, expect, it } from 'vitest'
import { onHostAddresses, parsePorts } from './parse-ports.ts'

describe('ports', () => {
  it('are published as asked for', () => {
    const { requests, exposed } = parsePorts({ PortBindings: { '80/tcp': [{ HostPort: '8080' }, { HostIp: '[::1]', HostPort: '9000-9010' }], '53/udp': [{}], '90': null } }, ['443/tcp'])
    expect(requests).toEqual([
      { protocol: 'tcp', containerPort: 80, hostAddress: '', hostPorts: { first: 8080, last: 8080 } },
      { protocol: 'tcp', containerPort: 80, hostAddress: '::1', hostPorts: { first: 9000, last: 9010 } },
      { protocol: 'udp', containerPort: 53, hostAddress: '', hostPorts: undefined },
    ])
    expect(exposed.toSorted()).toEqual(['443/tcp', '53/udp', '80/tcp', '90/tcp'])
  })

  it('are all published on request', () => {
    const { requests } = parsePorts({ PublishAllPorts: true, PortBindings: { '80/tcp': [{ HostPort: '1' }] } }, ['80/tcp', '80/udp', '90-91/tcp'])
    expect(requests.map(({ containerPort, protocol, hostPorts }) => `${containerPort}/${protocol} ${hostPorts?.first}`)).toEqual(['80/tcp 1', '80/udp undefined', '90/tcp undefined', '91/tcp undefined'])
  })

  it('are published on all addresses of both families, where there are both', () => {
    const { requests } = parsePorts({ PortBindings: { '80/tcp': [{ HostPort: '8080' }] } }, [])
    const addresses = (hasIpv6: boolean, options = {}) => onHostAddresses(requests, { hasIpv6, options }).map(({ hostAddress }) => hostAddress)
    expect(addresses(true)).toEqual(['0.0.0.0', '::'])
    expect(addresses(false)).toEqual(['0.0.0.0'])
    expect(addresses(true, { 'com.docker.network.bridge.host_binding_ipv4': '127.0.0.1' })).toEqual(['127.0.0.1'])
  })

  it.each(['', '0', '65536', '80/icmp', '90-80/tcp', '-1', '80/tcp/udp', 'http'])('refuse the container port %j', (key) => {
    expect(() => parsePorts({ PortBindings: { [key]: [{}] } }, [])).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
    expect(() => parsePorts({}, [key])).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
  })

  it.each([{ HostPort: 'x' }, { HostPort: '70000' }, { HostPort: '9-8' }, { HostIp: 'localhost' }, { HostIp: '1.2.3' }, { HostIp: 'fe80::1%eth0' }])('refuse the binding %j', (binding) => {
    expect(() => parsePorts({ PortBindings: { '80/tcp': [binding] } }, [])).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
  })
})
