import { Worker } from 'node:worker_threads'
import { BerthError, messageOf } from '@berth/core'
import { storeClosed } from './content-errors.ts'
import type { IngestAnswer, IngestRequest } from './ingest-worker.ts'

/** Threads that write and hash what comes in. They start when there is work, and end some time after the last ingest that they had. */
export class IngestThreads implements AsyncDisposable {
  readonly #limit: number
  readonly #idleTimeout: number
  readonly #threads = new Set<IngestThread>()
  #isClosed = false

  /** @param idleTimeout Milliseconds. */
  constructor({ limit, idleTimeout }: { limit: number; idleTimeout: number }) {
    this.#limit = limit
    this.#idleTimeout = idleTimeout
  }

  /** The thread with the fewest ingests, which has one more now. */
  take(): IngestThread {
    if (this.#isClosed) throw storeClosed()
    const leastBusy = [...this.#threads].toSorted((a, b) => a.load - b.load)[0]
    const thread = leastBusy && (leastBusy.load === 0 || this.#threads.size >= this.#limit) ? leastBusy : this.#start()
    thread.take()
    return thread
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#threads].map((thread) => thread.end()))
  }

  #start(): IngestThread {
    const thread = new IngestThread({ idleTimeout: this.#idleTimeout, onEnd: () => this.#threads.delete(thread) })
    this.#threads.add(thread)
    return thread
  }
}

interface Waiting {
  resolve: (answer: IngestAnswer) => void
  reject: (error: unknown) => void
}

/** A thread and the ingests in it. */
export class IngestThread {
  /** Ingests that it has. */
  load = 0
  readonly #worker: Worker
  readonly #idleTimeout: number
  readonly #onEnd: () => void
  /** In the order of their requests, which is that of the answers. */
  readonly #waiting: Waiting[] = []
  #timer: NodeJS.Timeout | undefined
  #isEnding = false
  #ended: unknown

  constructor({ idleTimeout, onEnd }: { idleTimeout: number; onEnd: () => void }) {
    this.#idleTimeout = idleTimeout
    this.#onEnd = onEnd
    this.#worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './ingest-worker.ts' : './ingest-worker.js', import.meta.url), { name: 'ingest' })
    this.#worker.unref()
    this.#worker.on('message', (answer: IngestAnswer) => {
      this.#waiting.shift()?.resolve(answer)
      // One that is being ended holds the program until it is, or what waits for that would never be told.
      if (this.#waiting.length === 0 && !this.#isEnding) this.#worker.unref()
    })
    this.#worker.on('error', (error) => this.#fail(new BerthError('internal', 'INGEST_THREAD', `an ingest thread failed: ${messageOf(error)}`, { cause: error })))
    this.#worker.on('exit', () => this.#fail(storeClosed()))
  }

  take(): void {
    this.load++
    clearTimeout(this.#timer)
  }

  /** The counterpart of {@link take}. */
  give(): void {
    if (--this.load > 0) return
    this.#timer = setTimeout(() => void this.end(), this.#idleTimeout).unref()
  }

  /** Keeps the program running until the answer comes. */
  ask(request: IngestRequest): Promise<IngestAnswer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ resolve, reject }) === 1) this.#worker.ref()
      this.#worker.postMessage(request, request.kind === 'write' ? [request.buffer] : [])
    })
  }

  async end(): Promise<void> {
    clearTimeout(this.#timer)
    // Out of reach first: a thread that is ending takes no work.
    this.#isEnding = true
    this.#onEnd()
    await this.#worker.terminate()
  }

  #fail(error: unknown): void {
    this.#ended ??= error
    clearTimeout(this.#timer)
    this.#onEnd()
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended)
  }
}
