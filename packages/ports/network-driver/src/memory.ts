import { BerthError } from '@berth/core'
import { type EndpointDefinition, groupPortRequests, isSameHostPort, matchPublished, type NetworkDefinition, type NetworkDriver, type PortRequest, type PublishedPort } from './index.ts'

/** What a {@link memoryNetworkDriver} has made: its kernel, so to say. Drivers over one state are one driver before and after a crash. */
export interface MemoryNetworkState {
  readonly networks: Map<string, MemoryNetwork>
  /** Ports that other programs of the host have. */
  readonly taken: Pick<PublishedPort, 'protocol' | 'hostAddress' | 'hostPort'>[]
}

export interface MemoryNetwork {
  definition: NetworkDefinition
  readonly endpoints: Map<string, MemoryEndpoint>
}

export interface MemoryEndpoint {
  definition: EndpointDefinition
  published: PublishedPort[]
}

export interface MemoryNetworksOptions {
  name?: string
  sandbox?: NetworkDriver['sandbox']
  hasAddresses?: boolean
  /** Options of networks that it knows, and ignores. */
  knownOptions?: readonly string[]
  state?: MemoryNetworkState
}

/** Where ports are chosen when none is asked for. */
const ephemeral = { first: 32768, last: 60999 }

export function memoryNetworkState(): MemoryNetworkState {
  return { networks: new Map(), taken: [] }
}

/** Networks that exist in `state` only, and move no packet: for tests of what manages networks. */
export function memoryNetworkDriver({ name = 'memory', sandbox = 'own', hasAddresses = true, knownOptions = [], state = memoryNetworkState() }: MemoryNetworksOptions = {}): NetworkDriver {
  const endpointOf = (networkId: string, endpointId: string) => state.networks.get(networkId)?.endpoints.get(endpointId)
  const inUse = () => [...state.networks.values()].flatMap(({ endpoints }) => [...endpoints.values()].flatMap(({ published }) => published))

  const check = ({ options, name: network, subnets }: NetworkDefinition): void => {
    const unknown = Object.keys(options).find((option) => !knownOptions.includes(option))
    if (unknown !== undefined) throw new BerthError('invalid-argument', 'NETWORK_OPTION_UNKNOWN', `network ${network}: unknown option "${unknown}"`)
    if (!hasAddresses && subnets.length > 0) throw new BerthError('invalid-argument', 'NETWORK_SUBNET_UNSUPPORTED', `network ${network}: networks of the driver ${name} have no subnets`)
  }

  const choosePort = (group: readonly PortRequest[], { addresses }: EndpointDefinition, chosen: readonly PublishedPort[]): PublishedPort[] => {
    const { first, last } = group[0]?.hostPorts ?? ephemeral
    let refusal: BerthError | undefined
    for (let hostPort = first; hostPort <= last; hostPort++) {
      const wanted = group.map(({ protocol, containerPort, hostAddress }): PublishedPort => ({ protocol, containerPort, hostAddress, hostPort }))
      const ours = wanted.find((port) => [...inUse(), ...chosen].some((other) => isSameHostPort(port, other)))
      const others = wanted.find((port) => state.taken.some((other) => isSameHostPort(port, other)))
      if (!ours && !others) return wanted
      if (ours) refusal ??= new BerthError('conflict', 'PORT_ALLOCATED', `Bind for ${ours.hostAddress}:${hostPort} failed: port is already allocated`)
      else if (others) {
        const target = `${addresses[0]?.split('/')[0] ?? ''}:${others.containerPort}/${others.protocol}`
        refusal ??= new BerthError('conflict', 'PORT_IN_USE', `failed to bind host port for ${others.hostAddress}:${hostPort}:${target}: address already in use`)
      }
    }
    if (refusal && first === last) throw refusal
    throw new BerthError('conflict', 'PORTS_EXHAUSTED', 'all ports are allocated')
  }

  return {
    name,
    scope: 'local',
    sandbox,
    hasAddresses,
    check,
    async createNetwork(definition) {
      check(definition)
      if (!state.networks.has(definition.id)) state.networks.set(definition.id, { definition, endpoints: new Map() })
    },
    async removeNetwork(networkId) {
      state.networks.delete(networkId)
    },
    async join(definition) {
      const network = state.networks.get(definition.networkId)
      if (!network) throw new BerthError('not-found', 'NETWORK_NOT_FOUND', `network ${definition.networkId} not found`)
      if (!network.endpoints.has(definition.id)) network.endpoints.set(definition.id, { definition, published: [] })
    },
    async setDefaultRoute(networkId, endpointId, isDefaultRoute) {
      const endpoint = endpointOf(networkId, endpointId)
      if (!endpoint) throw new BerthError('not-found', 'ENDPOINT_NOT_FOUND', `endpoint ${endpointId} not found`)
      endpoint.definition = { ...endpoint.definition, isDefaultRoute }
    },
    async leave(networkId, endpointId) {
      state.networks.get(networkId)?.endpoints.delete(endpointId)
    },
    async publish(networkId, endpointId, requests) {
      const endpoint = endpointOf(networkId, endpointId)
      if (!endpoint) throw new BerthError('not-found', 'ENDPOINT_NOT_FOUND', `endpoint ${endpointId} not found`)
      const { published: results, missing } = matchPublished(requests, endpoint.published)
      const chosen: PublishedPort[] = []
      for (const members of groupPortRequests(missing.map((index) => requests[index]!))) {
        const indexes = members.map((member) => missing[member]!)
        const ports = choosePort(indexes.map((index) => requests[index]!), endpoint.definition, chosen)
        chosen.push(...ports)
        for (const [position, index] of indexes.entries()) results[index] = ports[position]
      }
      endpoint.published.push(...chosen)
      return results as PublishedPort[]
    },
    async unpublish(networkId, endpointId) {
      const endpoint = endpointOf(networkId, endpointId)
      if (endpoint) endpoint.published = []
    },
    async restore(networks) {
      const wanted = new Map(networks.map(({ network, endpoints }) => [network.id, new Map(endpoints.map((each) => [each.endpoint.id, each]))]))
      for (const id of state.networks.keys()) if (!wanted.has(id)) state.networks.delete(id)
      for (const { network, endpoints } of networks) {
        const made = state.networks.get(network.id) ?? { definition: network, endpoints: new Map<string, MemoryEndpoint>() }
        state.networks.set(network.id, made)
        for (const id of made.endpoints.keys()) if (!wanted.get(network.id)?.has(id)) made.endpoints.delete(id)
        for (const { endpoint, published } of endpoints) made.endpoints.set(endpoint.id, { definition: endpoint, published: [...published] })
      }
    },
    async [Symbol.asyncDispose]() {},
  }
}
