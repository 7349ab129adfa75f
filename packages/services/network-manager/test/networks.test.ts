import { memoryNetworkDriver } from '@berth/network-driver/memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { NetworkManager } from '../src/index.ts'
import { Machine } from './harness.ts'

describe('networks', () => {
  let machine: Machine
  let networks: NetworkManager
  beforeEach(async () => {
    machine = new Machine()
    networks = await machine.start()
  })
  afterEach(() => machine[Symbol.asyncDispose]())

  const names = async (filters: Record<string, string[]> = {}): Promise<(string | undefined)[]> => (await networks.list(new Map(Object.entries(filters)))).map(({ Name }) => Name)
  const refused = (kind: string, message: string | RegExp) => expect.objectContaining({ kind, message: expect.stringMatching(message) })

  it('are three from the start, and keep their IDs', async () => {
    expect((await networks.list(new Map())).map(({ Name, Driver, Scope }) => `${Name} ${Driver} ${Scope}`)).toEqual(['bridge bridge local', 'host host local', 'none null local'])
    const { Id, IPAM } = await networks.inspect('bridge')
    expect(IPAM).toEqual({ Driver: 'default', Options: null, Config: [{ Subnet: '172.17.0.0/16', Gateway: '172.17.0.1' }] })
    networks = await machine.start()
    expect((await networks.inspect('bridge')).Id).toBe(Id)
    expect(machine.kernel.networks.has(Id!)).toBe(true)
  })

  it('are made with Docker’s defaults and shown as Docker shows them', async () => {
    const { Id } = await networks.create({ Name: 'front', Labels: { a: 'b' }, Options: { 'com.docker.network.driver.mtu': '1400' } })
    expect(await networks.inspect('front')).toEqual({
      Name: 'front', Id, Created: expect.stringMatching(/^\d{4}-.*\.\d{9}Z$/), Scope: 'local', Driver: 'bridge', EnableIPv4: true, EnableIPv6: false,
      IPAM: { Driver: 'default', Options: {}, Config: [{ Subnet: '172.18.0.0/16', Gateway: '172.18.0.1' }] },
      Internal: false, Attachable: false, Ingress: false, ConfigFrom: { Network: '' }, ConfigOnly: false, Containers: {}, Options: { 'com.docker.network.driver.mtu': '1400' }, Labels: { a: 'b' },
    }) // prettier-ignore
    expect(machine.kernel.networks.get(Id)?.definition).toEqual({ id: Id, name: 'front', isInternal: false, subnets: [{ cidr: '172.18.0.0/16', gateway: '172.18.0.1' }], options: { 'com.docker.network.driver.mtu': '1400' } })
    expect(machine.events).toMatchObject([{ type: 'network', action: 'create', id: Id, attributes: { name: 'front', type: 'bridge' } }])
    expect((await networks.inspect(Id.slice(0, 12))).Name).toBe('front')
  })

  it('take subnets, ranges, gateways and addresses that others have', async () => {
    const IPAM = { Config: [{ Subnet: '10.55.0.0/24', Gateway: '10.55.0.7', IPRange: '10.55.0.128/25', AuxiliaryAddresses: { router: '10.55.0.129' } }] }
    await networks.create({ Name: 'shaped', IPAM })
    expect((await networks.inspect('shaped')).IPAM?.Config).toEqual(IPAM.Config)
    await networks.create({ Name: 'six', EnableIPv6: true, IPAM: { Config: [{ Subnet: 'fd00:55::/64' }] } })
    expect((await networks.inspect('six')).IPAM?.Config).toEqual([{ Subnet: '172.18.0.0/16', Gateway: '172.18.0.1' }, { Subnet: 'fd00:55::/64', Gateway: 'fd00:55::1' }])
  })

  it.each([
    [{ Subnet: '10.0.0.0/33' }, /invalid CIDR/],
    [{ Subnet: '10.0.0.1/24' }, /it should be 10.0.0.0\/24/],
    [{ Subnet: '10.0.0.0/24', Gateway: '10.0.1.1' }, /does not contain it/],
    [{ Subnet: '10.0.0.0/24', Gateway: 'router' }, /invalid address/],
    [{ Subnet: '10.0.0.0/24', IPRange: '10.0.0.0/16' }, /does not contain it/],
    [{ Subnet: '10.0.0.0/24', AuxiliaryAddresses: { a: '1.1.1.1' } }, /does not contain it/],
    [{ Gateway: '10.0.0.1' }, /invalid subnet/],
  ])('are not made with %j', async (config, message) => {
    await expect(networks.create({ Name: 'wrong', IPAM: { Config: [config] } })).rejects.toEqual(refused('invalid-argument', message))
    expect(await names()).not.toContain('wrong')
  })

  it('are refused with Docker’s words', async () => {
    const { Id } = await networks.create({ Name: 'front' })
    await expect(networks.create({ Name: 'front' })).rejects.toEqual(refused('conflict', 'network with name front already exists'))
    await expect(networks.create({ Name: 'over', IPAM: { Config: [{ Subnet: '172.18.5.0/24' }] } })).rejects.toEqual(refused('permission-denied', 'Pool overlaps with other one on this address space'))
    await expect(networks.create({ Name: 'x', Driver: 'weave' })).rejects.toEqual(refused('not-found', 'could not find plugin weave in v1 plugin registry: plugin not found'))
    await expect(networks.create({ Name: 'x', Options: { nonsense: '1' } })).rejects.toEqual(refused('invalid-argument', /nonsense/))
    await expect(networks.create({ Name: 'host' })).rejects.toEqual(refused('permission-denied', 'operation is not permitted on predefined host network'))
    await expect(networks.create({ Name: 'x', Driver: 'host' })).rejects.toEqual(refused('permission-denied', 'only one instance of "host" network is allowed'))
    for (const Name of ['', '../up', 'a b', 'a\0b', '-a', 'container:x', 'a'.repeat(256)]) await expect(networks.create({ Name })).rejects.toEqual(refused('invalid-argument', /invalid network name/))
    await expect(networks.remove('nowhere')).rejects.toEqual(refused('not-found', 'network nowhere not found'))
    await expect(networks.remove('bridge')).rejects.toEqual(refused('permission-denied', 'bridge is a pre-defined network and cannot be removed'))
    await expect(networks.inspect('front', { scope: 'swarm' })).rejects.toEqual(refused('not-found', 'network front not found'))
    expect([...machine.kernel.networks.keys()]).toContain(Id)
    expect(machine.kernel.networks.size).toBe(2)
  })

  it('leave nothing when the driver fails', async () => {
    machine.kernel.networks.set = () => {
      throw new Error('the kernel refuses')
    }
    await expect(networks.create({ Name: 'front' })).rejects.toThrow('the kernel refuses')
    expect(await names()).not.toContain('front')
  })

  it('made at once get subnets of their own', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, index) => networks.create({ Name: `n${index}` })))
    const subnets = (await networks.list(new Map())).flatMap(({ IPAM }) => IPAM?.Config?.map(({ Subnet }) => Subnet) ?? [])
    expect(new Set(subnets).size).toBe(21)
  })

  it('avoid the routes of the host', async () => {
    const { parseRoutes } = await import('../src/host-facts.ts')
    // 172.16.0.0/12 and 192.168.0.0/18
    const routes = parseRoutes('head\nx\t000010AC\t0\t1\t0\t0\t0\t0000F0FF\nx\t0000A8C0\t0\t1\t0\t0\t0\t00C0FFFF\n')
    await using fresh = new Machine()
    const manager = await fresh.start({ host: { routes: () => routes } })
    expect((await manager.inspect('bridge')).IPAM?.Config).toEqual([{ Subnet: '192.168.64.0/20', Gateway: '192.168.64.1' }])
    await manager.create({ Name: 'front' })
    expect((await manager.inspect('front')).IPAM?.Config).toEqual([{ Subnet: '192.168.80.0/20', Gateway: '192.168.80.1' }])
  })

  it('are removed, and pruned', async () => {
    await networks.create({ Name: 'front' })
    await networks.create({ Name: 'kept', Labels: { keep: '' } })
    await networks.create({ Name: 'back' })
    await networks.remove('front')
    expect(machine.events.at(-1)).toMatchObject({ action: 'destroy', attributes: { name: 'front', type: 'bridge' } })
    expect(await networks.prune(new Map([['until', ['1h']]]))).toEqual({ NetworksDeleted: [] })
    expect(await networks.prune(new Map([['label!', ['keep']]]))).toEqual({ NetworksDeleted: ['back'] })
    expect(await names()).toEqual(['bridge', 'host', 'none', 'kept'])
    expect(machine.kernel.networks.size).toBe(2)
    await networks.create({ Name: 'front' })
  })

  it('are filtered', async () => {
    const { Id } = await networks.create({ Name: 'front', Labels: { a: '1', b: '2' } })
    expect(await names({ name: ['on'] })).toEqual(['front', 'none'].toSorted((a) => (a === 'none' ? -1 : 1)))
    expect(await names({ name: ['^none$'] })).toEqual(['none'])
    expect(await names({ id: [Id.slice(0, 8)] })).toEqual(['front'])
    expect(await names({ driver: ['null', 'host'] })).toEqual(['host', 'none'])
    expect(await names({ type: ['custom'] })).toEqual(['front'])
    expect(await names({ type: ['builtin'] })).toEqual(['bridge', 'host', 'none'])
    expect(await names({ label: ['a=1', 'b'] })).toEqual(['front'])
    expect(await names({ label: ['a=1', 'b=3'] })).toEqual([])
    expect(await names({ dangling: ['true'] })).toEqual(['front'])
    expect(await names({ scope: ['swarm'] })).toEqual([])
    await expect(networks.list(new Map([['colour', ['red']]]))).rejects.toEqual(refused('invalid-argument', "invalid filter 'colour'"))
    await expect(networks.list(new Map([['type', ['odd']]]))).rejects.toEqual(refused('invalid-argument', 'type'))
  })
})

