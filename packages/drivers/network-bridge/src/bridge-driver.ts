import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { BerthError, isErrno, isKind, KeyedMutex, type Logger, messageOf } from '@berth/core'
import { type EndpointDefinition, groupPortRequests, matchPublished, type NetworkDefinition, type NetworkDriver, type PortRequest, type PublishedPort, type RestoredNetwork } from '@berth/network-driver'
import { isAddress, isSixCidr, parseCidr } from './addresses.ts'
import { HostPorts, type HeldPort } from './host-ports.ts'
import { Kernel } from './kernel.ts'
import { type BridgeSettings, bridgeSettings, checkNetwork } from './network-options.ts'
import { changeElements, type Element, guardChain, networkElements, portElements, type PortRule, ruleset } from './ruleset.ts'

interface Network {
  definition: NetworkDefinition
  settings: BridgeSettings
  endpoints: Map<string, Endpoint>
}

interface Endpoint {
  definition: EndpointDefinition
  published: PublishedPort[]
  held: HeldPort[]
}

const forwarding = { 4: '/proc/sys/net/ipv4/ip_forward', 6: '/proc/sys/net/ipv6/conf/all/forwarding' } as const

/** The driver. What it knows is what was made or restored through it; the kernel has it too, and keeps it when the program ends. */
export class BridgeDriver implements NetworkDriver {
  readonly name = 'bridge'
  readonly scope = 'local'
  readonly sandbox = 'own'
  readonly hasAddresses = true

  readonly #table: string
  readonly #logger: Logger
  readonly #kernel = new Kernel()
  readonly #hostPorts = new HostPorts()
  readonly #networks = new Map<string, Network>()
  /** Everything about one network happens in order, and so do changes of the rules. */
  readonly #order = new KeyedMutex()
  #hasTable = false
  /** Whether the host became a router by us. */
  #isGuarded = false

  constructor({ table, logger }: { table: string; logger: Logger }) {
    this.#table = table
    this.#logger = logger
  }

  check(network: NetworkDefinition): void {
    checkNetwork(network)
  }

