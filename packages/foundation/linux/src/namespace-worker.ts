import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { serveCalls } from '@berth/core'
import { withNetns } from './namespaces.ts'
import { bindMapped, mountMapped } from './mapped-mounts.ts'
import { adoptNetnsHere, createNetnsHere } from './netns.ts'

export interface ProgramResult {
  status: number | null
  stdout: string
  stderr: string
}

/** What the thread does, one at a time. */
export interface NamespaceJobs {
  create(path: string): void
  adopt(path: string, namespace: string): void
  mountMapped(...args: Parameters<typeof mountMapped>): void
  bindMapped(...args: Parameters<typeof bindMapped>): void
  sysctls(path: string, values: Readonly<Record<string, string>>): void
  read(path: string, file: string): string
  run(path: string, program: string, args: readonly string[], input: string): ProgramResult
}

serveCalls<NamespaceJobs>({
  create: createNetnsHere,
  adopt: adoptNetnsHere,
  mountMapped,
  bindMapped,
  sysctls: (path, values) =>
    withNetns(path, () => {
      for (const [name, value] of Object.entries(values)) writeFileSync(`/proc/sys/${name}`, value)
    }),
  read: (path, file) => withNetns(path, () => readFileSync(file, 'utf8')),
  run: (path, program, args, input) => {
    // A child is made by this thread and so begins where the thread is.
    const { status, stdout, stderr, error } = withNetns(path, () => spawnSync(program, args, { input, encoding: 'utf8', maxBuffer: 16 << 20 }))
    if (error) throw error
    return { status, stdout, stderr }
  },
})
