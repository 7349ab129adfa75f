import { BerthError } from '@berth/core'
import { type Challenge, parseChallenge } from './challenge.ts'
import { basicOf, type Credentials, credentialsOf, type RegistryAuth } from './registry-auth.ts'
import { withoutSecrets } from './registry-error.ts'
import { type Endpoint, originOf } from './registry-hosts.ts'
import type { RegistryResponse } from './registry-response.ts'
import { mergeScopes } from './scopes.ts'
import { SharedRuns } from './shared-runs.ts'
import { tlsElsewhere } from './tls-settings.ts'
import type { SendOptions } from './transport.ts'

export interface Asking {
  endpoint: Endpoint
  /** `repository:name:pull`, … */
  scopes: readonly string[]
  auth: RegistryAuth | undefined
  signal: AbortSignal
}

interface Token {
  /** The header's value. */
  value: string
  /** Milliseconds since 1970. */
  expires: number
  /** Buys tokens later, in place of the password; only where it was asked for. */
  identityToken: string | undefined
}

export interface LogIn {
  /** What to send along. */
  authorization: string
  identityToken: string | undefined
}

/** How an endpoint wants to be convinced, from the last time that it said so. */
interface Demand extends Challenge {
  /** Whether it was somebody of the open network who demanded it. */
  isPublic: boolean
}

/** Answers are a token and little more. */
const maxTokenAnswer = 1 << 20
/** Seconds a token is good for where its registry does not say; distribution's token specification. */
const defaultLifetime = 60
const maxKept = 256
/** What registries' logs tell clients apart by. */
const clientId = 'berth'

/** Gets and keeps what registries want to see in the `Authorization` header: by endpoint, scopes and user, in memory. */
export class Authorizer {
  readonly #send: (url: string, options: SendOptions) => Promise<RegistryResponse>
  readonly #tokens = new Map<string, Token>()
  readonly #demands = new Map<string, Demand>()
  readonly #runs = new SharedRuns<Token>()

  /** @param send Asks for tokens. */
  constructor(send: (url: string, options: SendOptions) => Promise<RegistryResponse>) {
    this.#send = send
  }

  /** What to send along unasked, by what the endpoint demanded before. A token that is about to expire is replaced. */
  async header(asking: Asking): Promise<string | undefined> {
    const demand = this.#demands.get(userKey(asking))
    return demand && this.#meet(demand, asking)
  }

  /**
   * The header that answers a 401; undefined where there is nothing to answer with.
   * @param refused What had been sent along.
   * @throws `unauthenticated` if no token is to be had.
   */
  async answer(response: RegistryResponse, asking: Asking, refused: string | undefined): Promise<string | undefined> {
    // Only the registry itself may ask for its credentials, not where it redirects to (CVE-2020-15157).
    if (response.url.origin !== originOf(asking.endpoint)) return undefined
    const challenge = parseChallenge(response.header('www-authenticate'))
    if (!challenge) return undefined
    const demand = { ...challenge, isPublic: response.isPublic }
    keep(this.#demands, userKey(asking), demand)
    // Another request may have got a new token meanwhile.
    if (refused !== undefined && this.#tokens.get(tokenKey(demand, asking))?.value === refused) this.#tokens.delete(tokenKey(demand, asking))
    const value = await this.#meet(demand, asking)
    // Nothing changes if a password or a token that was given to us is sent once more.
    return value === refused ? undefined : value
  }

  /**
   * The same with nothing kept, and with a token that replaces the password from then on, if the registry gives such.
   * @throws `unauthenticated` if no token is to be had.
   */
  async logIn(response: RegistryResponse, asking: Asking): Promise<LogIn | undefined> {
    if (response.url.origin !== originOf(asking.endpoint)) return undefined
    const challenge = parseChallenge(response.header('www-authenticate'))
    const credentials = credentialsOf(asking.auth)
    if (!challenge || credentials.kind === 'none') return undefined
    if (credentials.kind === 'bearer') return { authorization: `Bearer ${credentials.token}`, identityToken: undefined }
    if (challenge.scheme === 'basic') return { authorization: basicOf(credentials) ?? '', identityToken: undefined }
    const { value, identityToken } = await this.#fetchToken({ ...challenge, isPublic: response.isPublic }, asking, { isOffline: true })
    return { authorization: value, identityToken }
  }

  async #meet(demand: Demand, asking: Asking): Promise<string | undefined> {
    const credentials = credentialsOf(asking.auth)
    if (demand.scheme === 'basic') return credentials.kind === 'bearer' ? undefined : basicOf(credentials)
    if (credentials.kind === 'bearer') return `Bearer ${credentials.token}`
    const key = tokenKey(demand, asking)
    const known = this.#tokens.get(key)
    if (known && known.expires > Date.now()) return known.value
    const { value } = await this.#runs.run(
      key,
      async (signal) => {
        const token = await this.#fetchToken(demand, { ...asking, signal }, { isOffline: false })
        keep(this.#tokens, key, token)
        return token
      },
      asking.signal,
    )
    return value
  }

  async #fetchToken(demand: Demand, asking: Asking, { isOffline }: { isOffline: boolean }): Promise<Token> {
    const origin = originOf(asking.endpoint)
    const refuse = (why: string): BerthError => new BerthError('unauthenticated', 'REGISTRY_TOKEN', `cannot get a token for ${origin}: ${why}`)
    const realm = URL.parse(demand.parameters['realm'] ?? '')
    if (!realm || !['http:', 'https:'].includes(realm.protocol)) throw refuse('the registry names no address to ask')
    if (realm.protocol === 'http:' && origin.startsWith('https:')) throw refuse('the registry would have the password sent unencrypted')
    realm.username = realm.password = realm.hash = ''
    const response = await this.#ask(realm, demand, asking, isOffline)
    if (!response.isOk) {
      response.discard()
      if ([400, 401, 403].includes(response.status)) throw refuse('unauthorized: incorrect username or password')
      throw refuse(`${withoutSecrets(realm)} answered ${response.status}`)
    }
    const found = readToken(await response.bytes(maxTokenAnswer))
    if (!found) throw refuse(`${withoutSecrets(realm)} answered without a token`)
    return found
  }

