import type { AuthConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'
import { type Challenge, parseChallenge } from './challenge.ts'
import { connectionError, withoutSecrets } from './registry-error.ts'
import type { Transport } from './transport.ts'

interface Token {
  value: string
  expires: number
}

/** Answers are a token and little more. */
const maxTokenAnswer = 1 << 20
/** Seconds a token is good for where its registry does not say. */
const defaultLifetime = 60

export interface Asking {
  /** Origin of the registry, `https://host`. */
  origin: string
  /** `repository:name:pull`, … */
  scopes: readonly string[]
  auth: AuthConfig | undefined
  signal: AbortSignal
}

/** Gets and keeps what registries want to see in the `Authorization` header. */
export class Authorizer {
  readonly #transport: Transport
  readonly #tokens = new Map<string, Token>()

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** What is known to work, without asking anybody. */
  known(asking: Asking): string | undefined {
    const token = this.#tokens.get(keyOf(asking))
    return token && token.expires > Date.now() ? token.value : undefined
  }

  /** The header that answers a registry's challenge; undefined where there is nothing to answer with. */
  async answer(header: string | null, asking: Asking): Promise<string | undefined> {
    const challenge = parseChallenge(header)
    if (!challenge) return undefined
    const { auth } = asking
    if (challenge.scheme === 'basic') {
      if (!auth?.username) return undefined
      const value = basic(auth)
      this.#keep(asking, { value, expires: Date.now() + 3_600_000 })
      return value
    }
    const { token, lifetime } = await this.#fetchToken(challenge, asking)
    const value = `Bearer ${token}`
    // A little before the registry thinks so.
    this.#keep(asking, { value, expires: Date.now() + Math.max(lifetime - 5, 1) * 1000 })
    return value
  }

  #keep(asking: Asking, token: Token): void {
    if (this.#tokens.size > 256) this.#tokens.clear()
    this.#tokens.set(keyOf(asking), token)
  }

  async #fetchToken({ parameters }: Challenge, { origin, scopes, auth, signal }: Asking): Promise<{ token: string; lifetime: number }> {
    const refuse = (why: string): BerthError => new BerthError('unauthenticated', 'REGISTRY_TOKEN', `cannot get a token for ${origin}: ${why}`)
    const realm = URL.parse(parameters['realm'] ?? '')
    if (!realm || !['http:', 'https:'].includes(realm.protocol)) throw refuse('the registry names no address to ask')
    // Who reads along with the registry anyway may read the password too; nobody else.
    if (realm.protocol === 'http:' && origin.startsWith('https:')) throw refuse('the registry would have the password sent unencrypted')
    const wanted = parameters['scope'] && scopes.length === 0 ? parameters['scope'].split(' ') : scopes
    const url = new URL(realm)
    url.username = url.password = ''
    let body: URLSearchParams | undefined
    const headers: Record<string, string> = {}
    if (auth?.identitytoken) {
      body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: auth.identitytoken, client_id: 'berth', service: parameters['service'] ?? '', scope: wanted.join(' ') })
    } else {
      if (parameters['service']) url.searchParams.set('service', parameters['service'])
      for (const scope of wanted) url.searchParams.append('scope', scope)
      if (auth?.registrytoken) return { token: auth.registrytoken, lifetime: defaultLifetime }
      if (auth?.username) headers['Authorization'] = basic(auth)
    }
    const method = body ? 'POST' : 'GET'
    let response: Response
    try {
      response = await this.#transport.send(String(url), { method, headers, body, signal })
    } catch (error) {
      if (signal.aborted || error instanceof BerthError) throw error
      throw connectionError(method, String(url), error)
    }
    if (!response.ok) {
      await response.body?.cancel()
      if (response.status === 401 || response.status === 403) throw refuse('unauthorized: incorrect username or password')
      throw refuse(`${withoutSecrets(url)} answered ${response.status}`)
    }
    const text = await limitedText(response, maxTokenAnswer)
    try {
      const { token, access_token: accessToken, expires_in: lifetime } = JSON.parse(text) as Record<string, unknown>
      const value = token ?? accessToken
      if (typeof value === 'string' && /^[\x21-\x7e]+$/.test(value)) return { token: value, lifetime: typeof lifetime === 'number' ? lifetime : defaultLifetime }
    } catch {
      // said below
    }
    throw refuse(`${withoutSecrets(url)} answered without a token`)
  }
}

function basic({ username = '', password = '' }: AuthConfig): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/** Tokens are kept for whom they were given to: the password is part of the key, in memory only. */
function keyOf({ origin, scopes, auth }: Asking): string {
  return JSON.stringify([origin, scopes, auth?.username, auth?.password, auth?.identitytoken])
}

/** A response's text, up to a size. */
export async function limitedText(response: Response, limit: number): Promise<string> {
  return Buffer.from(await limitedBytes(response, limit)).toString()
}

export async function limitedBytes(response: Response, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > limit) throw new BerthError('data-loss', 'REGISTRY_ANSWER_TOO_LONG', `the answer of the registry is longer than ${limit} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
