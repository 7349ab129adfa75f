import { BerthError } from '@berth/core'
import { familiarReference, familiarRepository, type Reference } from '@berth/oci'

/** Words of a registry are repeated only so far. */
const maxMessage = 300

/** A refusal to word: what was asked of which repository, and what came back. */
export interface Refusal {
  reference: Reference
  action: 'pull' | 'push'
  method: string
  url: URL
  status: number
  /** The body. */
  text: string
}

/** A URL without what may be secret in it: user, password, query. */
export function withoutSecrets(url: string | URL): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}

/** `Get "https://registry/v2/"`, as Go's clients begin their errors. */
export function requestLine(method: string, url: string | URL): string {
  return `${method.charAt(0)}${method.slice(1).toLowerCase()} "${withoutSecrets(url)}"`
}

/** The error for a registry's refusal, in the words that Docker's clients look for. @see moby, distribution/errors.go */
export function refusal({ reference, action, method, url, status, text }: Refusal): BerthError {
  const { code, said } = describe(text)
  const name = familiarRepository(reference)
  if (status === 401 && code !== 'DENIED') {
    return new BerthError('unauthenticated', 'REGISTRY_UNAUTHORIZED', said || `${requestLine(method, url)}: unauthorized: authentication required`)
  }
  if (status === 401 || status === 403) {
    const denied = said || 'denied: requested access to the resource is denied'
    if (action === 'push') return new BerthError('permission-denied', 'REGISTRY_DENIED', denied)
    return new BerthError('not-found', 'REGISTRY_DENIED', `pull access denied for ${name}, repository does not exist or may require 'docker login': ${denied}`)
  }
  if (status === 404 && action === 'pull') {
    if (code === 'NAME_UNKNOWN') return new BerthError('not-found', 'REPOSITORY_NOT_FOUND', `repository ${name} not found: ${said}`)
    if (code === 'BLOB_UNKNOWN') return new BerthError('not-found', 'BLOB_NOT_FOUND', said)
    return new BerthError('not-found', 'MANIFEST_NOT_FOUND', `manifest for ${familiarReference(reference)} not found: ${said || 'manifest unknown: manifest unknown'}`)
  }
  if (status === 429) return new BerthError('resource-exhausted', 'REGISTRY_LIMIT', `toomanyrequests: ${said || 'the registry asks to wait'}`)
  const kind = status >= 500 ? 'unavailable' : status === 404 ? 'not-found' : 'internal'
  return new BerthError(kind, 'REGISTRY_REFUSED', `received unexpected HTTP status: ${status} from ${withoutSecrets(url)}${said ? `: ${said}` : ''}`)
}

/** The error for a connection that failed, after the words of Go's clients: `CONNECTION_BROKE` if there had been one. */
export function connectionError(method: string, url: string | URL, error: unknown): BerthError {
  const { host, hostname } = new URL(url)
  const unknownAuthority = 'tls: failed to verify certificate: x509: certificate signed by unknown authority'
  const words: Record<string, string> = {
    ECONNREFUSED: `dial tcp ${host}: connect: connection refused`,
    EHOSTUNREACH: `dial tcp ${host}: connect: no route to host`,
    ENETUNREACH: `dial tcp ${host}: connect: network is unreachable`,
    ETIMEDOUT: `dial tcp ${host}: i/o timeout`,
    ENOTFOUND: `dial tcp: lookup ${hostname}: no such host`,
    EAI_AGAIN: `dial tcp: lookup ${hostname}: temporary failure in name resolution`,
    ECONNRESET: 'read: connection reset by peer',
    EPIPE: 'write: broken pipe',
    ERR_SSL_WRONG_VERSION_NUMBER: 'http: server gave HTTP response to HTTPS client',
    ERR_SSL_PACKET_LENGTH_TOO_LONG: 'http: server gave HTTP response to HTTPS client',
    DEPTH_ZERO_SELF_SIGNED_CERT: unknownAuthority,
    SELF_SIGNED_CERT_IN_CHAIN: unknownAuthority,
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownAuthority,
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownAuthority,
    ERR_PROXY_TUNNEL: 'the HTTP proxy does not let it through',
    CERT_HAS_EXPIRED: 'tls: failed to verify certificate: x509: certificate has expired',
    ERR_TLS_CERT_ALTNAME_INVALID: `tls: failed to verify certificate: x509: certificate is not valid for ${hostname}`,
  }
  const code = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? '') : ''
  const why = words[code] ?? (code.startsWith('HPE_') ? 'malformed HTTP response' : `the connection failed (${code || 'no code'})`)
  // An error that is not known may hold what was sent or received, which is no more for logs than for users.
  const kind = ['ECONNRESET', 'EPIPE'].includes(code) ? 'CONNECTION_BROKE' : 'REGISTRY_UNREACHABLE'
  return new BerthError('unavailable', kind, `${requestLine(method, url)}: ${why}`, code in words && code !== 'ERR_PROXY_TUNNEL' ? { cause: error } : {})
}

function describe(text: string): { code: string; said: string } {
  try {
    const { errors } = JSON.parse(text) as { errors?: { code?: unknown; message?: unknown }[] }
    const [first] = errors ?? []
    if (typeof first?.code === 'string') {
      const message = typeof first.message === 'string' ? first.message : ''
      return { code: first.code, said: printable(`${first.code.toLowerCase().replaceAll('_', ' ')}: ${message}`) }
    }
  } catch {
    // not the body of a registry
  }
  return { code: '', said: '' }
}

/** Without what could play tricks on a terminal. */
function printable(text: string): string {
  return text.slice(0, maxMessage).replace(/\p{Cc}/gu, ' ')
}

/** Whether a connection failed, so that another may do. */
export function isConnectionError(error: unknown): boolean {
  return error instanceof BerthError && ['REGISTRY_UNREACHABLE', 'CONNECTION_BROKE', 'TRANSFER_BROKE'].includes(error.code)
}