  /** @see distribution, "Token Authentication Specification" and "OAuth2 Token Authentication" */
  async #ask(realm: URL, demand: Demand, asking: Asking, isOffline: boolean): Promise<RegistryResponse> {
    const { endpoint, signal } = asking
    const isElsewhere = realm.origin !== originOf(endpoint)
    const how = { signal, tls: isElsewhere ? tlsElsewhere(endpoint.tls) : endpoint.tls, publicOnly: isElsewhere && demand.isPublic }
    const credentials = credentialsOf(asking.auth)
    const service = demand.parameters['service'] ?? ''
    const scopes = scopesFor(demand, asking)
    if (credentials.kind === 'identity') {
      const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: credentials.token, client_id: clientId, service, scope: scopes.join(' ') })
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' }
      const response = await this.#send(realm.href, { ...how, method: 'POST', headers, body: form.toString() })
      // As GCR, Artifactory and others answer that know the older way alone.
      if (![401, 404, 405].includes(response.status)) return response
      response.discard()
    }
    const url = new URL(realm)
    if (service) url.searchParams.set('service', service)
    for (const scope of scopes) url.searchParams.append('scope', scope)
    if (credentials.kind === 'password') url.searchParams.set('account', credentials.username)
    if (isOffline) for (const [name, value] of [['offline_token', 'true'], ['client_id', clientId]] as const) url.searchParams.set(name, value)
    const authorization = basicOf(credentials)
    return this.#send(url.href, { ...how, method: 'GET', headers: authorization ? { Authorization: authorization } : {} })
  }
}

/** What a request needs, and what the registry says that it does; only the latter where a path prefix may change the names of repositories. */
function scopesFor({ parameters }: Demand, { endpoint, scopes }: Pick<Asking, 'endpoint' | 'scopes'>): string[] {
  const asked = (parameters['scope'] ?? '').split(' ')
  return mergeScopes(new URL(endpoint.base).pathname === '/v2' ? scopes : [], asked)
}

function readToken(body: Buffer): Token | undefined {
  try {
    const { token, access_token: accessToken, expires_in: lifetime, refresh_token: refreshToken } = JSON.parse(body.toString()) as Record<string, unknown>
    const value = token ?? accessToken
    if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) return undefined
    const seconds = typeof lifetime === 'number' && lifetime > 0 ? lifetime : defaultLifetime
    return {
      value: `Bearer ${value}`,
      // A little before the registry thinks so.
      expires: Date.now() + (seconds - Math.min(10, seconds / 5)) * 1000,
      identityToken: typeof refreshToken === 'string' && refreshToken !== '' ? refreshToken : undefined,
    }
  } catch {
    return undefined
  }
}

/** What was given to one user is for no other: the secrets are part of the keys, in memory only. */
function userKey({ endpoint, auth }: Pick<Asking, 'endpoint' | 'auth'>): string {
  return JSON.stringify([endpoint.base, credentialsOf(auth)] satisfies [string, Credentials])
}

function tokenKey(demand: Demand, asking: Asking): string {
  return `${userKey(asking)} ${demand.parameters['realm'] ?? ''} ${scopesFor(demand, asking).join(' ')}`
}

function keep<T>(kept: Map<string, T>, key: string, value: T): void {
  if (kept.size >= maxKept) kept.clear()
  kept.set(key, value)
}
