import type { AuthConfig } from '@berth/api-types'

/** Credentials as Docker's clients send them and its configuration keeps them. */
export type RegistryAuth = AuthConfig

/** What is proven to a registry, and how. */
export type Credentials =
  | { kind: 'none' }
  | { kind: 'password'; username: string; password: string }
  /** A refresh token, which buys bearer tokens. */
  | { kind: 'identity'; username: string; token: string }
  /** A bearer token for the registry itself. */
  | { kind: 'bearer'; token: string }

/** What credential helpers give as the name of a user whose secret is an identity token. */
const tokenUser = '<token>'
const maxHeader = 64 << 10
const fields = ['username', 'password', 'auth', 'email', 'serveraddress', 'identitytoken', 'registrytoken'] as const

/**
 * Reads the header `X-Registry-Auth`: JSON in base64, of the alphabet for URLs or the common one, padded or not. What is none, as old clients
 * send it, counts as no credentials: so does dockerd in pull, push and search.
 */
export function parseRegistryAuth(header: string | undefined): RegistryAuth | undefined {
  if (!header || header.length > maxHeader) return undefined
  try {
    return pickAuth(JSON.parse(Buffer.from(header, 'base64url').toString()))
  } catch {
    return undefined
  }
}

/** The fields of credentials that are texts and not empty; undefined if there are none. */
export function pickAuth(value: unknown): RegistryAuth | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const found = fields.flatMap((field) => {
    const text = (value as Record<string, unknown>)[field]
    return typeof text === 'string' && text !== '' ? [[field, text] as const] : []
  })
  return found.length === 0 ? undefined : Object.fromEntries(found)
}

/** What credentials come down to; `auth` is read where there is no user name. */
export function credentialsOf(auth: RegistryAuth | undefined): Credentials {
  if (!auth) return { kind: 'none' }
  const { registrytoken, identitytoken } = auth
  let { username = '', password = '' } = auth
  if (registrytoken) return { kind: 'bearer', token: registrytoken }
  if (!username && auth.auth) {
    const plain = Buffer.from(auth.auth, 'base64').toString()
    const colon = plain.indexOf(':')
    // Docker's configuration pads passwords with NUL.
    if (colon > 0) [username, password] = [plain.slice(0, colon), plain.slice(colon + 1).replace(/^\0+|\0+$/g, '')]
  }
  if (identitytoken) return { kind: 'identity', username, token: identitytoken }
  if (username === tokenUser) return { kind: 'identity', username: '', token: password }
  return username ? { kind: 'password', username, password } : { kind: 'none' }
}

/** The value of an `Authorization` header. @see RFC 7617 */
export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/** The user whose token is wanted by basic authentication, if there is anything to be authenticated by. */
export function basicOf(credentials: Credentials): string | undefined {
  if (credentials.kind === 'password') return basicAuthorization(credentials.username, credentials.password)
  if (credentials.kind === 'identity') return basicAuthorization(credentials.username || tokenUser, credentials.token)
  return undefined
}