  async createNetwork(definition: NetworkDefinition): Promise<void> {
    checkNetwork(definition)
    await this.#order.run(definition.id, async () => {
      if (this.#networks.has(definition.id)) return
      const network: Network = { definition, settings: bridgeSettings(definition), endpoints: new Map() }
      this.#refuseSameBridge(network)
      this.#networks.set(definition.id, network) // before anything is awaited: its bridge is taken
      try {
        await this.#makeBridge(network)
        await this.#setUpHost(network)
        await this.#changeRules('add', networkElements(rulesOf(network)))
      } catch (error) {
        // The first failure counts.
        if (!isKind(error, 'conflict')) await this.#takeDown(network).catch((more: unknown) => this.#logger.warn('network not cleared away', { network: definition.id, error: messageOf(more) }))
        this.#networks.delete(definition.id)
        throw error
      }
    })
  }

  async removeNetwork(networkId: string): Promise<void> {
    await this.#order.run(networkId, async () => {
      const network = this.#networks.get(networkId)
      if (!network) return
      for (const endpoint of network.endpoints.values()) await this.#leave(network, endpoint)
      await this.#takeDown(network)
    })
  }

  async join(definition: EndpointDefinition): Promise<void> {
    await this.#order.run(definition.networkId, async () => {
      const network = this.#network(definition.networkId)
      if (network.endpoints.has(definition.id)) return
      const [unknown] = Object.keys(definition.options ?? {})
      if (unknown !== undefined) throw new BerthError('invalid-argument', 'ENDPOINT_OPTION_UNKNOWN', `endpoint ${definition.id}: unknown option "${unknown}" of the driver bridge`)
      for (const cidr of definition.addresses) parseCidr(cidr)
      await this.#connect(network, definition)
      network.endpoints.set(definition.id, { definition, published: [], held: [] })
    })
  }

  async setDefaultRoute(networkId: string, endpointId: string, isDefaultRoute: boolean): Promise<void> {
    await this.#order.run(networkId, async () => {
      const network = this.#network(networkId)
      const endpoint = endpointOf(network, endpointId)
      const { sandbox, interfaceName } = endpoint.definition
      const definition = { ...endpoint.definition, isDefaultRoute }
      await this.#kernel.call('setDefaultRoute', { sandbox, interfaceName, isDefaultRoute, gateways: gatewaysOf(network, { ...definition, isDefaultRoute: true }) })
      endpoint.definition = definition
    })
  }

  async leave(networkId: string, endpointId: string): Promise<void> {
    await this.#order.run(networkId, async () => {
      const network = this.#networks.get(networkId)
      const endpoint = network?.endpoints.get(endpointId)
      if (network && endpoint) await this.#leave(network, endpoint)
    })
  }

  async publish(networkId: string, endpointId: string, requests: readonly PortRequest[]): Promise<PublishedPort[]> {
    for (const request of requests) checkRequest(request)
    return await this.#order.run(networkId, async () => {
      const endpoint = endpointOf(this.#network(networkId), endpointId)
      const { published: results, missing } = matchPublished(requests, endpoint.published)
      const held: HeldPort[] = []
      try {
        for (const members of groupPortRequests(missing.map((index) => requests[index]!))) {
          const indexes = members.map((member) => missing[member]!)
          const ports = await this.#hostPorts.hold(indexes.map((index) => requests[index]!), ({ hostAddress }) => targetAddress(endpoint.definition, hostAddress))
          held.push(...ports)
          for (const [position, index] of indexes.entries()) results[index] = ports[position]!.port
        }
        endpoint.published.push(...held.map(({ port }) => port))
        await this.#changeRules('add', held.flatMap(({ port }) => portElements(ruleOf(endpoint, port))))
      } catch (error) {
        endpoint.published = endpoint.published.filter((published) => !held.some(({ port }) => port === published))
        for (const port of held) await port[Symbol.asyncDispose]()
        throw error
      }
      endpoint.held.push(...held)
      return results as PublishedPort[]
    })
  }

  async unpublish(networkId: string, endpointId: string): Promise<void> {
    await this.#order.run(networkId, async () => {
      const endpoint = this.#networks.get(networkId)?.endpoints.get(endpointId)
      if (endpoint) await this.#unpublish(endpoint)
    })
  }

  async restore(networks: readonly RestoredNetwork[]): Promise<void> {
    await this.#releasePorts()
    this.#networks.clear()
    const links = new Map((await this.#kernel.call('links')).filter(({ alias }) => alias.startsWith(this.#alias('', ''))).map((link) => [link.name, link]))
    this.#isGuarded = await this.#kernel.call('nft', `list chain inet ${this.#table} ${guardChain}`).then(() => true, () => false)
    for (const { network: definition, endpoints } of networks) {
      let network: Network
      try {
        checkNetwork(definition)
        network = { definition, settings: bridgeSettings(definition), endpoints: new Map() }
        await this.#makeBridge(network)
      } catch (error) {
        // Its bridge's name is somebody else's now, say: the others are there all the same.
        this.#logger.error('network not restored', { network: definition.id, name: definition.name, error: messageOf(error) })
        continue
      }
      this.#networks.set(definition.id, network)
      links.delete(network.settings.bridge)
      for (const { endpoint, published } of endpoints) {
        try {
          if (!links.delete(vethName(endpoint.id))) await this.#connect(network, endpoint)
          network.endpoints.set(endpoint.id, { definition: endpoint, published: [...published], held: [] })
        } catch (error) {
          // One container whose sandbox is gone must not keep the others from their network.
          this.#logger.warn('endpoint not restored', { endpoint: endpoint.id, error: messageOf(error) })
        }
      }
    }
    for (const name of links.keys()) await this.#kernel.call('deleteLink', name)
    if (this.#networks.size === 0) await this.#dropTable()
    else await this.#order.run('rules', () => this.#replaceRules())
    for (const network of this.#networks.values()) await this.#setUpHost(network)
    for (const { endpoints } of this.#networks.values()) {
      for (const endpoint of endpoints.values()) {
        endpoint.held = await this.#hostPorts.holdAgain(endpoint.published.map((port) => ruleOf(endpoint, port)), (error) => {
          this.#logger.warn('host port not held', { endpoint: endpoint.definition.id, error: messageOf(error) })
        })
      }
    }
  }

  /** Gives up the ports of the host and what no container uses: bridges without endpoints, and with the last one the table. `restore` makes them again. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#releasePorts()
    for (const network of this.#networks.values()) if (network.endpoints.size === 0) await this.#takeDown(network)
    await this.#kernel[Symbol.asyncDispose]()
  }

  async #releasePorts(): Promise<void> {
    for (const { endpoints } of this.#networks.values()) {
      for (const endpoint of endpoints.values()) for (const port of endpoint.held.splice(0)) await port[Symbol.asyncDispose]()
    }
  }

  #network(id: string): Network {
    const network = this.#networks.get(id)
    if (!network) throw new BerthError('not-found', 'NETWORK_NOT_FOUND', `network ${id} not found`)
    return network
  }

  #refuseSameBridge({ definition, settings: { bridge } }: Network): void {
    for (const other of this.#networks.values()) {
      if (other.settings.bridge !== bridge) continue
      throw new BerthError('conflict', 'BRIDGE_TAKEN', `cannot create network ${definition.id} (${bridge}): conflicts with network ${other.definition.id} (${bridge}): networks have same bridge name`)
    }
  }

  /** What is marked with it is ours, with or without a record. */
  #alias(kind: 'network' | 'endpoint' | '', id: string): string {
    return `${this.#table}:${kind && `${kind}:${id}`}`
  }

  async #makeBridge({ definition: { id, subnets }, settings: { bridge, mtu } }: Network): Promise<void> {
    const alias = this.#alias('network', id)
    const existing = await this.#kernel.call('link', bridge)
    if (existing && existing.alias !== alias) {
      throw new BerthError('conflict', 'BRIDGE_NOT_OURS', `cannot create network ${id} (${bridge}): there is a device ${bridge} that does not belong to it`)
    }
    // Fixed, as a bridge otherwise takes another with each port, and its neighbours lose it.
    const macAddress = `02:42:${id.slice(0, 8).replaceAll(/..(?=.)/g, '$&:')}`
    if (!existing) await this.#kernel.call('createBridge', { name: bridge, alias, macAddress, mtu })
    const cidrs = subnets.flatMap(({ cidr, gateway }) => (gateway === undefined ? [] : [`${gateway}/${parseCidr(cidr).prefix}`]))
    await this.#kernel.call('setUpBridge', bridge, cidrs)
  }

  async #setUpHost({ definition: { subnets } }: Network): Promise<void> {
    for (const family of [4, 6] as const) {
      if (!subnets.some(({ cidr }) => isSixCidr(cidr) === (family === 6)) || readFileSync(forwarding[family], 'utf8').trim() !== '0') continue
      if (!this.#isGuarded) {
        // The guard stands before the host becomes a router.
        this.#isGuarded = true
        await this.#order.run('rules', () => this.#replaceRules())
      }
      writeFileSync(forwarding[family], '1')
    }
  }

  async #connect(network: Network, { id, sandbox, interfaceName, macAddress, addresses, ...rest }: EndpointDefinition): Promise<void> {
    const { bridge, isIccEnabled, mtu } = network.settings
    const veth = { name: vethName(id), alias: this.#alias('endpoint', id), bridge, isIsolated: !isIccEnabled, mtu }
    const request = { veth, sandbox, interfaceName, macAddress, cidrs: addresses, gateways: gatewaysOf(network, { ...rest, addresses }) }
    try {
      await this.#kernel.call('join', request)
    } catch (error) {
      const stale = isErrno(error, 'EEXIST') ? await this.#kernel.call('link', veth.name) : undefined
      if (stale?.alias !== veth.alias) throw new BerthError('internal', 'JOIN_FAILED', `failed to join endpoint ${id} to ${network.definition.name}: ${messageOf(error)}`, { cause: error })
      await this.#kernel.call('deleteLink', veth.name)
      await this.#kernel.call('join', request)
    }
  }

  async #leave(network: Network, endpoint: Endpoint): Promise<void> {
    await this.#unpublish(endpoint)
    await this.#kernel.call('deleteLink', vethName(endpoint.definition.id))
    network.endpoints.delete(endpoint.definition.id)
  }

  async #unpublish(endpoint: Endpoint): Promise<void> {
    const rules = endpoint.published.map((port) => ruleOf(endpoint, port))
    endpoint.published = []
    await this.#changeRules('delete', rules.flatMap(portElements))
    for (const port of endpoint.held.splice(0)) await port[Symbol.asyncDispose]()
    await this.#forgetConversations(rules)
  }

  /** Who goes on sending over UDP is led anew, as the rules say from now on. */
  async #forgetConversations(rules: readonly PortRule[]): Promise<void> {
    const targets = new Map(rules.filter(({ protocol }) => protocol === 'udp').map(({ address, containerPort: port }) => [`${address} ${port}`, { address, port }]))
    for (const target of targets.values()) {
      try {
        await this.#kernel.call('forgetConversations', target)
      } catch (error) {
        this.#logger.warn('conversations over UDP are not forgotten', { ...target, error: messageOf(error) })
      }
    }
  }

  /** Takes from the kernel what a network without endpoints has there. */
  async #takeDown(network: Network): Promise<void> {
    this.#networks.delete(network.definition.id)
    if (this.#networks.size === 0) await this.#dropTable()
    else await this.#changeRules('delete', networkElements(rulesOf(network)))
    await this.#kernel.call('deleteLink', network.settings.bridge)
  }

  /** Leaves the host as it was before the first network. */
  async #dropTable(): Promise<void> {
    await this.#order.run('rules', async () => {
      if (this.#networks.size > 0) return // made meanwhile
      await this.#kernel.call('nft', `add table inet ${this.#table}\ndelete table inet ${this.#table}\n`)
      this.#hasTable = false
      if (this.#isGuarded && !(await this.#hasNeighbours())) for (const file of Object.values(forwarding)) if (existsSync(file)) writeFileSync(file, '0')
      this.#isGuarded = false
    })
  }

  /** Whether another driver of this kind has networks here, which need the host to forward too. */
  async #hasNeighbours(): Promise<boolean> {
    return (await this.#kernel.call('links')).some(({ alias }) => /^\w+:network:[0-9a-f]{64}$/.test(alias) && !alias.startsWith(this.#alias('', '')))
  }

  /** Tells the kernel of elements that are known here, or no longer known, already. */
  async #changeRules(verb: 'add' | 'delete', elements: readonly Element[]): Promise<void> {
    if (elements.length === 0) return
    await this.#order.run('rules', async () => {
      if (!this.#hasTable) return await this.#replaceRules()
      try {
        await this.#kernel.call('nft', changeElements(verb, this.#table, elements))
      } catch (error) {
        // Who reloads a firewall clears away everybody's tables: then all of ours is made again.
        if (!isErrno(error, 'NFTABLES')) throw error
        this.#logger.warn('firewall table made again', { table: this.#table, error: messageOf(error) })
        await this.#replaceRules()
      }
    })
  }

  /** Puts the whole table in place. */
  async #replaceRules(): Promise<void> {
    const elements = [...this.#networks.values()].flatMap((network) => [
      ...networkElements(rulesOf(network)),
      ...[...network.endpoints.values()].flatMap((endpoint) => endpoint.published.flatMap((port) => portElements(ruleOf(endpoint, port)))),
    ])
    await this.#kernel.call('nft', ruleset(this.#table, elements, { isGuarded: this.#isGuarded }))
    this.#hasTable = true
  }
}

