import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { BerthError, isErrno } from '@berth/core'
import { type HostEntry, parseHostsToml } from './hosts-toml.ts'
import type { RegistryHost, RegistryHosts, RegistryHostsOf } from './registry-hosts.ts'

/**
 * How registries are reached, from directories such as `/etc/docker/certs.d`: in the first that has one of `<host>_<port>_`, `<host>:<port>`, `<host>` and `_default`.
 * There either `hosts.toml`, as containerd has it, or `*.crt` (authorities) and `*.cert` with `*.key` (ours), as Docker has them. Files are read anew for
 * each operation, so that changes count at once.
 * @throws the function that is returned: `invalid-argument` for files that are malformed or lack their other half, with their path.
 */
export function readCertsDirs(directories: readonly string[]): RegistryHostsOf {
  return async (domain) => {
    // Nothing that a reference may have as its domain, and nothing that leaves the directory.
    if (!/^[A-Za-z0-9.:[\]-]+$/.test(domain) || /^\.+$/.test(domain)) return undefined
    const names = [...new Set([domain.replace(/:(\d+)$/, '_$1_'), domain]), '_default']
    for (const directory of directories) {
      for (const name of names) {
        const found = await readHostDir(resolve(directory, name))
        if (found) return found
      }
    }
    return undefined
  }
}

async function readHostDir(directory: string): Promise<RegistryHosts | undefined> {
  const names = await readdir(directory).catch(ifMissing)
  if (!names) return undefined
  return names.includes('hosts.toml') ? readHosts(directory) : { server: await readCertificates(directory, names) }
}

async function readHosts(directory: string): Promise<RegistryHosts> {
  const file = join(directory, 'hosts.toml')
  const text = await readFile(file, 'utf8')
  try {
    const { server, hosts } = parseHostsToml(text)
    return { server: await withCertificates(server, directory), mirrors: await Promise.all(hosts.map((host) => withCertificates(host, directory))) as RegistryHost[] }
  } catch (error) {
    if (error instanceof BerthError && error.code === 'HOSTS_TOML_INVALID') throw new BerthError('invalid-argument', error.code, `${file}: ${error.message}`)
    throw error
  }
}

async function withCertificates({ caFiles, clientFiles, url, ...host }: HostEntry, directory: string): Promise<Partial<RegistryHost>> {
  const read = (file: string): Promise<string> => readPem(resolve(directory, file))
  const ca = await Promise.all(caFiles.map(read))
  const client = await Promise.all(clientFiles.map(async ({ cert, key }) => ({ cert: await read(cert), key: await read(key) })))
  return { ...host, ...(url !== undefined && { url }), ca, client }
}

async function readCertificates(directory: string, names: readonly string[]): Promise<Partial<RegistryHost>> {
  const ending = (suffix: string): string[] => names.filter((name) => name.endsWith(suffix)).toSorted()
  const lone = (name: string, other: string): BerthError =>
    new BerthError('invalid-argument', 'CERTIFICATE_INVALID', `missing ${other} for ${join(directory, name)}`)
  for (const key of ending('.key')) if (!names.includes(key.replace(/\.key$/, '.cert'))) throw lone(key, `client certificate ${key.replace(/\.key$/, '.cert')}`)
  const ca = await Promise.all(ending('.crt').map((name) => readPem(join(directory, name))))
  const client = await Promise.all(
    ending('.cert').map(async (cert) => {
      const key = cert.replace(/\.cert$/, '.key')
      if (!names.includes(key)) throw lone(cert, `key ${key}`)
      return { cert: await readPem(join(directory, cert)), key: await readPem(join(directory, key)) }
    }),
  )
  return { ca, client }
}

async function readPem(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new BerthError('invalid-argument', 'CERTIFICATE_INVALID', `${path} cannot be read`, { cause: error })
  })
  if (text.includes('-----BEGIN ')) return text
  throw new BerthError('invalid-argument', 'CERTIFICATE_INVALID', `${path} holds no certificate or key in PEM`)
}

function ifMissing(error: unknown): undefined {
  if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined
  throw error
}
