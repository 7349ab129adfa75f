import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { EndpointDefinition, NetworkDefinition, PortRequest } from '@berth/network-driver'
import { Lab } from './lab.ts'

const newId = () => randomBytes(32).toString('hex')
const option = (name: string) => `com.docker.network.${name}`

describe('bridge networks', { timeout: 60_000 }, () => {
  let lab: Lab
  beforeEach(async () => {
    lab = await Lab.start()
    await lab.driver.restore([])
  })
  afterEach(() => lab[Symbol.asyncDispose]())

  const four = { cidr: '172.18.0.0/16', gateway: '172.18.0.1' }
  const six = { cidr: 'fd00:18::/64', gateway: 'fd00:18::1' }
  const makeNetwork = async (more: Partial<NetworkDefinition> = {}) => {
    const network: NetworkDefinition = { id: newId(), name: 'net', isInternal: false, subnets: [four], options: {}, ...more }
    await lab.driver.createNetwork(network)
    return network
  }
  const join = async (network: NetworkDefinition, host: number) => {
    const addresses = network.subnets.map(({ gateway, cidr }) => `${gateway?.slice(0, -1)}${host}/${cidr.split('/')[1]}`)
    const endpoint: EndpointDefinition = {
      id: newId(), networkId: network.id, sandbox: await lab.makeSandbox(), interfaceName: 'eth0', macAddress: `02:42:ac:12:00:0${host}`, addresses, isDefaultRoute: true,
    } // prettier-ignore
    await lab.driver.join(endpoint)
    return endpoint
  }
  const request = (more: Partial<PortRequest> = {}): PortRequest => ({ protocol: 'tcp', containerPort: 80, hostAddress: '0.0.0.0', hostPorts: { first: 8080, last: 8080 }, ...more })
  const publish = ({ networkId, id }: EndpointDefinition, ...requests: PortRequest[]) => lab.driver.publish(networkId, id, requests)
  const ask = (from: string, address: string, port = 80, protocol: 'tcp' | 'udp' = 'tcp') => lab.ask(from, { protocol, address, port })
  /** Makes a place send what is for 127.0.0.1 to the host instead of to itself. */
  const sendLoopbackAway = (netns: string, gateway: string) =>
    lab.sh(`
      ip netns exec ${netns} sh -ec 'echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet'
      ip -n ${netns} route add 127.0.0.1 via ${gateway} table 7
      ip -n ${netns} rule add pref 5 lookup local
      ip -n ${netns} rule add pref 1 to 127.0.0.1 lookup 7
      ip -n ${netns} rule del pref 0
    `)
  const nameOf = (sandbox: string) => sandbox.split('/').pop() ?? ''

  it('leaves the host as it was, with the rules of others untouched', async () => {
    lab.sh('nft add table inet other; nft add chain inet other mine "{ type filter hook input priority 5; }"')
    const [front, back] = [await makeNetwork(), await makeNetwork({ subnets: [{ cidr: '172.19.0.0/16', gateway: '172.19.0.1' }, six] })]
    const endpoint = await join(front, 2)
    await join(back, 2)
    await publish(endpoint, request(), request({ hostAddress: '::' }))
    expect(lab.state()).toMatch(/table inet berth/)
    await lab.driver.removeNetwork(back.id)
    await lab.driver.leave(front.id, endpoint.id)
    await lab.driver.removeNetwork(front.id)
    expect(lab.sh('nft list table inet other')).toContain('chain mine')
    lab.sh('nft delete table inet other')
    expect(lab.leftovers()).toBe('')
  })

  it('clears what no container uses when it ends in order, and makes it again', async () => {
    const network = await makeNetwork()
    await lab.shutDown()
    expect(lab.leftovers()).toBe('')
    await lab.crash()
    await lab.driver.restore([{ network, endpoints: [] }])
    const [one, other] = [await join(network, 2), await join(network, 3)]
    expect(await ask(one.sandbox, '172.18.0.3')).toBe(other.sandbox)
  })

  it('restores the others when one network cannot be had again', async () => {
    const [taken, network] = [await makeNetwork({ options: { [option('bridge.name')]: 'berth0' } }), await makeNetwork({ subnets: [{ cidr: '172.19.0.0/16', gateway: '172.19.0.1' }] })]
    await lab.shutDown()
    lab.sh('ip link add berth0 type bridge')
    await lab.crash()
    await lab.driver.restore([{ network: taken, endpoints: [] }, { network, endpoints: [] }])
    const [one, other] = [await join(network, 2), await join(network, 3)]
    expect(await ask(one.sandbox, '172.19.0.3')).toBe(other.sandbox)
    lab.sh('ip link delete berth0')
    await lab.driver.removeNetwork(taken.id)
    await lab.driver.restore([])
    expect(lab.leftovers()).toBe('')
  })

  it('carries on without the program, and past its return', async () => {
    const network = await makeNetwork()
    const endpoint = await join(network, 2)
    const published = await publish(endpoint, request())
    await lab.prober('neighbour', 'open', 'inward', lab.addresses.host, 8080)
    await lab.prober(endpoint.sandbox, 'open', 'outward', lab.addresses.neighbour, 80)
    process.kill(lab.driverPid, 'SIGKILL')
    expect(await lab.prober('neighbour', 'say', 'inward', 'still there?')).toBe('still there?')
    expect(await ask('neighbour', lab.addresses.host, 8080)).toBe(endpoint.sandbox)
    await lab.crash()
    await lab.driver.restore([{ network, endpoints: [{ endpoint, published }] }])
    expect(await lab.prober('neighbour', 'say', 'inward', 'and now?')).toBe('and now?')
    expect(await lab.prober(endpoint.sandbox, 'say', 'outward', 'out?')).toBe('out?')
    expect(await ask('neighbour', lab.addresses.host, 8080)).toBe(endpoint.sandbox)
    await lab.driver.restore([])
    expect(lab.leftovers()).toBe('')
  })

  it('makes its rules again when somebody has cleared the firewall', async () => {
    const endpoint = await join(await makeNetwork(), 2)
    await publish(endpoint, request())
    lab.sh('nft flush ruleset')
    expect(await ask('neighbour', lab.addresses.host, 8080)).not.toBeUndefined() // the socket that holds the port relays
    await publish(endpoint, request({ protocol: 'udp' }))
    expect(await lab.prober('neighbour', 'ask', 'tcp', lab.addresses.host, 8080)).toBe(`${endpoint.sandbox} ${lab.addresses.neighbour}`)
    expect(await ask('neighbour', lab.addresses.host, 8080, 'udp')).toBe(endpoint.sandbox)
  })

  it('sends who goes on asking over UDP to where the port leads now', async () => {
    const network = await makeNetwork()
    const [old, bystander] = [await join(network, 2), await join(network, 3)]
    await publish(old, request({ protocol: 'udp' }))
    await publish(bystander, request({ protocol: 'udp', hostPorts: { first: 9090, last: 9090 } }))
    const keepAsking = (port: number) => lab.prober('neighbour', 'askFrom', 7000, lab.addresses.host, port)
    expect([await keepAsking(8080), await keepAsking(9090)]).toEqual([`${old.sandbox} ${lab.addresses.neighbour}`, `${bystander.sandbox} ${lab.addresses.neighbour}`])
    await lab.driver.leave(network.id, old.id)
    const next = await join(network, 4)
    await publish(next, request({ protocol: 'udp' }))
    expect([await keepAsking(8080), await keepAsking(9090)]).toEqual([`${next.sandbox} ${lab.addresses.neighbour}`, `${bystander.sandbox} ${lab.addresses.neighbour}`])
  })

  it('keeps the address of who asks, and gives the host’s to who goes out', async () => {
    const [endpoint] = [await join(await makeNetwork(), 2)]
    await publish(endpoint, request())
    expect(await lab.prober('neighbour', 'ask', 'tcp', lab.addresses.host, 8080)).toBe(`${endpoint.sandbox} ${lab.addresses.neighbour}`)
    expect(await lab.prober(endpoint.sandbox, 'ask', 'tcp', lab.addresses.neighbour, 80)).toBe(`neighbour ${lab.addresses.host}`)
  })

  it('masquerades nobody when told not to', async () => {
    const endpoint = await join(await makeNetwork({ options: { [option('bridge.enable_ip_masquerade')]: 'false' } }), 2)
    expect(await lab.prober(endpoint.sandbox, 'ask', 'tcp', lab.addresses.neighbour, 80)).toBe('neighbour 172.18.0.2')
  })

  it('keeps containers of a network apart when told to', async () => {
    const network = await makeNetwork({ options: { [option('bridge.enable_icc')]: 'false' } })
    const [one, other] = [await join(network, 2), await join(network, 3)]
    await publish(other, request())
    expect(await ask(one.sandbox, '172.18.0.3')).toBeUndefined()
    expect(await ask('host', '172.18.0.3')).toBe(other.sandbox)
    expect(await ask('neighbour', lab.addresses.host, 8080)).toBe(other.sandbox)
    expect(await ask(one.sandbox, lab.addresses.neighbour)).toBe('neighbour')
  })

  it('names the bridge and sizes its packets as it is told', async () => {
    const endpoint = await join(await makeNetwork({ options: { [option('bridge.name')]: 'berth0', [option('driver.mtu')]: '1400' } }), 2)
    expect(lab.sh('cat /sys/class/net/berth0/mtu 2>/dev/null || ip link show berth0')).toContain('1400')
    expect(lab.sh(`ip -n ${nameOf(endpoint.sandbox)} link show eth0`)).toContain('mtu 1400')
  })

  it('touches no device of somebody else', async () => {
    lab.sh('ip link add mine0 type bridge')
    await expect(makeNetwork({ options: { [option('bridge.name')]: 'mine0' } })).rejects.toMatchObject({ kind: 'conflict', code: 'BRIDGE_NOT_OURS' })
    await makeNetwork({ options: { [option('bridge.name')]: 'berth0' } })
    await expect(makeNetwork({ options: { [option('bridge.name')]: 'berth0' } })).rejects.toMatchObject({ kind: 'conflict', message: expect.stringContaining('networks have same bridge name') as string })
    await lab.driver.restore([])
    expect(lab.sh('ip -o link show mine0')).toContain('mine0')
  })

  it('leaves nothing of a join that fails', async () => {
    const network = await makeNetwork()
    const before = lab.state()
    const endpoint = await join(network, 2)
    await lab.driver.leave(network.id, endpoint.id)
    await expect(lab.driver.join({ ...endpoint, sandbox: '/run/netns/none' })).rejects.toMatchObject({ code: 'JOIN_FAILED' })
    lab.sh(`ip netns exec ${nameOf(endpoint.sandbox)} ip link add eth0 type bridge`)
    await expect(lab.driver.join(endpoint)).rejects.toMatchObject({ code: 'JOIN_FAILED' })
    expect(lab.state()).toBe(before)
  })

  describe('IPv6', () => {
    it('connects, publishes and goes out', async () => {
      const network = await makeNetwork({ subnets: [four, six] })
      const [one, other] = [await join(network, 2), await join(network, 3)]
      expect(await ask(one.sandbox, 'fd00:18::3')).toBe(other.sandbox)
      expect(await lab.prober(one.sandbox, 'ask', 'tcp', lab.addresses.neighbour6, 80)).toBe(`neighbour ${lab.addresses.host6}`)
      expect(await ask('neighbour', 'fd00:18::2')).toBeUndefined()
      await publish(one, request({ hostAddress: '::' }), request({ hostAddress: '::', protocol: 'udp' }))
      expect(await lab.prober('neighbour', 'ask', 'tcp', lab.addresses.host6, 8080)).toBe(`${one.sandbox} ${lab.addresses.neighbour6}`)
      for (const place of ['host', one.sandbox, other.sandbox]) expect(await ask(place, lab.addresses.host6, 8080)).toBe(one.sandbox)
      expect(await ask('host', '::1', 8080)).toBe(one.sandbox)
      expect(await ask('host', '::1', 8080, 'udp')).toBe(one.sandbox)
    })

    it('relays to a container that has none', async () => {
      const endpoint = await join(await makeNetwork(), 2)
      await publish(endpoint, request({ hostAddress: '::' }), request({ hostAddress: '::', protocol: 'udp' }))
      for (const protocol of ['tcp', 'udp'] as const) {
        expect(await ask('neighbour', lab.addresses.host6, 8080, protocol)).toBe(endpoint.sandbox)
        expect(await ask('host', '::1', 8080, protocol)).toBe(endpoint.sandbox)
      }
      expect((await lab.interfaceOf(endpoint.sandbox, 'eth0'))?.addresses).toEqual(endpoint.addresses)
    })
  })

  describe('attacks', () => {
    it('a neighbour gets at no port that is published on loopback', async () => {
      const endpoint = await join(await makeNetwork(), 2)
      await publish(endpoint, request({ hostAddress: '127.0.0.1' }))
      expect(await ask('host', '127.0.0.1', 8080)).toBe(endpoint.sandbox)
      sendLoopbackAway('neighbour', lab.addresses.host)
      lab.sh('echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet') // as kube-proxy does
      for (const [address, port] of [[lab.addresses.host, 8080], ['127.0.0.1', 8080], ['172.18.0.2', 80]] as const) {
        expect(await ask('neighbour', address, port)).toBeUndefined()
      }
    })

    it('CVE-2020-8558: a container gets at nothing that listens on the host’s loopback addresses', async () => {
      const endpoint = await join(await makeNetwork(), 2)
      await lab.prober('host', 'serve', 'host')
      expect(await ask(endpoint.sandbox, '172.18.0.1')).toBe('host') // what listens everywhere is reached, loopback is not
      sendLoopbackAway(nameOf(endpoint.sandbox), '172.18.0.1')
      expect(await ask(endpoint.sandbox, '127.0.0.1')).toBeUndefined()
    })

    it('an internal container gets out by no published port', async () => {
      const inside = await join(await makeNetwork({ isInternal: true }), 2)
      const outside = await join(await makeNetwork({ subnets: [{ cidr: '172.19.0.0/16', gateway: '172.19.0.1' }] }), 2)
      await publish(outside, request())
      lab.sh(`ip -n ${nameOf(inside.sandbox)} route add default via 172.18.0.1`)
      for (const address of ['172.19.0.2', lab.addresses.neighbour]) expect(await ask(inside.sandbox, address)).toBeUndefined()
    })

    it('the host does not become a router for others', async () => {
      lab.sh(`
        ip netns add stranger
        ip link add strange type veth peer name eth0 netns stranger
        ip address add 10.98.0.1/24 dev strange
        ip link set strange up
        ip -n stranger address add 10.98.0.2/24 dev eth0
        ip -n stranger link set eth0 up
        ip -n stranger route add default via 10.98.0.1
        ip -n neighbour route add 10.98.0.0/24 via ${lab.addresses.host}
      `)
      const endpoint = await join(await makeNetwork(), 2)
      await publish(endpoint, request())
      expect(await ask('/run/netns/stranger', lab.addresses.host, 8080)).toBe(endpoint.sandbox)
      expect(await ask('/run/netns/stranger', lab.addresses.neighbour)).toBeUndefined()
    })

    it('hostile text reaches no rule', async () => {
      const network = await makeNetwork()
      const endpoint = await join(network, 2)
      for (const hostAddress of ['0.0.0.0 } ; flush ruleset', 'fe80::1%eth0', 'localhost', '']) {
        await expect(publish(endpoint, request({ hostAddress }))).rejects.toMatchObject({ kind: 'invalid-argument' })
      }
      for (const containerPort of [0, -1, 65536, 1.5, Number.NaN]) await expect(publish(endpoint, request({ containerPort }))).rejects.toMatchObject({ kind: 'invalid-argument' })
      await expect(makeNetwork({ options: { [option('bridge.name')]: '" }; flush' } })).rejects.toMatchObject({ kind: 'invalid-argument' })
      await expect(makeNetwork({ subnets: [{ cidr: '172.20.0.0/16 }', gateway: undefined }] })).rejects.toMatchObject({ kind: 'invalid-argument' })
    })
  })
})
