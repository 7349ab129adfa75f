import { BerthError } from '@berth/core'
import { familiarRepository, type Reference } from '@berth/oci'

/** Words of a registry are repeated only so far. */
const maxMessage = 300

interface ErrorBody {
  errors?: { code?: string; message?: string }[]
}

/** A URL without what may be secret in it: user, password, query. */
export function withoutSecrets(url: string | URL): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}

function describe(text: string): string {
  try {
    const { errors } = JSON.parse(text) as ErrorBody
    const [first] = errors ?? []
    if (first) return `${(first.code ?? 'unknown').toLowerCase().replaceAll('_', ' ')}: ${first.message ?? ''}`.slice(0, maxMessage)
  } catch {
    // not the body of a registry
  }
  return ''
}

/** The error for a registry's refusal, in the words that Docker's clients look for. */
export function refusal(reference: Reference, status: number, text: string, { url, wanted }: { url: string; wanted: string }): BerthError {
  const said = describe(text)
  const name = familiarRepository(reference)
  if (status === 401 || status === 403) {
    const words = said || (status === 401 ? 'unauthorized: authentication required' : 'denied: requested access to the resource is denied')
    return new BerthError('permission-denied', 'REGISTRY_DENIED', `pull access denied for ${name}, repository does not exist or may require 'docker login': ${words}`)
  }
  if (status === 404) return new BerthError('not-found', 'REGISTRY_NOT_FOUND', `${wanted} not found: ${said || 'manifest unknown: manifest unknown'}`)
  if (status === 429) return new BerthError('resource-exhausted', 'REGISTRY_LIMIT', `toomanyrequests: ${said || 'the registry asks to wait'}`)
  const kind = status >= 500 ? 'unavailable' : 'internal'
  return new BerthError(kind, 'REGISTRY_REFUSED', `received unexpected HTTP status: ${status} from ${withoutSecrets(url)}${said ? `: ${said}` : ''}`)
}

/** The error for a connection that failed, after the words of Go's clients. */
export function connectionError(method: string, url: string, error: unknown): BerthError {
  const where = `${method[0]}${method.slice(1).toLowerCase()} "${withoutSecrets(url)}"`
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const { code, message } = cause as NodeJS.ErrnoException
  const host = new URL(url).host
  const text: Record<string, string> = {
    ECONNREFUSED: `dial tcp ${host}: connect: connection refused`,
    ENOTFOUND: `dial tcp: lookup ${new URL(url).hostname}: no such host`,
    EAI_AGAIN: `dial tcp: lookup ${new URL(url).hostname}: temporary failure in name resolution`,
    UND_ERR_CONNECT_TIMEOUT: `dial tcp ${host}: i/o timeout`,
    ETIMEDOUT: `dial tcp ${host}: i/o timeout`,
    ECONNRESET: 'read: connection reset by peer',
    UND_ERR_SOCKET: 'the connection broke',
  }
  return new BerthError('unavailable', 'REGISTRY_UNREACHABLE', `${where}: ${text[code ?? ''] ?? message}`, { cause: error })
}
