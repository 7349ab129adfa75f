import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { AuthConfig } from '@berth/api-types'
import { BerthError, isErrno } from '@berth/core'
import type { Cli } from '../cli.ts'
import { DockerConfig, dockerConfigDir } from './docker-config.ts'

/** What Docker calls its Hub in credentials. */
const hubServer = 'https://index.docker.io/v1/'

/** Who a helper names when its secret is an identity token. @see docker/docker-credential-helpers */
const tokenUser = '<token>'

/** The domain that an image comes from; `docker.io` where its name has none. */
function domainOf(reference: string): string {
  const slash = reference.indexOf('/')
  const first = reference.slice(0, Math.max(slash, 0))
  if (!/[.:]/.test(first) && first !== 'localhost' && first === first.toLowerCase()) return 'docker.io'
  return first === 'index.docker.io' || first === '' ? 'docker.io' : first
}

/** What credentials for a domain are kept under. */
export function serverOf(domain = 'docker.io'): string {
  const host = domain.replace(/^https?:\/\//, '').replace(/\/.*$/, '')
  return ['', 'docker.io', 'index.docker.io', 'registry-1.docker.io'].includes(host) ? hubServer : host
}

/** The credentials that `login` has left for the registry of an image; undefined where there are none. */
export async function credentialsFor(cli: Pick<Cli, 'io'>, reference: string): Promise<AuthConfig | undefined> {
  const configDir = dockerConfigDir(cli)
  if (!existsSync(join(configDir, 'config.json'))) return undefined
  const { dockerCredentials } = await import('@berth/registry-client')
  return dockerCredentials({ configDir })(domainOf(reference))
}

/** Keeps credentials that a registry has taken. Gives the file in which they can be read, if there is one. */
export async function storeCredentials(cli: Pick<Cli, 'io'>, server: string, { username = '', password = '', identitytoken }: AuthConfig): Promise<string | undefined> {
  const config = new DockerConfig(dockerConfigDir(cli))
  const helper = config.helperOf(server)
  if (helper !== undefined) {
    await askHelper(helper, 'store', JSON.stringify({ ServerURL: server, Username: identitytoken ? tokenUser : username, Secret: identitytoken ?? password }))
    config.set(server, {})
  } else {
    const auth = Buffer.from(`${username}:${identitytoken ? '' : password}`).toString('base64')
    config.set(server, { auth, ...(identitytoken ? { identitytoken } : {}) })
  }
  config.save()
  return helper === undefined ? config.path : undefined
}

/** Forgets the credentials for a server. False where there were none. */
export async function eraseCredentials(cli: Pick<Cli, 'io'>, server: string): Promise<boolean> {
  const config = new DockerConfig(dockerConfigDir(cli))
  const helper = config.helperOf(server)
  const host = (name: string): string => name.replace(/^https?:\/\//, '').replace(/\/.*$/, '')
  const known = config.servers.filter((name) => name === server || host(name) === host(server))
  if (helper !== undefined) await askHelper(helper, 'erase', server)
  if (known.length === 0) return helper !== undefined
  for (const name of known) config.set(name, undefined)
  config.save()
  return true
}

/** Speaks to a helper by its standard input. What it answers may hold a secret and is not told. */
async function askHelper(name: string, action: 'store' | 'erase', input: string): Promise<void> {
  const failed = (why: string): BerthError => new BerthError('unavailable', 'CREDENTIAL_HELPER', `docker-credential-${name.slice(0, 40)} ${why}`)
  // A name, not a path.
  if (!/^[\w.-]+$/.test(name)) throw failed('is not the name of a credential helper')
  const child = spawn(`docker-credential-${name}`, [action], { stdio: ['pipe', 'ignore', 'ignore'] })
  child.stdin.on('error', () => {}).end(input)
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve)).catch((error: unknown) => {
    throw failed(isErrno(error, 'ENOENT') ? 'is not installed' : 'cannot be started')
  })
  if (code !== 0) throw failed(`could not ${action} the credentials (exit code ${code})`)
}
