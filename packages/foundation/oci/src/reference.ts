import { BerthError } from '@berth/core'
import { parseDigest } from './digest.ts'

/** A name of an image in a registry, complete with its domain: `docker.io`, `library/busybox`, `latest`. */
export interface Reference {
  /** Host and perhaps port of the registry; `docker.io` when the user gave none. */
  domain: string
  /** The repository within the registry. */
  path: string
  tag?: string | undefined
  digest?: string | undefined
}

const defaultDomain = 'docker.io'
const legacyDefaultDomain = 'index.docker.io'
const officialPrefix = 'library/'
const maxNameLength = 255

const domainComponent = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])'
const host = `(?:${domainComponent}(?:\\.${domainComponent})*|\\[[a-fA-F0-9:]+\\])`
const pathComponent = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const domainPattern = new RegExp(`^${host}(?::[0-9]+)?$`)
const pathPattern = new RegExp(`^${pathComponent}(?:/${pathComponent})*$`)
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const digestPattern = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/

/**
 * Reads a reference as users write it and completes its domain and `library/`. A tag is not added: see {@link withDefaultTag}.
 * @throws `invalid-argument` in Docker's words, `invalid reference format` first among them.
 * @see github.com/distribution/reference, the grammar in its package comment
 */
export function parseReference(value: string): Reference {
  if (/^[a-f0-9]{64}$/.test(value)) throw invalid(`invalid repository name (${value}), cannot specify 64-byte hexadecimal strings`)
  // Every legal reference is far shorter; the patterns below never see more.
  if (value.length > 1024) throw invalid('invalid reference format')
  const at = value.indexOf('@')
  const digest = at < 0 ? undefined : value.slice(at + 1)
  const { domain, rest } = splitDomain(at < 0 ? value : value.slice(0, at))
  const colon = rest.indexOf(':')
  const path = colon < 0 ? rest : rest.slice(0, colon)
  const tag = colon < 0 ? undefined : rest.slice(colon + 1)

  if (path !== path.toLowerCase()) throw invalid('invalid reference format: repository name must be lowercase')
  if (!domainPattern.test(domain) || !pathPattern.test(path)) throw invalid('invalid reference format')
  if (tag !== undefined && !tagPattern.test(tag)) throw invalid('invalid reference format')
  if (digest !== undefined && !digestPattern.test(digest)) throw invalid('invalid reference format')
  if (domain.length + 1 + path.length > maxNameLength) throw invalid(`repository name must not be more than ${maxNameLength} characters`)
  if (digest !== undefined) parseDigest(digest)
  return { domain, path, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) }
}

/** The same reference with the tag `latest` if it has neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: 'latest' } : reference
}

/** Whole and canonical: `docker.io/library/busybox:latest`. */
export function formatReference(reference: Reference): string {
  return `${repositoryOf(reference)}${suffixOf(reference)}`
}

/** As Docker shows it: `busybox:latest`. */
export function familiarReference(reference: Reference): string {
  return `${familiarRepository(reference)}${suffixOf(reference)}`
}

/** Domain and path: `docker.io/library/busybox`. */
export function repositoryOf({ domain, path }: Reference): string {
  return `${domain}/${path}`
}

/** Domain and path as Docker shows them: `busybox`. */
export function familiarRepository({ domain, path }: Reference): string {
  if (domain !== defaultDomain) return `${domain}/${path}`
  const short = path.slice(officialPrefix.length)
  return path.startsWith(officialPrefix) && !short.includes('/') ? short : path
}

/** Whether a text is a legal tag. */
export function isTag(value: string): boolean {
  return tagPattern.test(value)
}

function suffixOf({ tag, digest }: Reference): string {
  return `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`
}

/** What stands before the first slash is a domain only if it looks like one; else the whole is a path on Docker Hub. */
function splitDomain(name: string): { domain: string; rest: string } {
  const slash = name.indexOf('/')
  const first = name.slice(0, Math.max(slash, 0))
  const named = slash >= 0 && (first === 'localhost' || /[.:]/.test(first) || first !== first.toLowerCase())
  const domain = !named || first === legacyDefaultDomain ? defaultDomain : first
  const rest = named ? name.slice(slash + 1) : name
  const repository = /^[^:]*/.exec(rest)![0]
  return { domain, rest: domain === defaultDomain && !repository.includes('/') ? `${officialPrefix}${rest}` : rest }
}

function invalid(message: string): BerthError {
  return new BerthError('invalid-argument', 'INVALID_REFERENCE', message)
}
