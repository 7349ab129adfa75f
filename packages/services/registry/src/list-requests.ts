import { mediaTypes } from '@berth/oci'
import { type Call, sendJson } from './answers.ts'
import type { Parts } from './registry-parts.ts'
import { RegistryProblem } from './registry-problem.ts'
import type { Page } from './registry-records.ts'
import type { Route } from './route.ts'

const maxPage = 10_000

export function listRepositories({ records }: Parts, call: Call): void {
  const page = pageOf(call.query)
  const repositories = records.repositories(page)
  linkNext(call, '/v2/_catalog', page, repositories)
  sendJson(call, 200, { repositories })
}

/** @see OCI distribution specification, "Listing Tags" */
export function listTags({ records }: Parts, call: Call, { repository }: Extract<Route, { to: 'tags' }>): void {
  if (!records.hasRepository(repository)) throw new RegistryProblem(404, 'NAME_UNKNOWN', 'repository name not known to registry')
  const page = pageOf(call.query)
  const tags = records.tags(repository, page)
  linkNext(call, `/v2/${repository}/tags/list`, page, tags)
  sendJson(call, 200, { name: repository, tags })
}

/** @see OCI distribution specification, "Listing Referrers" */
export function listReferrers({ records }: Parts, call: Call, { repository, digest }: Extract<Route, { to: 'referrers' }>): void {
  const wanted = call.query.get('artifactType')
  const manifests = records.referrers(repository, digest).filter(({ artifactType }) => !wanted || artifactType === wanted)
  if (wanted) call.response.setHeader('OCI-Filters-Applied', 'artifactType')
  sendJson(call, 200, { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }, mediaTypes.ociIndex)
}

function pageOf(query: URLSearchParams): Page {
  const text = query.get('n')
  if (text !== null && !/^\d{1,9}$/.test(text)) throw new RegistryProblem(400, 'PAGINATION_NUMBER_INVALID', 'invalid number of results requested')
  return { count: text === null ? maxPage : Math.min(Number(text), maxPage), after: query.get('last') ?? '' }
}

/** Says where the list goes on, if this part is full. */
function linkNext({ response }: Call, path: string, { count }: Page, found: readonly string[]): void {
  const last = found.at(-1)
  if (last !== undefined && found.length === count) response.setHeader('Link', `<${path}?n=${count}&last=${encodeURIComponent(last)}>; rel="next"`)
}
