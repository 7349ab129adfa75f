import type { ImageSearchResponseItem } from '@berth/api-types'
import { BerthError } from '@berth/core'
import { maxDocumentSize } from '@berth/oci'
import { withoutSecrets } from './registry-error.ts'
import { originOf } from './registry-hosts.ts'
import type { RegistryCall, RegistrySession } from './registry-session.ts'

export interface SearchOptions extends RegistryCall {
  /** 1 to 100; 25. */
  limit?: number | undefined
  official?: boolean | undefined
  automated?: boolean | undefined
  /** At least so many. */
  stars?: number | undefined
}

/** Docker Hub is searched at another host than images come from. */
const hubIndex = 'index.docker.io'

/** Searches by the API of the first registries, as `docker search` does. @see moby, daemon/pkg/registry/search.go */
export async function search(session: RegistrySession, term: string, { limit = 25, official, automated, stars = 0, ...call }: SearchOptions): Promise<Required<ImageSearchResponseItem>[]> {
  if (!Number.isInteger(limit) || limit < 1 || limit > 100) throw new BerthError('invalid-argument', 'SEARCH_LIMIT', `limit ${limit} is outside the range of [1, 100]`)
  if (/^https?:\/\//.test(term)) throw new BerthError('invalid-argument', 'SEARCH_TERM', "invalid repository name: repository name should not have a scheme")
  const { host, query } = splitTerm(term)
  if (query === '') throw new BerthError('invalid-argument', 'SEARCH_TERM', 'the term to search for is empty')
  const endpoint = await session.endpoints.registry(host, call.signal)
  const url = `${originOf(endpoint)}/v1/search?${new URLSearchParams({ q: query, n: String(limit) }).toString()}`
  const response = await session.retrying(() => session.send({ endpoint, method: 'GET', url, scopes: [], call }), call.signal)
  if (!response.isOk) {
    response.discard()
    throw new BerthError(response.status === 401 ? 'unauthenticated' : 'unavailable', 'SEARCH_FAILED', `Unexpected status code ${response.status} from ${withoutSecrets(url)}`)
  }
  const found = readResults(await response.bytes(maxDocumentSize))
  if (!found) throw new BerthError('unavailable', 'REGISTRY_ANSWER', `${withoutSecrets(url)} did not answer with results of a search`)
  return found
    .filter((item) => (official === undefined || item.is_official === official) && (automated === undefined || item.is_automated === automated) && item.star_count >= stars)
    .slice(0, limit)
}

/** `registry:5000/term` is searched there, all else at Docker Hub. */
function splitTerm(term: string): { host: string; query: string } {
  const slash = term.indexOf('/')
  const first = term.slice(0, Math.max(slash, 0))
  if (first === 'docker.io' || first === hubIndex || !(first === 'localhost' || /[.:]/.test(first))) {
    const query = /[.:]/.test(first) ? term.slice(slash + 1) : term
    return { host: hubIndex, query: query.replace(/^library\//, '') }
  }
  return { host: first, query: term.slice(slash + 1) }
}

function readResults(body: Buffer): Required<ImageSearchResponseItem>[] | undefined {
  try {
    const { results } = JSON.parse(body.toString()) as { results?: unknown }
    if (results === null) return []
    if (!Array.isArray(results)) return undefined
    return results
      .filter((item): item is Record<string, unknown> => typeof item === 'object' && item !== null)
      .map((item) => ({
        name: text(item['name']),
        description: text(item['description']),
        is_official: item['is_official'] === true,
        is_automated: item['is_automated'] === true,
        star_count: Number.isInteger(item['star_count']) ? Number(item['star_count']) : 0,
      }))
  } catch {
    return undefined
  }
}

/** Without what could play tricks on a terminal. */
function text(value: unknown): string {
  return typeof value === 'string' ? value.replace(/\p{Cc}/gu, ' ') : ''
}
