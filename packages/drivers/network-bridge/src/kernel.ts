import { Worker } from 'node:worker_threads'
import type { KernelAnswer, KernelCall, KernelJobs } from './kernel-worker.ts'

/** Changes links and rules in a thread of its own, which is started with the first call. Errors carry the `code` of the system call, or `NFTABLES`. */
export class Kernel implements AsyncDisposable {
  #worker: Worker | undefined
  #next = 1
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()

  call<Job extends keyof KernelJobs>(job: Job, ...args: Parameters<KernelJobs[Job]>): Promise<ReturnType<KernelJobs[Job]>> {
    const worker = (this.#worker ??= this.#start())
    const call: KernelCall = { id: this.#next++, job, args }
    if (this.#waiting.size === 0) worker.ref()
    return new Promise((resolve, reject) => {
      this.#waiting.set(call.id, { resolve, reject })
      worker.postMessage(call)
    })
  }

  #start(): Worker {
    const worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './kernel-worker.ts' : './kernel-worker.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
      trackUnmanagedFds: false, // sockets come from system calls
    })
    worker.on('message', ({ id, value, error }: KernelAnswer) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error) waiting?.reject(Object.assign(new Error(error.message), { code: error.code }))
      else waiting?.resolve(value as never)
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
    if (!this.#worker) return
    await this.call('close')
    await this.#worker.terminate()
    this.#worker = undefined
  }
}
