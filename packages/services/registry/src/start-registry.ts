import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { openRegistry, type Registry, type RegistryOptions } from './registry.ts'

/** `key` and `cert` in PEM; with `ca` and `requestCert` clients must show a certificate. */
export type RegistryTls = Pick<ServerOptions, 'key' | 'cert' | 'ca' | 'requestCert' | 'rejectUnauthorized'>

export interface StartRegistryOptions extends RegistryOptions {
  /** The address to listen at; 127.0.0.1. Who reaches it may read and write, unless `htpasswd`, `authenticate` or `access` says otherwise. */
  host?: string
  /** 0, the default, takes a free one. */
  port?: number
  /** Answers over TLS. */
  tls?: RegistryTls
}

/** A registry that listens. Disposing it ends its connections; what it stores stays. */
export interface RunningRegistry extends Pick<Registry, 'collect'>, AsyncDisposable {
  readonly port: number
  /** What images in it are named by: `127.0.0.1:5000`. */
  readonly address: string
}

/** Starts a registry at a socket of its own. Throws what `listen` throws. */
export async function startRegistry({ host = '127.0.0.1', port = 0, tls, ...options }: StartRegistryOptions): Promise<RunningRegistry> {
  await using starting = new AsyncDisposableStack()
  const registry = starting.use(await openRegistry(options))
  const answer: RequestListener = (request, response) => void registry.handle(request, response)
  const server = tls ? createTlsServer(tls, answer) : createServer(answer)
  // A transfer takes as long as it takes; one that stands still is ended.
  server.requestTimeout = 0
  server.setTimeout(60_000)
  server.listen(port, host)
  await once(server, 'listening')
  starting.defer(async () => {
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  })
  const resources = starting.move()
  const bound = server.address() as AddressInfo
  return {
    port: bound.port,
    address: `${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`,
    collect: (collecting) => registry.collect(collecting),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
