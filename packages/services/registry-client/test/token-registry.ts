import type { IncomingMessage, ServerResponse } from 'node:http'
import { type HttpServer, serve } from './http-server.ts'

/** What was asked of a token server. */
interface TokenRequest {
  method: string
  scopes: string[]
  query: URLSearchParams
  authorization: string | undefined
  form: URLSearchParams
}

export interface TokenRegistryOptions {
  /** Seconds. */
  lifetime?: number | undefined
  /** Where tokens are to be had; its own `/token`. */
  realm?: string | undefined
  /** Answers in place of the token server. */
  onToken?: ((request: TokenRequest, response: ServerResponse) => boolean) | undefined
}

export interface TokenRegistry extends HttpServer {
  tokens: TokenRequest[]
  /** Tokens that were given and are still good. */
  good: Set<string>
}

/** A registry that wants tokens, and gives them: a new one each time. */
export async function serveWithTokens(handle: (request: IncomingMessage, response: ServerResponse) => void, { lifetime = 300, realm, onToken }: TokenRegistryOptions = {}): Promise<TokenRegistry> {
  const tokens: TokenRequest[] = []
  const good = new Set<string>()
  const server = await serve((request, response) => {
    const url = new URL(request.url!, `http://${request.headers.host}`)
    if (url.pathname !== '/token') {
      if (good.has(request.headers.authorization ?? '')) return handle(request, response)
      return response.writeHead(401, { 'WWW-Authenticate': `Bearer realm="${realm ?? `${url.origin}/token`}",service="test"` }).end()
    }
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    return request.on('end', () => {
      const form = new URLSearchParams(body)
      const scopes = request.method === 'POST' ? (form.get('scope') ?? '').split(' ') : url.searchParams.getAll('scope')
      const asked: TokenRequest = { method: request.method!, scopes, query: url.searchParams, authorization: request.headers.authorization, form }
      tokens.push(asked)
      if (onToken?.(asked, response)) return
      good.add(`Bearer secret-token-${tokens.length}`)
      response.end(JSON.stringify({ access_token: `secret-token-${tokens.length}`, expires_in: lifetime, ...(url.searchParams.has('offline_token') && { refresh_token: 'secret-refresh' }) }))
    })
  })
  return Object.assign(server, { tokens, good })
}
