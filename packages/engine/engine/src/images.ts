import type { AuthConfig, DistributionInspect, ImageSearchResponseItem } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { ImageStore, LoadOptions, ProgressMessage } from '@berth/image-store'
import { parseReference } from '@berth/oci'
import type { RegistryClient } from '@berth/registry-client'
import type { Filters } from './event-filters.ts'

/** The images here, and what registries say of those that are not. */
export interface EngineImages extends Omit<ImageStore, 'load' | typeof Symbol.asyncDispose> {
  load(source: LoadOptions['source'], options: Omit<LoadOptions, 'source'> & { signal: AbortSignal }): AsyncIterable<ProgressMessage>
  search(term: string, options: SearchOptions): Promise<ImageSearchResponseItem[]>
  /** What a registry has by that name, and for which platforms. */
  distribution(ref: string, options: { auth?: AuthConfig | undefined; signal: AbortSignal }): Promise<DistributionInspect>
}

export interface SearchOptions {
  /** 1 to 100; 25 by default. */
  limit?: number | undefined
  /** `is-official`, `is-automated`, `stars`; anything else is `invalid-argument`. */
  filters: Filters
  auth?: AuthConfig | undefined
  signal: AbortSignal
}

export function engineImages(store: ImageStore, registry: Pick<RegistryClient, 'search' | 'inspect'>): EngineImages {
  const { [Symbol.asyncDispose]: _, load, ...images } = store
  return {
    ...images,
    load: (source, options) => load({ source, ...options }),
    search: (term, { filters, ...options }) => registry.search(term, { ...options, ...searchFilters(filters) }),
    distribution: async (ref, options) => registry.inspect(parseReference(ref), options),
  }
}

/** @see Docker Engine API v1.51, ImageSearch */
export function searchFilters(filters: Filters): { official?: boolean; automated?: boolean; stars?: number } {
  const invalid = (filter: string): BerthError => new BerthError('invalid-argument', 'FILTER_INVALID', `invalid filter '${filter}'`)
  const flag = (key: string): boolean | undefined => {
    const values = filters.get(key)?.map((value) => ({ true: true, '1': true, false: false, '0': false })[value.toLowerCase()])
    if (values === undefined || values.length === 0) return undefined
    if (values.includes(undefined) || new Set(values).size > 1) throw invalid(`${key}=[${filters.get(key)?.join(' ')}]`)
    return values[0]
  }
  for (const key of filters.keys()) if (!['is-official', 'is-automated', 'stars'].includes(key)) throw invalid(key)
  const stars = (filters.get('stars') ?? []).map((value) => {
    if (!/^\d{1,9}$/.test(value)) throw invalid(`stars=${value}`)
    return Number(value)
  })
  const [official, automated] = [flag('is-official'), flag('is-automated')]
  return { ...(official !== undefined && { official }), ...(automated !== undefined && { automated }), ...(stars.length > 0 && { stars: Math.max(...stars) }) }
}
