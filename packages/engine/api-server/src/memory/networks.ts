import type { Network, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest } from '@berth/api-types'
import { BerthError, newId } from '@berth/core'
import type { NetworkBackend } from '../backend.ts'

/** Networks that carry nothing. */
export class MemoryNetworks implements NetworkBackend {
  readonly #networks = new Map<string, Network>()

  constructor() {
    this.#add({ Name: 'bridge' })
  }

  async create(request: NetworkCreateRequest): Promise<{ Id: string; Warning: string }> {
    if ([...this.#networks.values()].some(({ Name }) => Name === request.Name)) throw new BerthError('already-exists', 'NETWORK_EXISTS', `network with name ${request.Name} already exists`)
    return { Id: this.#add(request), Warning: '' }
  }

  async list(): Promise<Network[]> {
    return [...this.#networks.values()]
  }

  async inspect(ref: string): Promise<Network> {
    return this.#get(ref)
  }

  async remove(ref: string): Promise<void> {
    const { Id = '', Name } = this.#get(ref)
    if (Name === 'bridge') throw new BerthError('permission-denied', 'NETWORK_PREDEFINED', `${Name} is a pre-defined network and cannot be removed`)
    this.#networks.delete(Id)
  }

  async connect(ref: string, { Container = '', EndpointConfig }: NetworkConnectRequest): Promise<void> {
    const network = this.#get(ref)
    network.Containers = { ...network.Containers, [Container]: { Name: Container, IPv4Address: EndpointConfig?.IPAMConfig?.IPv4Address ?? '' } }
  }

  async disconnect(ref: string, { Container = '' }: NetworkDisconnectRequest): Promise<void> {
    const network = this.#get(ref)
    network.Containers = Object.fromEntries(Object.entries(network.Containers ?? {}).filter(([name]) => name !== Container))
  }

  async prune(): Promise<{ NetworksDeleted: string[] }> {
    return { NetworksDeleted: [] }
  }

  #add({ Name, Driver = 'bridge', IPAM, Options = {}, Labels = {}, Internal = false }: NetworkCreateRequest): string {
    const Id = newId()
    this.#networks.set(Id, { Id, Name, Driver, Scope: 'local', IPAM: IPAM ?? {}, Options, Labels, Internal, Containers: {} })
    return Id
  }

  #get(ref: string): Network {
    const network = [...this.#networks.values()].find(({ Id, Name }) => Id === ref || Name === ref)
    if (!network) throw new BerthError('not-found', 'NETWORK_NOT_FOUND', `network ${ref} not found`)
    return network
  }
}
