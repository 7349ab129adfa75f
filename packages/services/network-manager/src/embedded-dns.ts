import { Worker } from 'node:worker_threads'
import { BerthError, type Logger } from '@berth/core'
import type { NamedEndpoint } from './dns-names.ts'
import type { DnsSandbox } from './dns-server.ts'
import type { DnsAnswer, DnsJob } from './dns-worker.ts'

interface Waiting {
  resolve(): void
  reject(error: Error): void
}

/** Milliseconds that the thread is kept for the next sandbox, and that pass before one that failed is started again. */
const [linger, pauseBeforeRestart] = [10_000, 1000]

/**
 * The name servers of all sandboxes, in one thread that is started when the first of them comes and ends some time after the last. A thread that fails is
 * started again with everything it knew.
 */
export class EmbeddedDns implements AsyncDisposable {
  readonly #logger: Logger
  readonly #sandboxes = new Map<string, DnsSandbox>()
  readonly #endpoints = new Map<string, NamedEndpoint>()
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #next = 1
  #again: NodeJS.Timeout | undefined
  #ending: NodeJS.Timeout | undefined

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Starts the thread ahead of the first sandbox. */
  prepare(): void {
    if (this.#worker) return
    this.#tellAll(this.#start()).catch((error: unknown) => this.#logger.warn('the name server was not told', { error }))
    this.#endLater()
  }

  /** Serves names in a sandbox; when the promise is fulfilled, it answers. */
  async open(sandbox: DnsSandbox): Promise<void> {
    this.#sandboxes.set(sandbox.id, sandbox)
    // A thread that is just started is told everything anyway.
    const isFirst = !this.#worker
    const worker = this.#worker ?? this.#start()
    try {
      if (!isFirst) await this.#run(worker, { kind: 'open', sandbox })
      else await this.#tellAll(worker)
    } catch (error) {
      this.close(sandbox.id)
      throw error
    }
  }

  has(id: string): boolean {
    return this.#sandboxes.has(id)
  }

  /** Changes what an open sandbox sees. */
  update(sandbox: DnsSandbox): void {
    if (!this.#sandboxes.has(sandbox.id)) return
    this.#sandboxes.set(sandbox.id, sandbox)
    this.#tell({ kind: 'update', sandbox })
  }

  /** Idempotent. */
  close(id: string): void {
    if (!this.#sandboxes.delete(id)) return
    this.#tell({ kind: 'close', id })
    this.#endLater()
  }

  #endLater(): void {
    clearTimeout(this.#ending)
    this.#ending = setTimeout(() => (this.#sandboxes.size === 0 ? void this.#end() : undefined), linger).unref()
  }

  put(endpoint: NamedEndpoint): void {
    this.#endpoints.set(endpoint.id, endpoint)
    this.#tell({ kind: 'put', endpoint })
  }

  delete(endpointId: string): void {
    if (this.#endpoints.delete(endpointId)) this.#tell({ kind: 'delete', id: endpointId })
  }

  #tell(job: DnsJob): void {
    if (this.#worker) this.#run(this.#worker, job).catch((error: unknown) => this.#logger.warn('the name server was not told', { error }))
  }

  async #tellAll(worker: Worker): Promise<void> {
    const jobs: DnsJob[] = [
      ...[...this.#endpoints.values()].map((endpoint) => ({ kind: 'put' as const, endpoint })),
      ...[...this.#sandboxes.values()].map((sandbox) => ({ kind: 'open' as const, sandbox })),
    ]
    await Promise.all(jobs.map((job) => this.#run(worker, job)))
  }

  #run(worker: Worker, job: DnsJob): Promise<void> {
    const id = this.#next++
    if (this.#waiting.size === 0) worker.ref()
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      worker.postMessage({ id, job })
    })
  }

  #start(): Worker {
    const worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './dns-worker.ts' : './dns-worker.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 },
      trackUnmanagedFds: false, // sockets come from system calls
    })
    this.#worker = worker
    worker.unref()
    worker.on('message', ({ id, error }: DnsAnswer) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve()
      else waiting?.reject(new BerthError('internal', 'DNS_FAILED', `the embedded name server failed: ${error}`))
      // One that is being ended holds the program until it is.
      if (this.#waiting.size === 0 && this.#worker === worker) worker.unref()
    })
    worker.on('error', (error) => this.#logger.error('the embedded name server ended', { error }))
    worker.on('exit', () => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      this.#refuseWaiting()
      if (this.#sandboxes.size > 0) this.#again = setTimeout(() => this.#restart(), pauseBeforeRestart).unref()
    })
    return worker
  }

  #restart(): void {
    if (this.#worker || this.#sandboxes.size === 0) return
    this.#tellAll(this.#start()).catch((error: unknown) => this.#logger.error('a name server could not be opened again', { error }))
  }

  #refuseWaiting(): void {
    for (const { reject } of this.#waiting.values()) reject(new BerthError('unavailable', 'DNS_ENDED', 'the embedded name server ended'))
    this.#waiting.clear()
  }

  async #end(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    this.#refuseWaiting()
    await worker?.terminate()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sandboxes.clear()
    clearTimeout(this.#again)
    clearTimeout(this.#ending)
    await this.#end()
  }
}
