import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export const hasOpenssl = existsSync('/usr/bin/openssl')

/** A private authority with a server and a client of its own, as files `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`. */
export interface Certificates extends AsyncDisposable {
  path: (name: 'ca.pem' | 'server.pem' | 'server.key' | 'client.pem' | 'client.key') => string
}

export async function makeCertificates(): Promise<Certificates> {
  const directory = await mkdtemp(join(tmpdir(), 'berth-certificates-'))
  const path = (name: string): string => join(directory, name)
  const openssl = (...parameters: string[]) => promisify(execFile)('openssl', parameters)
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  await openssl('req', '-x509', ...newKey, '-subj', '/CN=Berth test authority', '-days', '2', '-keyout', path('ca.key'), '-out', path('ca.pem'))
  await writeFile(path('extensions'), 'subjectAltName=IP:127.0.0.1\n')
  for (const name of ['server', 'client']) {
    await openssl('req', ...newKey, '-subj', `/CN=${name}`, '-keyout', path(`${name}.key`), '-out', path(`${name}.csr`))
    await openssl('x509', '-req', '-in', path(`${name}.csr`), '-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-CAcreateserial', '-days', '2', '-extfile', path('extensions'), '-out', path(`${name}.pem`))
  }
  return { path, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) }
}
