import type { AuthConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'
import { type Challenge, parseChallenge } from './challenge.ts'
import { withoutSecrets } from './registry-error.ts'
import type { RegistryResponse } from './registry-response.ts'
import type { Transport } from './transport.ts'

/** Credentials as Docker's clients send them. */
export interface RegistryAuth extends AuthConfig {
  /** A refresh token, in place of the password. */
  identitytoken?: string | undefined
  /** A bearer token for the registry itself. */
  registrytoken?: string | undefined
}

interface Authorization {
  value: string
  /** Milliseconds since 1970. */
  expires: number
}

/** Answers are a token and little more. */
const maxTokenAnswer = 1 << 20
/** Seconds a token is good for where its registry does not say; distribution's token specification. */
const defaultLifetime = 60
const maxKept = 256

export interface Asking {
  /** Origin of the registry, `https://host`. */
  origin: string
  /** `repository:name:pull`, … */
  scopes: readonly string[]
  auth: RegistryAuth | undefined
  signal: AbortSignal
}

/** Gets and keeps what registries want to see in the `Authorization` header. */
export class Authorizer {
  readonly #transport: Transport
  readonly #kept = new Map<string, Authorization>()

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** What is known to work, without asking anybody. */
  known(asking: Asking): string | undefined {
    const authorization = this.#kept.get(keyOf(asking))
    return authorization && authorization.expires > Date.now() ? authorization.value : undefined
  }

  /**
   * The header that answers a 401; undefined where there is nothing to answer with.
   * @throws `unauthenticated` if no token is to be had.
   */
  async answer(response: RegistryResponse, asking: Asking): Promise<string | undefined> {
    // Only the registry itself may ask for its credentials, not where it redirects to (CVE-2020-15157).
    if (response.url.origin !== new URL(asking.origin).origin) return undefined
    const challenge = parseChallenge(response.header('www-authenticate'))
    if (!challenge) return undefined
    const { auth } = asking
    if (challenge.scheme === 'basic') return auth?.username ? this.#keep(asking, basic(auth), 3600) : undefined
    if (auth?.registrytoken) return this.#keep(asking, `Bearer ${auth.registrytoken}`, defaultLifetime)
    const { token, lifetime } = await this.#fetchToken(challenge, asking)
    // A little before the registry thinks so.
    return this.#keep(asking, `Bearer ${token}`, Math.max(lifetime - 5, 1))
  }

  #keep(asking: Asking, value: string, seconds: number): string {
    if (this.#kept.size >= maxKept) this.#kept.clear()
    this.#kept.set(keyOf(asking), { value, expires: Date.now() + seconds * 1000 })
    return value
  }

  async #fetchToken({ parameters }: Challenge, { origin, scopes, auth, signal }: Asking): Promise<{ token: string; lifetime: number }> {
    const refuse = (why: string): BerthError => new BerthError('unauthenticated', 'REGISTRY_TOKEN', `cannot get a token for ${origin}: ${why}`)
    const url = URL.parse(parameters['realm'] ?? '')
    if (!url || !['http:', 'https:'].includes(url.protocol)) throw refuse('the registry names no address to ask')
    if (url.protocol === 'http:' && origin.startsWith('https:')) throw refuse('the registry would have the password sent unencrypted')
    url.username = url.password = ''
    const service = parameters['service'] ?? ''
    const wanted = scopes.length === 0 && parameters['scope'] ? parameters['scope'].split(' ') : scopes

    let response: RegistryResponse
    if (auth?.identitytoken) {
      const form = { grant_type: 'refresh_token', refresh_token: auth.identitytoken, client_id: 'berth', service, scope: wanted.join(' ') }
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' }
      response = await this.#transport.send(url.href, { method: 'POST', headers, body: new URLSearchParams(form).toString(), signal })
    } else {
      if (service) url.searchParams.set('service', service)
      for (const scope of wanted) url.searchParams.append('scope', scope)
      response = await this.#transport.send(url.href, { method: 'GET', headers: auth?.username ? { Authorization: basic(auth) } : {}, signal })
    }
    if (!response.isOk) {
      response.discard()
      if ([400, 401, 403].includes(response.status)) throw refuse('unauthorized: incorrect username or password')
      throw refuse(`${withoutSecrets(url)} answered ${response.status}`)
    }
    const found = readToken(await response.bytes(maxTokenAnswer))
    if (!found) throw refuse(`${withoutSecrets(url)} answered without a token`)
    return found
  }
}

function readToken(body: Buffer): { token: string; lifetime: number } | undefined {
  try {
    const { token, access_token: accessToken, expires_in: lifetime } = JSON.parse(body.toString()) as Record<string, unknown>
    const value = token ?? accessToken
    if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) return undefined
    return { token: value, lifetime: typeof lifetime === 'number' ? lifetime : defaultLifetime }
  } catch {
    return undefined
  }
}

function basic({ username = '', password = '' }: AuthConfig): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/** What was given to one user is for no other: the password is part of the key, in memory only. */
function keyOf({ origin, scopes, auth }: Asking): string {
  return JSON.stringify([origin, scopes, auth?.username, auth?.password, auth?.identitytoken, auth?.registrytoken])
}
