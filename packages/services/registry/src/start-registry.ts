import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { openRegistry, type RegistryOptions } from './registry.ts'

export interface StartRegistryOptions extends RegistryOptions {
  /** The address to listen at; 127.0.0.1. There is no access control: who reaches it may read and write. */
  host?: string
  /** 0, the default, takes a free one. */
  port?: number
}

/** A registry that listens. Disposing it ends its connections; what it stores stays. */
export interface RunningRegistry extends AsyncDisposable {
  readonly port: number
  /** What images in it are named by: `127.0.0.1:5000`. */
  readonly address: string
}

/** Starts a registry at a socket of its own, without encryption. */
export async function startRegistry({ host = '127.0.0.1', port = 0, ...options }: StartRegistryOptions): Promise<RunningRegistry> {
  const registry = await openRegistry(options)
  const server = createServer((request, response) => void registry.handle(request, response))
  // A transfer takes as long as it takes; one that stands still is ended.
  server.requestTimeout = 0
  server.setTimeout(60_000)
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    await registry[Symbol.asyncDispose]()
    throw error
  }
  const bound = server.address() as AddressInfo
  return {
    port: bound.port,
    address: `${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
      await registry[Symbol.asyncDispose]()
    },
  }
}
