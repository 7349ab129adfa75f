import { WorkerCalls, workerFile } from '@berth/core'
import type { Mapping, MountRequest } from './mapped-mounts.ts'
import type { NamespaceJobs, ProgramResult } from './namespace-worker.ts'
import { deleteNetns } from './netns.ts'

export interface InterfaceCounters {
  rx_bytes: number
  rx_packets: number
  rx_errors: number
  rx_dropped: number
  tx_bytes: number
  tx_packets: number
  tx_errors: number
  tx_dropped: number
}

/** Does what has to be done inside network namespaces, in a thread of its own that is started with the first job. Errors carry the `code` of the system call. */
export class NamespaceRunner implements AsyncDisposable {
  readonly #thread = new WorkerCalls<NamespaceJobs>(workerFile(import.meta.url, 'namespace-worker'), {
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
    trackUnmanagedFds: false, // sockets come from system calls
  })

  /** Makes a network namespace with loopback up; it lasts until {@link delete}. */
  async create(path: string): Promise<void> {
    await this.#thread.call('create', path)
  }

  /** Makes a network namespace that exists already, given by its file, last until {@link delete}, with loopback up. */
  async adopt(path: string, namespace: string): Promise<void> {
    await this.#thread.call('adopt', path, namespace)
  }

  /** See {@link mountMapped}. */
  async mountMapped(mounts: readonly MountRequest[], mapping: Mapping, target: string): Promise<void> {
    await this.#thread.call('mountMapped', mounts, mapping, target)
  }

  /** See {@link bindMapped}. */
  async bindMapped(source: string, mapping: Mapping, target: string, options: { recursive?: boolean; isPrivate?: boolean } = {}): Promise<void> {
    await this.#thread.call('bindMapped', source, mapping, target, options)
  }

  /** Idempotent. */
  delete(path: string): void {
    deleteNetns(path)
  }

  /** Writes settings by their path under /proc/sys, `net/ipv4/ip_forward`. */
  async sysctls(path: string, values: Readonly<Record<string, string>>): Promise<void> {
    await this.#thread.call('sysctls', path, values)
  }

  /** Counters by interface, loopback left out. @see proc(5), /proc/net/dev */
  async counters(path: string): Promise<Record<string, InterfaceCounters>> {
    return parseCounters(await this.#thread.call('read', path, '/proc/thread-self/net/dev'))
  }

  /** Runs a program inside; it is waited for in the thread, so keep to short ones. */
  async run(path: string, program: string, args: readonly string[], input = ''): Promise<ProgramResult> {
    return this.#thread.call('run', path, program, args, input)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread.end()
  }
}

export function parseCounters(text: string): Record<string, InterfaceCounters> {
  const rows = text.split('\n').filter((line) => line.includes(':'))
  return Object.fromEntries(
    rows.map((line): [string, InterfaceCounters] => {
      const [name = '', numbers = ''] = line.split(':')
      const [rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0, , , , , tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0] = numbers.trim().split(/\s+/).map(Number)
      return [name.trim(), { rx_bytes, rx_packets, rx_errors, rx_dropped, tx_bytes, tx_packets, tx_errors, tx_dropped }]
    }).filter(([name]) => name !== 'lo'),
  )
}
