import { readFileSync, readlinkSync, statSync, truncateSync } from 'node:fs'
import { newId } from '@berth/core'
import { deleteNetns, makeUserNamespace } from '@berth/linux'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { NetworkManager } from '../src/index.ts'
import { addressOn, Machine, requestFor, run } from './harness.ts'

describe('containers', () => {
  let machine: Machine
  let networks: NetworkManager
  beforeEach(async () => {
    machine = new Machine()
    networks = await machine.start()
  })
  afterEach(() => machine[Symbol.asyncDispose]())

  const refused = (kind: string, message: string | RegExp) => expect.objectContaining({ kind, message: expect.stringMatching(message) })
  const files = (id: string): { hosts: string; resolvConf: string } => ({ hosts: `${machine.filesDir}/${id}/hosts`, resolvConf: `${machine.filesDir}/${id}/resolv.conf` })
  const endpointsOf = (network: string) => [...([...machine.kernel.networks.values()].find(({ definition }) => definition.name === network)?.endpoints.values() ?? [])]
  const nothingLeft = (): void => {
    expect(machine.endpoints).toEqual([])
    expect(machine.namesIn('netns')).toEqual([])
    expect(machine.namesIn('files')).toEqual([])
  }

  it('live in a namespace that is there already if they are given one', async () => {
    const request = requestFor('web')
    await networks.reserve(request)
    using held = await makeUserNamespace({ uid: 300_000, gid: 300_000, size: 10 })
    const { netns } = await networks.attach(request.containerId, { namespace: held.net })
    expect(`net:[${statSync(netns).ino}]`).toBe(readlinkSync(held.net))
    await networks.release(request.containerId)
    nothingLeft()
  })

  it('have an address, a namespace and files while they run, and none afterwards', async () => {
    const request = requestFor('web', { domainname: 'example', exposedPorts: ['80/tcp', '443/tcp'], host: { PortBindings: { '80/tcp': [{ HostPort: '8080' }] } } })
    const { containerId: id } = request
    await networks.reserve(request)
    expect(networks.settings(id)).toMatchObject({ SandboxID: '', Ports: {}, IPAddress: '', Networks: { bridge: { EndpointID: '', IPAddress: '' } } })
    const sandbox = await networks.attach(id)
    const bridge = await networks.inspect('bridge')
    const [endpoint] = endpointsOf('bridge')
    expect(endpoint?.definition).toMatchObject({ sandbox: sandbox.netns, interfaceName: 'eth0', addresses: ['172.17.0.2/16'], isDefaultRoute: true, macAddress: expect.stringMatching(/^.[26ae](:..){5}$/) })
    const settings = networks.settings(id)
    expect(settings).toMatchObject({
      SandboxKey: sandbox.netns, SandboxID: expect.stringMatching(/^[0-9a-f]{64}$/), EndpointID: endpoint?.definition.id, IPAddress: '172.17.0.2', IPPrefixLen: 16, Gateway: '172.17.0.1', MacAddress: endpoint?.definition.macAddress,
      Ports: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }, { HostIp: '::', HostPort: '8080' }], '443/tcp': null },
      Networks: { bridge: { NetworkID: bridge.Id, Aliases: null, DNSNames: null, Gateway: '172.17.0.1', IPAddress: '172.17.0.2', GlobalIPv6Address: '' } },
    }) // prettier-ignore
    expect(bridge.Containers).toEqual({ [id]: { Name: 'web', EndpointID: endpoint?.definition.id, MacAddress: endpoint?.definition.macAddress, IPv4Address: '172.17.0.2/16', IPv6Address: '' } })
    expect(readFileSync(sandbox.hostsPath!, 'utf8')).toMatch(/\n172\.17\.0\.2\tweb\.example web\n$/)
    expect(readFileSync(sandbox.resolvConfPath!, 'utf8')).toContain('nameserver 192.0.2.53\nsearch example.org\n')
    expect([statSync(sandbox.hostsPath!).mode & 0o777, statSync(sandbox.resolvConfPath!).mode & 0o777]).toEqual([0o644, 0o644])
    expect(await networks.counters(id)).toEqual({})

    await networks.detach(id)
    await networks.detach(id)
    nothingLeft()
    expect(networks.settings(id)).toMatchObject({ SandboxID: '', Ports: {}, IPAddress: '', Networks: { bridge: { NetworkID: bridge.Id, IPAddress: '' } } })
    expect(await networks.counters(id)).toEqual({})
    await networks.release(id)
    await networks.release(id)
    expect(networks.settings(id).Networks).toEqual({})
    expect(machine.events.map(({ action, attributes }) => `${action} ${attributes['name']} ${attributes['type']} ${attributes['container']}`)).toEqual([`connect bridge bridge ${id}`, `disconnect bridge bridge ${id}`])
  })

  it('that start at once have addresses of their own, which are free again afterwards', async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, (_, index) => run(networks, `c${index}`)))
    expect(new Set(ids.map((id) => addressOn(networks, id, 'bridge'))).size).toBe(20)
    await Promise.all(ids.map((id) => networks.release(id)))
    nothingLeft()
    expect(addressOn(networks, await run(networks, 'next'), 'bridge')).toBe('172.17.0.22')
  })

  it('leave nothing behind when a port is taken', async () => {
    await run(networks, 'first', { host: { PortBindings: { '80/tcp': [{ HostPort: '8080' }] } } })
    const late = requestFor('late', { host: { PortBindings: { '80/tcp': [{ HostPort: '8080' }] } } })
    await networks.reserve(late)
    await expect(networks.attach(late.containerId)).rejects.toEqual(refused('conflict', /port is already allocated/))
    expect(machine.endpoints).toHaveLength(1)
    expect(machine.namesIn('netns')).toHaveLength(1)
    expect(machine.namesIn('files')).toHaveLength(1)
    expect(networks.settings(late.containerId)).toMatchObject({ SandboxID: '', IPAddress: '' })
    expect(machine.events.filter(({ attributes }) => attributes['container'] === late.containerId)).toEqual([])
  })

  it('stop, join and leave whatever one has made of its /etc/hosts', async () => {
    await networks.create({ Name: 'back' })
    const web = await run(networks, 'web')
    const hostile = await run(networks, 'hostile', { host: { Links: ['web:upstream'] } })
    truncateSync(files(hostile).hosts, 3 * 2 ** 30)
    truncateSync(files(hostile).resolvConf, 3 * 2 ** 30)
    await networks.detach(web)
    await networks.connect('back', { Container: hostile })
    await networks.disconnect('back', { Container: hostile })
    expect(statSync(files(hostile).hosts).size).toBe(3 * 2 ** 30)
    await networks.release(hostile)
    nothingLeft()
  })

  it('are on several networks, and leave by the one of the highest priority', async () => {
    await networks.create({ Name: 'back' })
    await networks.create({ Name: 'front' })
    await networks.create({ Name: 'inner', Internal: true })
    const id = await run(networks, 'web', { networkMode: 'inner', endpoints: { front: {}, back: { Aliases: ['site', 'site'] } }, host: { PortBindings: { '80/tcp': [{}] } } })
    expect(Object.keys(networks.settings(id).Networks ?? {})).toEqual(['inner', 'back', 'front'])
    expect(['inner', 'back', 'front'].flatMap(endpointsOf).map(({ definition, published }) => [definition.interfaceName, definition.isDefaultRoute, published.length])).toEqual([['eth0', false, 0], ['eth1', true, 2], ['eth2', false, 0]])
    expect(networks.settings(id).Networks?.['back']).toMatchObject({ Aliases: ['site', 'site'], DNSNames: ['web', 'site', id.slice(0, 12)] })
    const [v4, v6] = networks.settings(id).Ports?.['80/tcp'] ?? []
    expect(v4?.HostPort).toBe(v6?.HostPort)
    await networks.release(id)
    const other = await run(networks, 'web', { networkMode: 'back', endpoints: { front: { GwPriority: 1 } } })
    expect(endpointsOf('front')[0]?.definition.isDefaultRoute).toBe(true)
    await networks.release(other)
    nothingLeft()
  })

  it('have the addresses that they ask for', async () => {
    await networks.create({ Name: 'shaped', EnableIPv6: true, IPAM: { Config: [{ Subnet: '10.55.0.0/24' }, { Subnet: 'fd00:55::/64' }] } })
    const wanted = { shaped: { IPAMConfig: { IPv4Address: '10.55.0.2', IPv6Address: 'fd00:55::0:9' }, MacAddress: '02:00:00:00:00:0A' } }
    const fixed = requestFor('fixed', { networkMode: 'shaped', endpoints: wanted })
    await networks.reserve(fixed)
    // Kept for the one that asked, though it does not run.
    const other = await run(networks, 'other', { networkMode: 'shaped' })
    expect(addressOn(networks, other, 'shaped')).toBe('10.55.0.3')
    await networks.attach(fixed.containerId)
    expect(networks.settings(fixed.containerId).Networks?.['shaped']).toMatchObject({ IPAddress: '10.55.0.2', GlobalIPv6Address: 'fd00:55::9', GlobalIPv6PrefixLen: 64, IPv6Gateway: 'fd00:55::1', MacAddress: '02:00:00:00:00:0a', IPAMConfig: wanted.shaped.IPAMConfig })
    await expect(run(networks, 'late', { networkMode: 'shaped', endpoints: { shaped: { IPAMConfig: { IPv4Address: '10.55.0.2' } } } })).rejects.toEqual(refused('conflict', 'Address already in use'))
    await expect(run(networks, 'late', { networkMode: 'shaped', endpoints: { shaped: { IPAMConfig: { IPv4Address: '10.55.0.1' } } } })).rejects.toEqual(refused('conflict', 'Address already in use'))
    await expect(run(networks, 'late', { networkMode: 'shaped', endpoints: { shaped: { IPAMConfig: { LinkLocalIPs: ['169.254.1.1'] } } } })).rejects.toEqual(refused('invalid-argument', /link-local addresses are not supported/))
    await expect(run(networks, 'late', { networkMode: 'shaped', endpoints: { shaped: { IPAMConfig: { IPv4Address: '10.56.0.1' } } } })).rejects.toEqual(refused('invalid-argument', /no configured subnet/))
    await networks.create({ Name: 'auto' })
    await expect(run(networks, 'late', { networkMode: 'auto', endpoints: { auto: { IPAMConfig: { IPv4Address: '172.18.0.9' } } } })).rejects.toEqual(refused('invalid-argument', /user specified IP address is supported only when connecting to networks with user configured subnets/))
    await expect(run(networks, 'late', { endpoints: { bridge: { IPAMConfig: { IPv4Address: '172.17.0.9' } } } })).rejects.toEqual(refused('invalid-argument', /on user defined networks only/))
  })

  it('are refused when the network is full, until one goes', async () => {
    await networks.create({ Name: 'small', IPAM: { Config: [{ Subnet: '10.55.0.0/30' }] } })
    const first = await run(networks, 'first', { networkMode: 'small' })
    const second = requestFor('second', { networkMode: 'small' })
    await networks.reserve(second)
    await expect(networks.attach(second.containerId)).rejects.toEqual(refused('resource-exhausted', /no available IPv4 addresses on this network's address pools: small/))
    await networks.detach(first)
    await networks.attach(second.containerId)
    expect(addressOn(networks, second.containerId, 'small')).toBe('10.55.0.2')
  })

  it.each([
    [{ networkMode: 'nowhere' }, 'not-found', 'network nowhere not found'],
    [{ endpoints: { nowhere: {} } }, 'not-found', 'network nowhere not found'],
    [{ networkMode: `container:${'0'.repeat(64)}` }, 'not-found', 'No such container'],
    [{ endpoints: { bridge: { Aliases: ['x'] } } }, 'invalid-argument', /network-scoped alias is supported only for containers in user defined networks/],
    [{ networkMode: 'host', endpoints: { bridge: {} } }, 'conflict', /cannot be connected to another network/],
    [{ endpoints: { none: {} } }, 'conflict', /cannot be connected/],
    [{ host: { PortBindings: { x: [{}] } } }, 'invalid-argument', /invalid port/],
    [{ host: { Dns: ['dns.example'] } }, 'invalid-argument', /bad nameserver/],
    [{ host: { DnsSearch: ['a\nnameserver 6.6.6.6'] } }, 'invalid-argument', /DNS search/],
    [{ host: { ExtraHosts: ['a\n6.6.6.6 b:1.1.1.1'] } }, 'invalid-argument', /add-host/],
    [{ host: { ExtraHosts: ['a:1.1.1.1\n6.6.6.6\tb'] } }, 'invalid-argument', /add-host/],
    [{ hostname: 'a\n6.6.6.6 b' }, 'invalid-argument', /hostname/],
    [{ host: { Links: ['nobody:x'] } }, 'invalid-argument', /could not get container for nobody/],
    [{ macAddress: 'zz:00:00:00:00:00' }, 'invalid-argument', /invalid MAC/],
  ])('are not reserved with %j', async (more, kind, message) => {
    const request = requestFor('wrong', more as object)
    await expect(networks.reserve(request)).rejects.toEqual(refused(kind, message))
    expect(networks.settings(request.containerId).Networks).toEqual({})
  })

  it('live in the host’s network with the host’s files', async () => {
    const request = requestFor('plain', { networkMode: 'host', host: { PortBindings: { '80/tcp': [{ HostPort: '8080' }] } } })
    await networks.reserve(request)
    const sandbox = await networks.attach(request.containerId)
    expect(sandbox.netns).toBe('host')
    expect(readFileSync(sandbox.hostsPath!, 'utf8')).toBe('127.0.0.1\tlocalhost mainframe\n')
    expect(readFileSync(sandbox.resolvConfPath!, 'utf8')).toBe('nameserver 192.0.2.53\nsearch example.org\n')
    expect(networks.settings(request.containerId)).toMatchObject({ Ports: {}, IPAddress: '', Networks: { host: { IPAddress: '', MacAddress: '' } } })
    expect(Object.keys((await networks.inspect('host')).Containers ?? {})).toEqual([request.containerId])
    expect(await networks.counters(request.containerId)).toEqual({})
    await networks.release(request.containerId)
    nothingLeft()
  })

  it('have a lone sandbox, or another’s', async () => {
    const lone = requestFor('lone', { networkMode: 'none' })
    await networks.reserve(lone)
    const joining = requestFor('joining', { networkMode: `container:${lone.containerId}` })
    await networks.reserve(joining)
    await expect(networks.attach(joining.containerId)).rejects.toEqual(refused('conflict', `cannot join network of a non running container: ${lone.containerId}`))
    const sandbox = await networks.attach(lone.containerId)
    expect(await networks.attach(joining.containerId)).toEqual(sandbox)
    expect(networks.settings(joining.containerId)).toMatchObject({ Networks: {}, Ports: {} })
    await networks.detach(joining.containerId)
    expect(machine.namesIn('netns')).toHaveLength(1)
    await expect(networks.connect('bridge', { Container: joining.containerId })).rejects.toEqual(refused('conflict', /sharing network namespace/))
    await expect(networks.connect('bridge', { Container: lone.containerId })).rejects.toEqual(refused('conflict', /private \(none\) mode/))
  })

  it('are connected and disconnected while they run', async () => {
    await networks.create({ Name: 'aside' })
    await networks.create({ Name: 'inner', Internal: true })
    const id = await run(networks, 'web', { networkMode: 'inner', host: { PortBindings: { '80/tcp': [{ HostPort: '8080' }] } } })
    expect(networks.settings(id).Ports).toEqual({ '80/tcp': null })
    const { hosts, resolvConf } = files(id)
    const inode = statSync(hosts).ino
    await networks.connect('aside', { Container: 'web', EndpointConfig: { Aliases: ['site'], DriverOpts: { 'com.docker.network.endpoint.ifname': 'side0', 'of.the.driver': '1' } } })
    expect(endpointsOf('aside')[0]?.definition.options).toEqual({ 'of.the.driver': '1' })
    expect(endpointsOf('aside')).toMatchObject([{ definition: { interfaceName: 'side0', isDefaultRoute: true, addresses: ['172.18.0.2/16'] }, published: [{ hostPort: 8080 }, { hostPort: 8080 }] }])
    expect(networks.settings(id).Ports?.['80/tcp']).toHaveLength(2)
    expect(readFileSync(hosts, 'utf8')).toMatch(/172\.19\.0\.2\tweb\n172\.18\.0\.2\tweb\n$/)
    expect(statSync(hosts).ino).toBe(inode)
    await expect(networks.connect('aside', { Container: id })).rejects.toEqual(refused('permission-denied', 'endpoint with name web already exists in network aside'))
    await expect(networks.remove('aside')).rejects.toEqual(refused('permission-denied', /^error while removing network: network aside id [0-9a-f]{64} has active endpoints$/))
    expect(await networks.prune(new Map())).toEqual({ NetworksDeleted: [] })

    await networks.disconnect('aside', { Container: id.slice(0, 12) })
    expect(readFileSync(hosts, 'utf8')).not.toContain('172.18.0.2')
    expect(statSync(hosts).ino).toBe(inode)
    expect(statSync(resolvConf).size).toBeGreaterThan(0)
    expect(networks.settings(id).Ports).toEqual({ '80/tcp': null })
    await expect(networks.disconnect('aside', { Container: id })).rejects.toEqual(refused('conflict', /is not connected to network aside/))
    await expect(networks.disconnect('aside', { Container: 'nobody' })).rejects.toEqual(refused('not-found', 'No such container: nobody'))
    await networks.disconnect('aside', { Container: 'nobody', Force: true })
    await networks.remove('aside')
  })

  it('move their ports to the network that they leave by now, or stay as they were', async () => {
    await networks.create({ Name: 'aside' })
    const id = await run(networks, 'web', { host: { PortBindings: { '80/tcp': [{ HostPort: '8080' }] } } })
    await networks.connect('aside', { Container: id, EndpointConfig: { GwPriority: 1 } })
    expect([...endpointsOf('bridge'), ...endpointsOf('aside')].map(({ definition, published }) => [definition.isDefaultRoute, published.length])).toEqual([[false, 0], [true, 2]])
    await networks.disconnect('aside', { Container: id })
    expect(endpointsOf('bridge').map(({ definition, published }) => [definition.isDefaultRoute, published.length])).toEqual([[true, 2]])
    await expect(networks.connect('aside', { Container: id, EndpointConfig: { DriverOpts: { 'com.docker.network.endpoint.ifname': 'eth0' } } })).rejects.toEqual(refused('conflict', /eth0 is in use/))
    expect(Object.keys(networks.settings(id).Networks ?? {})).toEqual(['bridge'])
    expect(endpointsOf('aside')).toEqual([])
  })

  it('are connected while they do not run, and find a network that was made anew', async () => {
    const request = requestFor('web')
    await networks.reserve(request)
    const { Id: old } = await networks.create({ Name: 'aside' })
    await networks.connect('aside', { Container: 'web' })
    await networks.disconnect('bridge', { Container: 'web' })
    await networks.remove('aside')
    await expect(networks.attach(request.containerId)).rejects.toEqual(refused('not-found', 'network aside not found'))
    const { Id } = await networks.create({ Name: 'aside' })
    expect(Id).not.toBe(old)
    await networks.attach(request.containerId)
    expect(networks.settings(request.containerId).Networks?.['aside']?.NetworkID).toBe(Id)
  })

  it('find those that they are linked to in their hosts file', async () => {
    const db = await run(networks, 'db', { hostname: 'database' })
    const web = await run(networks, 'web', { host: { Links: ['db:store'] } })
    expect(readFileSync(files(web).hosts, 'utf8')).toContain('172.17.0.2\tstore database db\n')
    await networks.detach(db)
    expect(readFileSync(files(web).hosts, 'utf8')).not.toContain('store')
    await networks.attach(db)
    expect(readFileSync(files(web).hosts, 'utf8')).toContain(`${addressOn(networks, db, 'bridge')}\tstore database db\n`)
    await networks.detach(db)
    await networks.detach(web)
    await expect(networks.attach(web)).rejects.toEqual(refused('conflict', 'Cannot link to a non running container: /db AS /web/store'))
    await networks.release(db)
    await networks.attach(web)
  })

  it('have links on networks of the user’s own by their endpoints only, whatever else a client sends', async () => {
    await networks.create({ Name: 'front' })
    const id = await run(networks, 'web', { networkMode: 'front', host: { Links: ['nobody:store'] }, endpoints: { front: { Links: ['nobody:store'] } } })
    expect(networks.settings(id).Networks?.['front']?.Links).toEqual(['nobody:store'])
    expect(readFileSync(files(id).hosts, 'utf8')).not.toContain('store')
  })

  it('know the hosts that they are told of', async () => {
    const id = await run(networks, 'web', { host: { ExtraHosts: ['host.docker.internal:host-gateway', 'six:[fd00::1]', 'one:10.0.0.1'] } })
    expect(readFileSync(files(id).hosts, 'utf8')).toContain('172.17.0.1\thost.docker.internal\nfd00::1\tsix\n10.0.0.1\tone\n172.17.0.2\tweb\n')
  })

  it('have no counters any more when they end meanwhile', async () => {
    const id = await run(networks, 'web')
    deleteNetns(networks.settings(id).SandboxKey ?? '')
    expect(await networks.counters(id)).toEqual({})
  })

  it('keep what could not be taken down until it can', async () => {
    const id = await run(networks, 'web')
    const [endpoint] = endpointsOf('bridge')
    const network = [...machine.kernel.networks.values()].find(({ endpoints }) => endpoints.size > 0)!
    network.endpoints.delete = () => {
      throw new Error('busy')
    }
    await expect(networks.detach(id)).rejects.toThrow('busy')
    expect(networks.settings(id).EndpointID).toBe(endpoint?.definition.id)
    network.endpoints.delete = Map.prototype.delete.bind(network.endpoints)
    await networks.release(id)
    nothingLeft()
  })

  it('that nobody knows have nothing', async () => {
    await networks.detach(newId())
    await networks.release(newId())
    await expect(networks.attach(newId())).rejects.toEqual(refused('not-found', 'No such container'))
  })
})
