import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { type AccessControl, type AccessScope, basicCredentials } from './access.ts'

export interface TokenServerOptions {
  /** Passwords by user. */
  users?: Record<string, string>
  /** Whether tokens are given without credentials; yes when there are no users. */
  anonymous?: boolean
  /** What a user, `undefined` without credentials, is granted of what it asks; all by default. */
  grant?: (user: string | undefined, scope: AccessScope) => AccessScope['actions']
  /** Seconds that a token lives; 60. */
  lifetime?: number
  /** What the registry calls itself; `registry`. */
  service?: string
}

/** One request for a token, without its secrets. */
export interface TokenRequest {
  method: string
  grantType: string | undefined
  user: string | undefined
  service: string | undefined
  scopes: string[]
  status: number
}

/** A token server for tests, and the access control of the registry that trusts it. Disposing it ends the server. */
export interface TokenServer extends AsyncDisposable {
  readonly realm: string
  /** For the option `access` of a registry. */
  readonly access: AccessControl
  /** What was asked so far. */
  readonly requests: readonly TokenRequest[]
  /** From now on no token is good any more; those that are asked for next are. */
  expire(): void
}

interface Token {
  scopes: readonly AccessScope[]
  expires: number
}

/**
 * Starts a token server at 127.0.0.1. It answers `GET` with basic credentials or none, and OAuth2 `POST` with the grants `password` and `refresh_token`, whose refresh tokens
 * are what Docker calls identity tokens.
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export async function startTokenServer({
  users = {},
  anonymous = Object.keys(users).length === 0,
  grant = (_user, { actions }) => actions,
  lifetime = 60,
  service = 'registry',
}: TokenServerOptions = {}): Promise<TokenServer> {
  const tokens = new Map<string, Token>()
  const identities = new Map<string, string>()
  const requests: TokenRequest[] = []

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const asked = await readAsked(request)
    const user = asked.refreshToken === undefined ? asked.user : identities.get(asked.refreshToken)
    const isKnown =
      asked.refreshToken !== undefined ? user !== undefined : asked.user === undefined ? anonymous : Object.hasOwn(users, asked.user) && users[asked.user] === asked.password
    const status = asked.service !== service ? 400 : isKnown ? 200 : 401
    requests.push({ method: request.method ?? '', grantType: asked.grantType, user, service: asked.service, scopes: asked.scopes, status })
    if (status !== 200) return sendJson(response, status, { errors: [{ code: status === 401 ? 'UNAUTHORIZED' : 'UNSUPPORTED', message: 'no token is given for this' }] })
    const scopes = asked.scopes.flatMap(parseScope).map((scope) => ({ ...scope, actions: grant(user, scope) }))
    const token = randomUUID()
    tokens.set(token, { scopes, expires: Date.now() + lifetime * 1000 })
    const identity = asked.wantsIdentity && user !== undefined ? randomUUID() : undefined
    if (identity !== undefined) identities.set(identity, user!)
    const named = request.method === 'POST' ? { access_token: token, scope: asked.scopes.join(' ') } : { token, access_token: token }
    sendJson(response, 200, { ...named, expires_in: lifetime, issued_at: new Date().toISOString(), ...(identity !== undefined && { refresh_token: identity }) })
  }

  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const realm = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`
  return {
    realm,
    requests,
    access: async ({ authorization, scopes }) => {
      const [, value = ''] = /^bearer +(\S+)$/i.exec(authorization ?? '') ?? []
      const token = tokens.get(value)
      const isGood = token !== undefined && token.expires > Date.now()
      if (isGood && scopes.every((scope) => isGranted(token.scopes, scope))) return undefined
      const scope = scopes.map(({ type, name, actions }) => `${type}:${name}:${actions.join(',')}`).join(' ')
      const error = value === '' ? '' : isGood ? ',error="insufficient_scope"' : ',error="invalid_token"'
      return { status: 401, challenge: `Bearer realm="${realm}",service="${service}"${scope && `,scope="${scope}"`}${error}` }
    },
    expire: () => tokens.clear(),
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

interface Asked {
  user: string | undefined
  password: string | undefined
  refreshToken: string | undefined
  grantType: string | undefined
  service: string | undefined
  scopes: string[]
  wantsIdentity: boolean
}

async function readAsked(request: IncomingMessage): Promise<Asked> {
  const isForm = request.method === 'POST'
  const given = isForm ? new URLSearchParams(await text(request)) : new URL(request.url ?? '', 'http://localhost').searchParams
  const value = (name: string) => given.get(name) ?? undefined
  const basic = basicCredentials(request.headers.authorization)
  return {
    user: isForm ? value('username') : basic?.user,
    password: isForm ? value('password') : basic?.password,
    refreshToken: isForm && value('grant_type') === 'refresh_token' ? (value('refresh_token') ?? '') : undefined,
    grantType: value('grant_type'),
    service: value('service'),
    scopes: given.getAll('scope').flatMap((scopes) => scopes.split(' ').filter(Boolean)),
    wantsIdentity: value('offline_token') === 'true' || value('access_type') === 'offline',
  }
}

function parseScope(text: string): AccessScope[] {
  const [, type, name, actions] = /^(repository|registry):(.+):([a-z*,]+)$/.exec(text) ?? []
  if (name === undefined || actions === undefined) return []
  return [{ type: type === 'registry' ? 'registry' : 'repository', name, actions: actions.split(',') as ('pull' | 'push')[] }]
}

function isGranted(granted: readonly AccessScope[], { type, name, actions }: AccessScope): boolean {
  const allowed = granted.filter((scope) => scope.type === type && scope.name === name).flatMap((scope) => scope.actions)
  return allowed.includes('*') || actions.every((action) => allowed.includes(action))
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
}
