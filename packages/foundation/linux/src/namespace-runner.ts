import { Worker } from 'node:worker_threads'
import type { NamespaceAnswer, NamespaceJob } from './namespace-worker.ts'
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
  #worker: Worker | undefined
  #next = 1
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()

  /** Makes a network namespace with loopback up; it lasts until {@link delete}. */
  async create(path: string): Promise<void> {
    await this.#run({ kind: 'create', path })
  }

  /** Idempotent. */
  delete(path: string): void {
    deleteNetns(path)
  }

  /** Writes settings by their path under /proc/sys, `net/ipv4/ip_forward`. */
  async sysctls(path: string, values: Readonly<Record<string, string>>): Promise<void> {
    await this.#run({ kind: 'sysctls', path, values })
  }

  /** Counters by interface, loopback left out. @see proc(5), /proc/net/dev */
  async counters(path: string): Promise<Record<string, InterfaceCounters>> {
    return parseCounters(String(await this.#run({ kind: 'read', path, file: '/proc/thread-self/net/dev' })))
  }

  /** Runs a program inside; it is waited for in the thread, so keep to short ones. */
  async run(path: string, program: string, args: readonly string[], input = ''): Promise<{ status: number | null; stdout: string; stderr: string }> {
    return (await this.#run({ kind: 'run', path, program, args, input })) as { status: number | null; stdout: string; stderr: string }
  }

  #run(job: NamespaceJob): Promise<unknown> {
    const worker = (this.#worker ??= this.#start())
    const id = this.#next++
    if (this.#waiting.size === 0) worker.ref()
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      worker.postMessage({ id, job })
    })
  }

  #start(): Worker {
    const worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './namespace-worker.ts' : './namespace-worker.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
      trackUnmanagedFds: false, // sockets come from system calls
    })
    worker.on('message', ({ id, value, error }: NamespaceAnswer) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error) waiting?.reject(Object.assign(new Error(error.message), { code: error.code }))
      else waiting?.resolve(value)
      if (this.#waiting.size === 0) worker.unref()
    })
    worker.on('error', (error) => {
      this.#worker = undefined
      for (const { reject } of this.#waiting.values()) reject(error instanceof Error ? error : new Error(String(error)))
      this.#waiting.clear()
    })
    return worker
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate()
    this.#worker = undefined
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
