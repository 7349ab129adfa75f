import type { Network, NetworkConnectRequest, NetworkCreateRequest, NetworkCreateResponse, NetworkDisconnectRequest, NetworkPruneResponse } from '@berth/api-types'
import { encodeFilters, type Filters } from '../filters.ts'
import type { RequestOptions, Transport } from '../transport.ts'

/** Networks, by name or ID. */
export class NetworksArea {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  async list({ filters, ...options }: RequestOptions & { filters?: Filters } = {}): Promise<Network[]> {
    return this.#transport.json('GET', '/networks', { query: { filters: encodeFilters(filters) }, ...options })
  }

  /** Throws `conflict` when the name is taken. */
  async create(request: NetworkCreateRequest, options: RequestOptions = {}): Promise<NetworkCreateResponse> {
    return this.#transport.json('POST', '/networks/create', { json: request, ...options })
  }

  async inspect(ref: string, { verbose, ...options }: RequestOptions & { verbose?: boolean } = {}): Promise<Network> {
    return this.#transport.json('GET', `/networks/${encodeURIComponent(ref)}`, { query: { verbose }, ...options })
  }

  async remove(ref: string, options: RequestOptions = {}): Promise<void> {
    return this.#transport.json('DELETE', `/networks/${encodeURIComponent(ref)}`, options)
  }

  async connect(ref: string, request: NetworkConnectRequest, options: RequestOptions = {}): Promise<void> {
    return this.#transport.json('POST', `/networks/${encodeURIComponent(ref)}/connect`, { json: request, ...options })
  }

  async disconnect(ref: string, request: NetworkDisconnectRequest, options: RequestOptions = {}): Promise<void> {
    return this.#transport.json('POST', `/networks/${encodeURIComponent(ref)}/disconnect`, { json: request, ...options })
  }

  async prune({ filters, ...options }: RequestOptions & { filters?: Filters } = {}): Promise<NetworkPruneResponse> {
    return this.#transport.json('POST', '/networks/prune', { query: { filters: encodeFilters(filters) }, ...options })
  }
}
