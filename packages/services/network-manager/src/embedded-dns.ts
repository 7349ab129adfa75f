import { BerthError, isKind, type Logger, messageOf, WorkerCalls, workerFile } from '@berth/core'
import type { NamedEndpoint } from './dns-names.ts'
import type { DnsSandbox } from './dns-server.ts'
import type { DnsJobs } from './dns-worker.ts'

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
  readonly #thread: WorkerCalls<DnsJobs>
  #again: NodeJS.Timeout | undefined
  #ending: NodeJS.Timeout | undefined

  constructor(logger: Logger) {
    this.#logger = logger
    this.#thread = new WorkerCalls(workerFile(import.meta.url, 'dns-worker'), {
      resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 },
      trackUnmanagedFds: false, // sockets come from system calls
      onFailure: (error) => {
        logger.error('the embedded name server ended', { error })
        if (this.#sandboxes.size > 0) this.#again = setTimeout(() => this.#restart(), pauseBeforeRestart).unref()
      },
    })
  }

  /** Starts the thread ahead of the first sandbox. */
  prepare(): void {
    if (this.#thread.isRunning) return
    this.#tellAll().catch((error: unknown) => this.#logger.warn('the name server was not told', { error }))
    this.#endLater()
  }

  /** Serves names in a sandbox; when the promise is fulfilled, it answers. */
  async open(sandbox: DnsSandbox): Promise<void> {
    this.#sandboxes.set(sandbox.id, sandbox)
    try {
      // A thread that is just started is told everything anyway.
      if (this.#thread.isRunning) await this.#call('open', sandbox)
      else await this.#tellAll()
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
    this.#tell('update', sandbox)
  }

  /** Idempotent. */
  close(id: string): void {
    if (!this.#sandboxes.delete(id)) return
    this.#tell('close', id)
    this.#endLater()
  }

  #endLater(): void {
    clearTimeout(this.#ending)
    this.#ending = setTimeout(() => (this.#sandboxes.size === 0 ? void this.#thread.end() : undefined), linger).unref()
  }

  put(endpoint: NamedEndpoint): void {
    this.#endpoints.set(endpoint.id, endpoint)
    this.#tell('put', endpoint)
  }

  delete(endpointId: string): void {
    if (this.#endpoints.delete(endpointId)) this.#tell('delete', endpointId)
  }

  #tell<Job extends keyof DnsJobs>(job: Job, ...args: Parameters<DnsJobs[Job]>): void {
    if (this.#thread.isRunning) this.#call(job, ...args).catch((error: unknown) => this.#logger.warn('the name server was not told', { error }))
  }

  async #tellAll(): Promise<void> {
    await Promise.all([
      ...[...this.#endpoints.values()].map((endpoint) => this.#call('put', endpoint)),
      ...[...this.#sandboxes.values()].map((sandbox) => this.#call('open', sandbox)),
    ])
  }

  async #call<Job extends keyof DnsJobs>(job: Job, ...args: Parameters<DnsJobs[Job]>): Promise<void> {
    try {
      await this.#thread.call(job, ...args)
    } catch (error) {
      if (isKind(error, 'cancelled')) throw new BerthError('unavailable', 'DNS_ENDED', 'the embedded name server ended')
      throw new BerthError('internal', 'DNS_FAILED', `the embedded name server failed: ${messageOf(error)}`, { cause: error })
    }
  }

  #restart(): void {
    if (this.#thread.isRunning || this.#sandboxes.size === 0) return
    this.#tellAll().catch((error: unknown) => this.#logger.error('a name server could not be opened again', { error }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sandboxes.clear()
    clearTimeout(this.#again)
    clearTimeout(this.#ending)
    await this.#thread.end()
  }
}
