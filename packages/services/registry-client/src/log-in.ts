import { BerthError } from '@berth/core'
import type { RegistryAuth } from './registry-auth.ts'
import { requestLine } from './registry-error.ts'
import { originOf } from './registry-hosts.ts'
import type { RegistrySession } from './registry-session.ts'

/** @see moby, daemon/pkg/registry/auth.go, `loginV2` */
export async function logIn(session: RegistrySession, config: RegistryAuth, { signal }: { signal: AbortSignal }): Promise<{ identityToken?: string }> {
  const endpoint = await session.endpoints.registry(domainOf(config.serveraddress), signal)
  const url = `${endpoint.base}/`
  const first = await session.ask(endpoint, url, { signal })
  const answer = first.status === 401 ? await session.logIn(first, endpoint, { auth: config, signal }) : undefined
  first.discard()
  // A token that the registry does not take after all is no success.
  const response = answer === undefined ? first : await session.ask(endpoint, url, { authorization: answer.authorization, signal })
  if (response !== first) response.discard()
  if (response.status === 401 || response.status === 403) throw new BerthError('unauthenticated', 'LOGIN_FAILED', `${requestLine('GET', url)}: unauthorized: incorrect username or password`)
  if (!response.isOk) throw new BerthError('unavailable', 'REGISTRY_REFUSED', `login attempt to ${originOf(endpoint)}/v2/ failed with status: ${response.status}`)
  return answer?.identityToken === undefined ? {} : { identityToken: answer.identityToken }
}

/** The domain of a registry as references name it, from the address that clients log in to: a host, or a URL; Docker Hub's if there is none. */
function domainOf(serverAddress = ''): string {
  const host = serverAddress.replace(/^https?:\/\//, '').replace(/\/.*$/, '')
  return host === '' || host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host
}
