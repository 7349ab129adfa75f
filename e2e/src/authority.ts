import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Files in PEM. */
export interface KeyPair {
  cert: string
  key: string
}

export interface Authority extends KeyPair {
  /** Makes a certificate: with an address for a server there, without one for a client. */
  issue(name: string, options: { address?: string }): KeyPair
}

/** A certificate authority that nobody knows, made by openssl in a directory. */
export function makeAuthority(directory: string): Authority {
  mkdirSync(directory)
  const run = (...args: string[]): void => void execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' })
  const pair = (name: string): KeyPair => ({ cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) })
  const keyOf = (name: string): string[] => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`, '-subj', `/CN=${name}`]
  run('req', '-x509', '-days', '2', ...keyOf('authority'), '-out', 'authority.crt')
  return {
    ...pair('authority'),
    issue(name, { address }) {
      run('req', '-new', ...keyOf(name), '-out', `${name}.csr`)
      writeFileSync(join(directory, `${name}.ext`), address === undefined ? 'extendedKeyUsage = clientAuth\n' : `subjectAltName = IP:${address}\nextendedKeyUsage = serverAuth\n`)
      run('x509', '-req', '-days', '2', '-in', `${name}.csr`, '-CA', 'authority.crt', '-CAkey', 'authority.key', '-CAcreateserial', '-extfile', `${name}.ext`, '-out', `${name}.crt`)
      return pair(name)
    },
  }
}
