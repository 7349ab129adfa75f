import type { Agent as HttpAgent } from 'node:http'
import type { EngineAddress } from './address.ts'
import { Agent } from './node-http.ts'

/** Certificates for `tcp://`, in PEM. */
export interface TlsOptions {
  ca?: string | Buffer
  cert?: string | Buffer
  key?: string | Buffer
  /** Whether the engine must prove that it is who it says; true by default. */
  verify?: boolean
}

/** What makes the connections to an address. TLS and ssh are loaded only where they are used: a unix socket, the usual case, starts faster. */
export async function openAgent(address: EngineAddress, { tls, sshCommand }: { tls: TlsOptions | undefined; sshCommand: readonly string[] }): Promise<HttpAgent> {
  if (address.kind === 'ssh') {
    const { connectSsh } = await import('./ssh-connection.ts')
    return Object.assign(new Agent({ keepAlive: false }), { createConnection: () => connectSsh(address, sshCommand) })
  }
  if (!tls) return new Agent({ keepAlive: true })
  const https = await import('node:https')
  return new https.Agent({ keepAlive: true, ca: tls.ca, cert: tls.cert, key: tls.key, rejectUnauthorized: tls.verify ?? true })
}
