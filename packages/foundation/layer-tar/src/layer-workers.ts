import { Worker } from 'node:worker_threads'
import { BerthError, messageOf } from '@berth/core'
import type { ApplyLayerOptions, ApplyLayerResult } from './apply-layer.ts'
import type { TreeUsage } from './directory-tree.ts'
import type { LayerAnswer, LayerJob, LayerRequest } from './layer-worker.ts'
import type { PackOptions } from './pack-tree.ts'

export interface LayerWorkersOptions {
  /** At most so many threads work at the same time; 2 by default. */
  threads?: number
  /** Milliseconds after which a thread without work ends, to give its memory back; 5000 by default. */
  idleTimeout?: number
}

/** Threads that unpack, pack, count and delete directories of layers, so that the main thread goes on answering. They start when there is work and end when there is none. */
export class LayerWorkers implements AsyncDisposable {
  readonly #threads: number
  readonly #idleTimeout: number
  readonly #idle: LayerThread[] = []
  readonly #all = new Set<LayerThread>()
  readonly #queue: ((thread: LayerThread) => void)[] = []
  #disposed = false

  constructor({ threads = 2, idleTimeout = 5000 }: LayerWorkersOptions = {}) {
    this.#threads = threads
    this.#idleTimeout = idleTimeout
  }

  /** Unpacks a layer; see {@link ApplyLayerOptions}. An abort is over when the thread has let go of `root`. Errors as of `applyLayer`. */
  async apply(options: ApplyLayerOptions, { signal, onProgress }: { signal?: AbortSignal; onProgress?: (bytes: number) => void } = {}): Promise<ApplyLayerResult> {
    return (await this.#run({ kind: 'apply', ...options }, signal, onProgress)) as ApplyLayerResult
  }

  /** A directory as an uncompressed tar, in batches of about 256 KiB. */
  async *pack(root: string, options: PackOptions, { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array, void, undefined> {
    const thread = await this.#take(signal)
    let running = true
    try {
      let answer = await thread.ask({ kind: 'job', job: { kind: 'pack', root, ...options } })
      for (;;) {
        running = answer.kind === 'chunk'
        if (answer.kind !== 'chunk') {
          settle(answer)
          return
        }
        yield answer.chunk
        signal?.throwIfAborted()
        answer = await thread.ask({ kind: 'pull' })
      }
    } finally {
      if (running) await thread.ask({ kind: 'abort' }).catch(() => {})
      this.#give(thread)
    }
  }

  async usage(root: string, { signal }: { signal?: AbortSignal } = {}): Promise<TreeUsage> {
    return (await this.#run({ kind: 'usage', root }, signal)) as TreeUsage
  }

  /** Deletes a directory with all in it; nothing there is well too. */
  async remove(root: string): Promise<void> {
    await this.#run({ kind: 'remove', root })
  }

  /** Ends the threads, also those at work, whose callers get an error of the kind `cancelled`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    await Promise.all([...this.#all].map((thread) => thread[Symbol.asyncDispose]()))
  }

  async #run(job: LayerJob, signal?: AbortSignal, onProgress?: (bytes: number) => void): Promise<unknown> {
    const thread = await this.#take(signal)
    const abort = () => thread.post({ kind: 'abort' })
    signal?.addEventListener('abort', abort)
    try {
      return settle(await thread.ask({ kind: 'job', job }, onProgress))
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#give(thread)
    }
  }

  async #take(signal?: AbortSignal): Promise<LayerThread> {
    signal?.throwIfAborted()
    if (this.#disposed) throw disposed()
    const idle = this.#idle.pop()
    if (idle) return idle
    if (this.#all.size < this.#threads) return this.#start()
    const thread = await new Promise<LayerThread>((resolve) => this.#queue.push(resolve))
    if (signal?.aborted) this.#give(thread)
    signal?.throwIfAborted()
    return thread
  }

  #start(): LayerThread {
    const thread = new LayerThread(() => {
      this.#all.delete(thread)
      if (this.#idle.includes(thread)) this.#idle.splice(this.#idle.indexOf(thread), 1)
    })
    this.#all.add(thread)
    return thread
  }

  #give(thread: LayerThread): void {
    const next = this.#queue.shift()
    if (next) return next(this.#all.has(thread) || this.#disposed ? thread : this.#start())
    if (!this.#all.has(thread)) return
    this.#idle.push(thread)
    thread.rest(this.#idleTimeout)
  }
}

function settle(answer: LayerAnswer): unknown {
  if (answer.kind === 'done') return answer.value
  if (answer.kind === 'failed') throw new BerthError(answer.error.kind, answer.error.code, answer.error.message)
  throw new BerthError('internal', 'LAYER_WORKER', 'the layer thread gave an unexpected answer')
}

function disposed(): BerthError {
  return new BerthError('cancelled', 'LAYER_WORKERS_DISPOSED', 'the layer threads were shut down')
}

/** One thread and the one request that it works on. */
class LayerThread implements AsyncDisposable {
  readonly #worker: Worker
  #pending: { resolve: (answer: LayerAnswer) => void; reject: (error: unknown) => void; onProgress: ((bytes: number) => void) | undefined } | undefined
  #timer: NodeJS.Timeout | undefined
  #ended: BerthError | undefined
  readonly #onEnd: () => void

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd
    this.#worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './layer-worker.ts' : './layer-worker.js', import.meta.url), { name: 'layers' })
    const end = (reason: BerthError) => {
      this.#ended ??= reason
      clearTimeout(this.#timer)
      onEnd()
      this.#pending?.reject(this.#ended)
      this.#pending = undefined
    }
    this.#worker.on('message', (answer: LayerAnswer) => {
      if (answer.kind === 'progress') return this.#pending?.onProgress?.(answer.bytes)
      const pending = this.#pending
      this.#pending = undefined
      pending?.resolve(answer)
    })
    this.#worker.on('error', (error) => end(new BerthError('internal', 'LAYER_WORKER', `a layer thread failed: ${messageOf(error)}`, { cause: error })))
    this.#worker.on('exit', () => end(disposed()))
  }

  ask(request: LayerRequest, onProgress?: (bytes: number) => void): Promise<LayerAnswer> {
    clearTimeout(this.#timer)
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended)
      this.#worker.ref()
      this.#pending = { resolve, reject, onProgress }
      this.post(request)
    })
  }

  post(request: LayerRequest): void {
    this.#worker.postMessage(request)
  }

  /** Keeps no program running from now on, and ends after some time. */
  rest(timeout: number): void {
    this.#worker.unref()
    this.#timer = setTimeout(() => {
      // Out of reach first: a thread that is ending takes no work.
      this.#onEnd()
      void this.#worker.terminate()
    }, timeout).unref()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }
}
