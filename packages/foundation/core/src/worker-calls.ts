import { parentPort, Worker, type WorkerOptions } from 'node:worker_threads'
import { BerthError, type ErrorKind, messageOf } from './errors.ts'

/** What a thread can be asked for, by name. Arguments and values are those that `postMessage` can copy. */
export type WorkerJobs<Jobs> = { [Job in keyof Jobs]: (...args: never[]) => unknown }

export interface WorkerCallsOptions extends WorkerOptions {
  /** Milliseconds without a call after which the thread ends, to give its memory back; it stays unless told otherwise. */
  linger?: number | undefined
  /** Told when the thread has ended unasked; what waited has been refused. */
  onFailure?: ((error: Error) => void) | undefined
}

interface Call {
  id: number
  job: PropertyKey
  args: unknown[]
}

interface Answer {
  id: number
  value?: unknown
  error?: { kind: ErrorKind | undefined; code: string | undefined; message: string }
}

/** The file of a worker that stands beside a module, from sources and as it is built: `workerFile(import.meta.url, 'hash-worker')`. */
export function workerFile(moduleUrl: string, name: string): URL {
  return new URL(`./${name}.${moduleUrl.endsWith('.ts') ? 'ts' : 'js'}`, moduleUrl)
}

/**
 * A thread that answers calls, started with the first. It keeps the program running only while it is asked something. Errors arrive as they were thrown:
 * a `BerthError` as one, another with its `code`. A thread that fails refuses what waits, and the next call starts another.
 */
export class WorkerCalls<Jobs extends WorkerJobs<Jobs>> implements AsyncDisposable {
  readonly #file: URL
  readonly #options: WorkerCallsOptions
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  #worker: Worker | undefined
  #next = 1
  #ending: NodeJS.Timeout | undefined

  constructor(file: URL, options: WorkerCallsOptions = {}) {
    this.#file = file
    this.#options = options
  }

  get isRunning(): boolean {
    return this.#worker !== undefined
  }

  /** Calls are begun in their order; an asynchronous job does not hold up the next. */
  call<Job extends keyof Jobs>(job: Job, ...args: Parameters<Jobs[Job]>): Promise<Awaited<ReturnType<Jobs[Job]>>> {
    const worker = (this.#worker ??= this.#start())
    const call: Call = { id: this.#next++, job, args }
    clearTimeout(this.#ending)
    if (this.#waiting.size === 0) worker.ref()
    return new Promise((resolve, reject) => {
      this.#waiting.set(call.id, { resolve, reject })
      worker.postMessage(call)
    })
  }

  /** Ends the thread, and refuses what waits with `cancelled`; a later call starts another. */
  async end(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    clearTimeout(this.#ending)
    this.#refuse(new BerthError('cancelled', 'WORKER_ENDED', 'the thread was ended'))
    await worker?.terminate()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end()
  }

  #start(): Worker {
    const { onFailure, linger, ...options } = this.#options
    const worker = new Worker(this.#file, options)
    let failure: Error | undefined
    worker.unref()
    worker.on('message', ({ id, value, error }: Answer) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error) waiting?.reject(thrown(error))
      else waiting?.resolve(value as never)
      // One that is being ended holds the program until it is.
      if (this.#waiting.size > 0 || this.#worker !== worker) return
      worker.unref()
      if (linger !== undefined) this.#ending = setTimeout(() => void this.end(), linger).unref()
    })
    worker.on('error', (error) => (failure = error instanceof Error ? error : new Error(messageOf(error))))
    worker.on('exit', () => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      failure ??= new BerthError('internal', 'WORKER_ENDED', 'the thread ended')
      this.#refuse(failure)
      onFailure?.(failure)
    })
    return worker
  }

  #refuse(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}

/** In the thread: answers the calls. */
export function serveCalls<Jobs extends WorkerJobs<Jobs>>(jobs: Jobs): void {
  const port = parentPort
  if (!port) throw new BerthError('internal', 'NO_WORKER', 'calls are served in worker threads')
  const answer = async ({ id, job, args }: Call): Promise<void> => {
    try {
      port.postMessage({ id, value: await jobs[job as keyof Jobs](...(args as never[])) } satisfies Answer)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      port.postMessage({ id, error: { kind: error instanceof BerthError ? error.kind : undefined, code, message: messageOf(error) } } satisfies Answer)
    }
  }
  port.on('message', (call: Call) => void answer(call))
}

function thrown({ kind, code, message }: NonNullable<Answer['error']>): Error {
  if (kind) return new BerthError(kind, code ?? '', message)
  return Object.assign(new Error(message), code === undefined ? {} : { code })
}
