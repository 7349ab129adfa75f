import { type AuthConfig, parseRequest } from '@berth/api-types'
import type { Call } from './call.ts'

/** Credentials as Docker's clients send them in `X-Registry-Auth`. What is none counts as none, as in dockerd: old clients send all kinds of things. */
export function registryAuth({ request }: Call): AuthConfig | undefined {
  const header = request.headers['x-registry-auth']
  if (typeof header !== 'string' || header === '') return undefined
  try {
    return parseRequest('AuthConfig', JSON.parse(Buffer.from(header, 'base64url').toString()))
  } catch {
    return undefined
  }
}
