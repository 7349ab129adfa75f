import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { withNetns } from './namespaces.ts'
import { createNetnsHere } from './netns.ts'

/** What the thread does, one at a time. */
export type NamespaceJob =
  | { kind: 'create'; path: string }
  | { kind: 'sysctls'; path: string; values: Readonly<Record<string, string>> }
  | { kind: 'read'; path: string; file: string }
  | { kind: 'run'; path: string; program: string; args: readonly string[]; input: string }

export interface NamespaceAnswer {
  id: number
  value?: unknown
  error?: { message: string; code: string | undefined }
}

function perform(job: NamespaceJob): unknown {
  switch (job.kind) {
    case 'create':
      return createNetnsHere(job.path)
    case 'sysctls':
      return withNetns(job.path, () => {
        for (const [name, value] of Object.entries(job.values)) writeFileSync(`/proc/sys/${name}`, value)
      })
    case 'read':
      return withNetns(job.path, () => readFileSync(job.file, 'utf8'))
    case 'run': {
      // A child is made by this thread and so begins where the thread is.
      const { status, stdout, stderr, error } = withNetns(job.path, () => spawnSync(job.program, job.args, { input: job.input, encoding: 'utf8', maxBuffer: 16 << 20 }))
      if (error) throw error
      return { status, stdout, stderr }
    }
  }
}

parentPort?.on('message', ({ id, job }: { id: number; job: NamespaceJob }) => {
  let answer: NamespaceAnswer
  try {
    answer = { id, value: perform(job) }
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    answer = { id, error: { message, code } }
  }
  parentPort?.postMessage(answer)
})
