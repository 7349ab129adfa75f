import { Worker } from 'node:worker_threads'

// Passes each question on to the thread that is in the namespace.

const workers = new Map<string, Worker>()

process.on('message', ({ netns, ...call }: { netns: string }) => {
  let worker = workers.get(netns)
  if (!worker) {
    worker = new Worker(new URL('./prober-worker.ts', import.meta.url), { workerData: { netns: netns === '' ? undefined : netns }, trackUnmanagedFds: false })
    worker.on('message', (answer) => process.send?.(answer))
    worker.on('error', (error) => {
      throw error
    })
    workers.set(netns, worker)
  }
  worker.postMessage(call)
})
