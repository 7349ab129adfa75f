import type { AuthConfig } from '@berth/api-types'
import { parseRequest } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { Call } from './call.ts'

/** Credentials as Docker's clients send them in `X-Registry-Auth`. Throws `invalid-argument` without repeating what was sent. */
export function registryAuth({ request }: Call): AuthConfig | undefined {
  const header = request.headers['x-registry-auth']
  if (typeof header !== 'string' || header === '') return undefined
  try {
    const text = Buffer.from(header, 'base64url').toString()
    return text === '' ? undefined : parseRequest('AuthConfig', JSON.parse(text))
  } catch {
    throw new BerthError('invalid-argument', 'REGISTRY_AUTH_INVALID', 'invalid X-Registry-Auth header: invalid JSON')
  }
}
