import { memoryNetworkDriver } from '@berth/network-driver/memory'
import { expect, it } from 'vitest'
import { dnsSandboxOf } from './container-names.ts'
import type { Context } from './context.ts'
import type { ContainerRecord, EndpointRecord, NetworkRecord } from './network-records.ts'

const network = (id: string, isInternal: boolean): NetworkRecord => ({
  id, name: id, driver: 'memory', createdAt: '', phase: 'ready', isPredefined: false, isInternal, isAttachable: false, hasIpv4: true, hasIpv6: false,
  pools: [], hasChosenSubnet: false, ipamOptions: {}, options: {}, labels: {},
}) // prettier-ignore

const endpoint = (networkId: string): EndpointRecord => ({
  networkId, networkName: networkId, wanted: {},
  active: { id: networkId, interfaceName: 'eth0', macAddress: '', ipv4: undefined, ipv6: undefined, isDefaultRoute: false, published: [] },
}) // prettier-ignore

const container = (host: ContainerRecord['host'], ...networks: string[]): ContainerRecord => ({
  id: 'c', name: 'web', hostname: 'web', domainname: '', mode: { kind: 'own' }, host, ports: [], exposedPorts: [],
  endpoints: networks.map(endpoint), sandbox: { id: 's', netns: '/ns', resolvConfDigest: '' },
}) // prettier-ignore

const ctx = {
  records: { networks: new Map([['inner', network('inner', true)], ['front', network('front', false)]]) },
  drivers: new Map([['memory', memoryNetworkDriver()]]),
  host: { resolvConf: () => 'nameserver 127.0.0.53\n' },
  dnsServers: [],
} as unknown as Context // prettier-ignore

const serversOf = (record: ContainerRecord) => dnsSandboxOf(ctx, record)?.servers

it('a container asks beyond its networks only when one of them leads out', () => {
  expect(serversOf(container({}, 'inner'))).toEqual([])
  expect(serversOf(container({ Dns: ['9.9.9.9'] }, 'inner'))).toEqual([])
  expect(serversOf(container({}, 'inner', 'front'))).toEqual([{ address: '127.0.0.53', port: 53 }])
  expect(serversOf(container({ Dns: ['9.9.9.9'] }, 'front'))).toEqual([{ address: '9.9.9.9', port: 53 }])
  expect(dnsSandboxOf(ctx, container({}))).toBeUndefined()
})
