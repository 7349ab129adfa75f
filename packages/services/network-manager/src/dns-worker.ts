import { serveCalls } from '@berth/core'
import { DnsNames, type NamedEndpoint } from './dns-names.ts'
import { type DnsSandbox, DnsServer } from './dns-server.ts'

/** What the thread is told. Each is answered once it is done. */
export interface DnsJobs {
  open(sandbox: DnsSandbox): Promise<void>
  update(sandbox: DnsSandbox): void
  close(id: string): void
  put(endpoint: NamedEndpoint): void
  delete(id: string): void
}

const names = new DnsNames()
const servers = new Map<string, DnsServer>()

function close(id: string): void {
  servers.get(id)?.close()
  servers.delete(id)
}

serveCalls<DnsJobs>({
  async open(sandbox) {
    close(sandbox.id)
    servers.set(sandbox.id, await DnsServer.open(sandbox, names))
  },
  update(sandbox) {
    const server = servers.get(sandbox.id)
    if (server) server.sandbox = sandbox
  },
  close,
  put: (endpoint) => names.put(endpoint),
  delete: (id) => names.delete(id),
})
