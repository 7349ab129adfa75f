import type { Volume, VolumeCreateOptions, VolumeListResponse, VolumePruneResponse } from '@berth/api-types'
import { encodeFilters, type Filters } from '../filters.ts'
import type { RequestOptions, Transport } from '../transport.ts'

/** Volumes, by name. */
export class VolumesArea {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  async list({ filters, ...options }: RequestOptions & { filters?: Filters } = {}): Promise<VolumeListResponse> {
    return this.#transport.json('GET', '/volumes', { query: { filters: encodeFilters(filters) }, ...options })
  }

  /** Gives the one that is there when the name is taken by an equal one. */
  async create(request: VolumeCreateOptions = {}, options: RequestOptions = {}): Promise<Volume> {
    return this.#transport.json('POST', '/volumes/create', { json: request, ...options })
  }

  async inspect(name: string, options: RequestOptions = {}): Promise<Volume> {
    return this.#transport.json('GET', `/volumes/${encodeURIComponent(name)}`, options)
  }

  /** Throws `conflict` when a container uses it. */
  async remove(name: string, { force, ...options }: RequestOptions & { force?: boolean } = {}): Promise<void> {
    return this.#transport.json('DELETE', `/volumes/${encodeURIComponent(name)}`, { query: { force }, ...options })
  }

  /** Unnamed volumes that nothing uses; with the filter `all=true` named ones too. */
  async prune({ filters, ...options }: RequestOptions & { filters?: Filters } = {}): Promise<VolumePruneResponse> {
    return this.#transport.json('POST', '/volumes/prune', { query: { filters: encodeFilters(filters) }, ...options })
  }
}
