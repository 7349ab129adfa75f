import { BerthError, isKind } from '@berth/core'
import { type Descriptor, maxDocumentSize, parseDigest, parseIndex, type Reference } from '@berth/oci'
import { pullManifest } from './pull-manifest.ts'
import { withoutSecrets } from './registry-error.ts'
import type { RegistryResponse } from './registry-response.ts'
import type { RegistryCall, RegistrySession } from './registry-session.ts'

const maxEntries = 100_000

export interface ReferrersOptions extends RegistryCall {
  /** Only those of this type. */
  artifactType?: string | undefined
}

/** All pages of the tags. @see OCI distribution specification, "Listing Tags" */
export function listTags(session: RegistrySession, reference: Reference, call: RegistryCall): Promise<string[]> {
  return session.fromFirst(reference, 'resolve', call, (endpoint) =>
    allPages(session, call, 'tags/list', 'n=1000', (page) => session.pull(endpoint, reference, page, call), (body) => strings(body, 'tags'), 'a list of tags'))
}

/** All pages of the names of repositories. Distribution has it; big registries keep it to themselves. */
export async function listRepositories(session: RegistrySession, domain: string, call: RegistryCall): Promise<string[]> {
  const endpoint = await session.endpoints.registry(domain, call.signal)
  const ask = async (page: string): Promise<RegistryResponse> => {
    const response = await session.retrying(() => session.send({ endpoint, method: 'GET', url: page, scopes: ['registry:catalog:*'], call }), call.signal)
    if (response.isOk) return response
    response.discard()
    if (response.status === 401 || response.status === 403) throw new BerthError('permission-denied', 'CATALOG_DENIED', `${domain} does not show its catalogue`)
    throw new BerthError([404, 405].includes(response.status) ? 'not-implemented' : 'unavailable', 'CATALOG_UNSUPPORTED', `${domain} has no catalogue: it answered ${response.status}`)
  }
  return allPages(session, call, '_catalog', 'n=1000', ask, (body) => strings(body, 'repositories'), 'a catalogue')
}

/**
 * What says something about a manifest: signatures, inventories, attestations. Registries without the API keep it in an index at a tag of that digest's name.
 * @see OCI distribution specification, "Listing Referrers"
 */
export async function listReferrers(session: RegistrySession, reference: Reference, { artifactType, ...call }: ReferrersOptions): Promise<Descriptor[]> {
  const digest = reference.digest ?? (await pullManifest(session, reference, call)).digest
  const subject = { domain: reference.domain, path: reference.path, digest }
  const isWanted = (descriptor: Descriptor): boolean => artifactType === undefined || descriptor.artifactType === artifactType
  const endpoint = await session.endpoints.registry(reference.domain, call.signal)
  const query = artifactType === undefined ? '' : `artifactType=${encodeURIComponent(artifactType)}`
  try {
    const found = await allPages(session, call, `referrers/${digest}`, query, (page) => session.pull(endpoint, subject, page, call), descriptors, 'a list of referrers')
    return found.filter(isWanted)
  } catch (error) {
    if (!isKind(error, 'not-found') || (error instanceof BerthError && error.code === 'REGISTRY_DENIED')) throw error
  }
  try {
    const { bytes } = await pullManifest(session, { domain: reference.domain, path: reference.path, tag: tagOfReferrers(digest) }, call)
    return parseIndex(bytes).manifests.filter(isWanted)
  } catch (error) {
    if (isKind(error, 'not-found')) return []
    throw error
  }
}

/** @see OCI distribution specification, "Referrers Tag Schema" */
function tagOfReferrers(digest: string): string {
  const { algorithm, encoded } = parseDigest(digest)
  return `${algorithm.slice(0, 32)}-${encoded.slice(0, 64)}`
}

/** Follows the links to next pages, on this path alone, until one is missing or brings nothing. */
async function allPages<T>(session: RegistrySession, { signal }: RegistryCall, path: string, query: string, ask: (page: string) => Promise<RegistryResponse>, read: (body: Record<string, unknown>) => T[] | undefined, what: string): Promise<T[]> {
  const entries: T[] = []
  let page: string | undefined = query === '' ? path : `${path}?${query}`
  while (page !== undefined && entries.length <= maxEntries) {
    const asked: string = page
    const { response, body } = await session.persevering(async () => {
      const answer = await ask(asked)
      return { response: answer, body: await readJson(answer) }
    }, signal)
    const found = read(body)
    if (!found) throw new BerthError('unavailable', 'REGISTRY_ANSWER', `${withoutSecrets(response.url)} did not answer with ${what}`)
    entries.push(...found)
    const next: string | undefined = /<([^>]*)>\s*;\s*rel="?next/i.exec(response.header('link') ?? '')?.[1]
    const search: string | undefined = next === undefined ? undefined : URL.parse(next, response.url.href)?.search
    page = !search || found.length === 0 ? undefined : `${path}${search}`
  }
  return entries
}

async function readJson(response: RegistryResponse): Promise<Record<string, unknown>> {
  const body = await response.bytes(maxDocumentSize)
  try {
    const value: unknown = JSON.parse(body.toString())
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

function strings(body: Record<string, unknown>, field: string): string[] | undefined {
  const list = body[field]
  // distribution says null for none
  return list === null ? [] : Array.isArray(list) ? list.filter((entry) => typeof entry === 'string') : undefined
}

function descriptors(body: Record<string, unknown>): Descriptor[] | undefined {
  if (body['manifests'] === null) return []
  try {
    return parseIndex(Buffer.from(JSON.stringify(body))).manifests
  } catch {
    return undefined
  }
}
