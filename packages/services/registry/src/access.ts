import type { Route } from './route.ts'

export interface AccessScope {
  type: 'repository' | 'registry'
  /** The repository's name, or `catalog`. */
  name: string
  actions: readonly ('pull' | 'push' | 'delete' | '*')[]
}

export interface AccessRequest {
  /** The request's `Authorization` header. */
  authorization: string | undefined
  /** What the request needs; empty for the version check, which is answered to whoever is known. */
  scopes: readonly AccessScope[]
}

/** 401 with a challenge for who is not known, 403 for who may not. */
export type AccessRefusal = { status: 401; challenge: string } | { status: 403 }

/** Decides who may do what. Undefined lets the request pass. */
export type AccessControl = (request: AccessRequest) => Promise<AccessRefusal | undefined>

/** What a request needs, in the words of Docker's token specification. A mount reads from another repository, too. */
export function scopesOf(route: Route, method: string, mountFrom: string | undefined): AccessScope[] {
  if (route.to === 'base') return []
  if (route.to === 'catalog') return [{ type: 'registry', name: 'catalog', actions: ['*'] }]
  const own: AccessScope = { type: 'repository', name: route.repository, actions: actionsOf(route, method) }
  return mountFrom === undefined ? [own] : [own, { type: 'repository', name: mountFrom, actions: ['pull'] }]
}

function actionsOf(route: Route, method: string): AccessScope['actions'] {
  if (route.to === 'uploads' || route.to === 'upload') return ['pull', 'push']
  if (method === 'GET' || method === 'HEAD') return ['pull']
  return method === 'DELETE' ? ['delete'] : ['pull', 'push']
}

/** Reads `Basic` credentials; undefined for anything else. */
export function basicCredentials(authorization: string | undefined): { user: string; password: string } | undefined {
  const [, encoded] = /^basic +([a-z0-9+/=]+)$/i.exec(authorization ?? '') ?? []
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** Lets everybody pass whose password a function accepts. */
export function basicAccess(authenticate: (user: string, password: string) => boolean | Promise<boolean>): AccessControl {
  return async ({ authorization }) => {
    const credentials = basicCredentials(authorization)
    const isKnown = credentials !== undefined && (await authenticate(credentials.user, credentials.password))
    return isKnown ? undefined : { status: 401, challenge: 'Basic realm="Registry", charset="UTF-8"' }
  }
}
