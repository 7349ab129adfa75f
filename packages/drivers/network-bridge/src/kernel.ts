import { WorkerCalls, workerFile } from '@berth/core'
import type { KernelJobs } from './kernel-worker.ts'

/** Changes links and rules in a thread of its own, which is started with the first call. Errors carry the `code` of the system call, or `NFTABLES`. */
export class Kernel implements AsyncDisposable {
  readonly #thread = new WorkerCalls<KernelJobs>(workerFile(import.meta.url, 'kernel-worker'), {
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
    trackUnmanagedFds: false, // sockets come from system calls
  })

  call<Job extends keyof KernelJobs>(job: Job, ...args: Parameters<KernelJobs[Job]>): Promise<Awaited<ReturnType<KernelJobs[Job]>>> {
    return this.#thread.call(job, ...args)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#thread.isRunning) return
    await this.call('close')
    await this.#thread.end()
  }
}
