import { isDigest, isTag, parseReference } from '@berth/oci'
import { RegistryProblem } from './registry-problem.ts'

/** What a request's path means. */
export type Route =
  | { to: 'base' }
  | { to: 'catalog' }
  | { to: 'tags'; repository: string }
  | { to: 'manifest'; repository: string; reference: { tag: string } | { digest: string } }
  | { to: 'blob'; repository: string; digest: string }
  | { to: 'uploads'; repository: string }
  | { to: 'upload'; repository: string; id: string }
  | { to: 'referrers'; repository: string; digest: string }

/**
 * Reads a path. Everything in what it returns has been checked.
 * @throws RegistryProblem for a path, name, tag or digest that is none.
 * @see OCI distribution specification, "Endpoints"
 */
export function parseRoute(pathname: string): Route {
  const path = decoded(pathname)
  if (path === '/v2' || path === '/v2/') return { to: 'base' }
  if (path === '/v2/_catalog') return { to: 'catalog' }
  const segments = path.split('/')
  const [root, version, ...rest] = segments
  if (root !== '' || version !== 'v2') throw unknownPath()
  const last = rest.pop() ?? ''
  const kind = rest.pop() ?? ''
  if (kind === 'tags' && last === 'list') return { to: 'tags', repository: nameOf(rest) }
  if (kind === 'manifests') return { to: 'manifest', repository: nameOf(rest), reference: referenceOf(last) }
  if (kind === 'referrers') return { to: 'referrers', repository: nameOf(rest), digest: digestOf(last) }
  if (kind === 'uploads' && rest.at(-1) === 'blobs') {
    const repository = nameOf(rest.slice(0, -1))
    return last === '' ? { to: 'uploads', repository } : { to: 'upload', repository, id: last }
  }
  if (kind === 'blobs') return last === 'uploads' ? { to: 'uploads', repository: nameOf(rest) } : { to: 'blob', repository: nameOf(rest), digest: digestOf(last) }
  throw unknownPath()
}

/** Checks the name of a repository. */
export function checkName(name: string): string {
  try {
    const { path, tag, digest } = parseReference(`localhost/${name}`)
    if (path === name && tag === undefined && digest === undefined) return name
  } catch {
    // said below
  }
  throw new RegistryProblem(400, 'NAME_INVALID', 'invalid repository name')
}

/** Checks a digest. */
export function digestOf(value: string): string {
  if (!isDigest(value)) throw new RegistryProblem(400, 'DIGEST_INVALID', 'invalid or unsupported digest')
  return value
}

function nameOf(segments: readonly string[]): string {
  return checkName(segments.join('/'))
}

function referenceOf(value: string): { tag: string } | { digest: string } {
  if (value.includes(':')) return { digest: digestOf(value) }
  if (!isTag(value)) throw new RegistryProblem(400, 'TAG_INVALID', 'invalid tag')
  return { tag: value }
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw unknownPath()
  }
}

function unknownPath(): RegistryProblem {
  return new RegistryProblem(404, 'UNSUPPORTED', 'this registry has no such path')
}
