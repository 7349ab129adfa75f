import type { AuthConfig, EventMessage, SystemAuthResponse, SystemDataUsageResponse, SystemInfo, SystemVersion } from '@berth/api-types'
import { jsonLines } from '../json-lines.ts'
import type { RequestOptions, Transport } from '../transport.ts'
import { encodeFilters, type Filters } from '../filters.ts'

export interface EventsOptions extends RequestOptions {
  /** Seconds since the epoch, with a fraction if wanted, or an RFC 3339 time. */
  since?: string
  until?: string
  filters?: Filters
}

/** The engine itself. */
export class SystemArea {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  async version(options: RequestOptions = {}): Promise<SystemVersion> {
    return this.#transport.json('GET', '/version', options)
  }

  async info(options: RequestOptions = {}): Promise<SystemInfo> {
    return this.#transport.json('GET', '/info', options)
  }

  /** Of all kinds, or only of those given. */
  async diskUsage({ types = [], signal }: RequestOptions & { types?: readonly ('container' | 'image' | 'volume' | 'build-cache')[] } = {}): Promise<SystemDataUsageResponse> {
    return this.#transport.json('GET', '/system/df', { query: { type: types }, signal })
  }

  /** Throws `unauthenticated` for credentials that the registry refuses. */
  async auth(config: AuthConfig, options: RequestOptions = {}): Promise<SystemAuthResponse> {
    return this.#transport.json('POST', '/auth', { json: config, ...options })
  }

  /** What happens, from now on or from `since`; without `until` it ends only with the signal or the connection. */
  events({ since, until, filters, signal }: EventsOptions = {}): AsyncIterable<EventMessage> {
    return jsonLines(this.#transport.stream('GET', '/events', { query: { since, until, filters: encodeFilters(filters) }, signal }))
  }
}