function endpointOf(network: Network, id: string): Endpoint {
  const endpoint = network.endpoints.get(id)
  if (!endpoint) throw new BerthError('not-found', 'ENDPOINT_NOT_FOUND', `endpoint ${id} not found`)
  return endpoint
}

/** 14 of the 15 characters that a name may have, from the endpoint's ID. */
function vethName(endpointId: string): string {
  return `vb${endpointId.slice(0, 12)}`
}

function rulesOf({ definition: { isInternal, subnets }, settings: { bridge, isMasqueraded } }: Network) {
  return { bridge, isInternal, isMasqueraded, cidrs: subnets.map(({ cidr }) => cidr) }
}

function ruleOf({ definition }: Endpoint, port: PublishedPort): PortRule {
  return { ...port, address: targetAddress(definition, port.hostAddress) }
}

/** Of the families that the endpoint has addresses of. */
function gatewaysOf({ definition: { isInternal, subnets } }: Network, { addresses, isDefaultRoute }: Pick<EndpointDefinition, 'addresses' | 'isDefaultRoute'>): string[] {
  if (isInternal || !isDefaultRoute) return []
  return subnets.flatMap(({ cidr, gateway }) => (gateway !== undefined && addresses.some((address) => isSixCidr(address) === isSixCidr(cidr)) ? [gateway] : []))
}

/** The endpoint's address of the family of `hostAddress`, or of the other one when it has none. */
function targetAddress({ id, addresses }: EndpointDefinition, hostAddress: string): string {
  const chosen = addresses.find((cidr) => isSixCidr(cidr) === isIPv6(hostAddress)) ?? addresses[0]
  if (chosen === undefined) throw new BerthError('invalid-argument', 'ENDPOINT_WITHOUT_ADDRESS', `endpoint ${id} has no address to publish a port of`)
  return parseCidr(chosen).address
}

function checkRequest({ protocol, containerPort, hostAddress, hostPorts }: PortRequest): void {
  const isPort = (port: number) => Number.isInteger(port) && port > 0 && port < 65536
  const isRange = !hostPorts || (isPort(hostPorts.first) && isPort(hostPorts.last) && hostPorts.first <= hostPorts.last)
  if (['tcp', 'udp', 'sctp'].includes(protocol) && isPort(containerPort) && isAddress(hostAddress) && isRange) return
  throw new BerthError('invalid-argument', 'PORT_INVALID', `invalid port specification: ${hostAddress}:${hostPorts ? `${hostPorts.first}-${hostPorts.last}` : ''}:${containerPort}/${protocol}`)
}
