import { closeSync, constants, openSync, readdirSync } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parentPort } from 'node:worker_threads'
import { messageOf } from '@berth/core'
import { copyDirectory } from './copy-tree.ts'

/** What the thread is asked to do. */
export type CopyUpJob = { id: number } & ({ kind: 'copy'; source: number; target: string } | { kind: 'size'; path: string })
export type CopyUpAnswer = { id: number; value?: number; error?: string }

async function sizeOf(path: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const child = join(path, entry.name)
    bytes += entry.isDirectory() ? await sizeOf(child) : (await lstat(child)).size
  }
  return bytes
}

function copy(source: number, path: string): number {
  const target = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    // Filled meanwhile, by a container that began to use it: what is there stays.
    if (readdirSync(path).length === 0) copyDirectory(source, target)
  } finally {
    closeSync(target)
  }
  return 0
}

parentPort?.on('message', (job: CopyUpJob) => {
  const work = async (): Promise<number> => (job.kind === 'copy' ? copy(job.source, job.target) : sizeOf(job.path))
  work().then(
    (value) => parentPort?.postMessage({ id: job.id, value } satisfies CopyUpAnswer),
    (error: unknown) => parentPort?.postMessage({ id: job.id, error: messageOf(error) } satisfies CopyUpAnswer),
  )
})