describe('the default bridge', () => {
  it('has the address and the link that it is given, also later', async () => {
    await using machine = new Machine()
    let networks = await machine.start({ defaultBridge: { bip: '10.9.0.1/24', name: 'berth0' } })
    expect(await networks.inspect('bridge')).toMatchObject({ IPAM: { Config: [{ Subnet: '10.9.0.0/24', Gateway: '10.9.0.1' }] }, Options: { 'com.docker.network.bridge.name': 'berth0', 'com.docker.network.bridge.default_bridge': 'true' } })
    networks = await machine.start({ defaultBridge: { bip: '10.10.0.1/24', name: 'berth0' } })
    expect((await networks.inspect('bridge')).IPAM?.Config).toEqual([{ Subnet: '10.10.0.0/24', Gateway: '10.10.0.1' }])
  })

  it('has only the options that its driver takes', async () => {
    await using machine = new Machine()
    const networks = await machine.start({ drivers: [memoryNetworkDriver({ name: 'bridge', knownOptions: ['com.docker.network.driver.mtu'] })] })
    expect((await networks.inspect('bridge')).Options).toEqual({ 'com.docker.network.driver.mtu': '1500' })
    expect((await networks.list(new Map())).map(({ Name }) => Name)).toEqual(['bridge'])
  })

  it.each(['10.0.0.0/24', '10.0.0.255/24', 'fd00::1/64', 'x', '10.0.0.1'])('is not given the address %s', async (bip) => {
    await using machine = new Machine()
    await expect(machine.start({ defaultBridge: { bip } })).rejects.toThrow(/invalid bip/)
  })
})
