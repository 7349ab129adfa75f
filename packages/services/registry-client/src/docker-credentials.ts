import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { BerthError, isErrno, messageOf } from '@berth/core'
import { pickAuth, type RegistryAuth } from './registry-auth.ts'

export interface DockerCredentialsOptions {
  /** Where `config.json` is; `~/.docker`. */
  configDir?: string | undefined
  /** Milliseconds that a credential helper has; 30 s. */
  helperTimeout?: number | undefined
}

/** Gives the credentials for a registry by its domain (`docker.io`, `registry:5000`); undefined if there are none. */
export type CredentialsOf = (domain: string) => Promise<RegistryAuth | undefined>

interface Config {
  auths: Record<string, unknown>
  credHelpers: Record<string, unknown>
  credsStore: string | undefined
}

/** What Docker calls its Hub in credentials. */
const hubServer = 'https://index.docker.io/v1/'
const maxConfig = 4 << 20
const maxAnswer = 1 << 20

/**
 * The credentials that `docker login` has left: in `config.json`, or with the helpers (`docker-credential-…`) that it names. It is read anew each time.
 * @throws the function that is returned: `invalid-argument` for a configuration that is none, `unavailable` for a helper that fails; neither repeats a secret.
 * @see docker/cli, cli/config/configfile; docker/docker-credential-helpers
 */
export function dockerCredentials({ configDir = join(homedir(), '.docker'), helperTimeout = 30_000 }: DockerCredentialsOptions = {}): CredentialsOf {
  return async (domain) => {
    const { auths, credHelpers, credsStore } = await readConfig(join(configDir, 'config.json'))
    const server = domain === 'docker.io' ? hubServer : domain
    const helper = credHelpers[domain] ?? credHelpers[server] ?? credsStore
    if (typeof helper === 'string' && helper !== '') {
      const found = await askHelper(helper, server, helperTimeout)
      if (found) return found
    }
    const [, own] = Object.entries(auths).find(([key]) => key === server) ?? Object.entries(auths).find(([key]) => hostOf(key) === hostOf(server)) ?? []
    const auth = pickAuth(own)
    return auth && { ...auth, serveraddress: server }
  }
}

async function readConfig(path: string): Promise<Config> {
  const invalid = (): BerthError => new BerthError('invalid-argument', 'DOCKER_CONFIG_INVALID', `${path} is not a configuration of docker: invalid JSON`)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return { auths: {}, credHelpers: {}, credsStore: undefined }
    throw error
  }
  if (text.length > maxConfig) throw invalid()
  try {
    const { auths, credHelpers, credsStore } = JSON.parse(text) as Record<string, unknown>
    return { auths: tableOf(auths), credHelpers: tableOf(credHelpers), credsStore: typeof credsStore === 'string' ? credsStore : undefined }
  } catch {
    throw invalid()
  }
}

/** Speaks to a helper: the server on its standard input, JSON on its standard output. */
async function askHelper(name: string, server: string, timeout: number): Promise<RegistryAuth | undefined> {
  const failed = (why: string): BerthError => new BerthError('unavailable', 'CREDENTIAL_HELPER', `docker-credential-${name.slice(0, 40)} ${why}`)
  // A name, not a path.
  if (!/^[\w.-]+$/.test(name)) throw failed('is not the name of a credential helper')
  const child = spawn(`docker-credential-${name}`, ['get'], { stdio: ['pipe', 'pipe', 'ignore'], timeout, killSignal: 'SIGKILL' })
  const exited = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  child.stdin.on('error', () => {}).end(server)
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
    if (said.length > maxAnswer) child.kill('SIGKILL')
  })
  const code = await exited.catch((error: unknown) => {
    throw failed(isErrno(error, 'ENOENT') ? 'is not installed' : `cannot be started: ${messageOf(error)}`)
  })
  if (code !== 0) {
    if (said.trim() === 'credentials not found in native keychain') return undefined
    throw failed(code === null ? 'was ended: it took too long' : `failed with exit code ${code}`)
  }
  try {
    const { Username, Secret } = JSON.parse(said) as Record<string, unknown>
    const auth = pickAuth({ username: Username, password: Secret })
    return auth && { ...auth, serveraddress: server }
  } catch {
    throw failed('did not answer with JSON')
  }
}

/** Keys of `auths` are hosts, or URLs of the first API. */
function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/.*$/, '')
}

function tableOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}
