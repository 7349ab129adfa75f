import { parentPort } from 'node:worker_threads'
import { messageOf } from '@berth/core'
import { DnsNames, type NamedEndpoint } from './dns-names.ts'
import { type DnsSandbox, DnsServer } from './dns-server.ts'

/** What the thread is told. Each is answered once it is done. */
export type DnsJob =
  | { kind: 'open'; sandbox: DnsSandbox }
  | { kind: 'update'; sandbox: DnsSandbox }
  | { kind: 'close'; id: string }
  | { kind: 'put'; endpoint: NamedEndpoint }
  | { kind: 'delete'; id: string }

export interface DnsAnswer {
  id: number
  error?: string
}

const names = new DnsNames()
const servers = new Map<string, DnsServer>()

async function perform(job: DnsJob): Promise<void> {
  switch (job.kind) {
    case 'open':
      servers.get(job.sandbox.id)?.close()
      servers.delete(job.sandbox.id)
      servers.set(job.sandbox.id, await DnsServer.open(job.sandbox, names))
      return
    case 'update': {
      const server = servers.get(job.sandbox.id)
      if (server) server.sandbox = job.sandbox
      return
    }
    case 'close':
      servers.get(job.id)?.close()
      servers.delete(job.id)
      return
    case 'put':
      return names.put(job.endpoint)
    case 'delete':
      return names.delete(job.id)
  }
}

parentPort?.on('message', ({ id, job }: { id: number; job: DnsJob }) => {
  perform(job).then(
    () => parentPort?.postMessage({ id } satisfies DnsAnswer),
    (error: unknown) => parentPort?.postMessage({ id, error: messageOf(error) } satisfies DnsAnswer),
  )
})
