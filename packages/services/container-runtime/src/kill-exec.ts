import { readFileSync } from 'node:fs'
import { isErrno, isKind } from '@berth/core'
import type { RuntimeProcess, Task } from '@berth/oci-runtime'

const sigkill = 9
/** Something that forks faster than it is killed is left to the end of its container. */
const rounds = 20

/** Kills an exec and what it started, also what it left behind in the background: its descendants and the processes of its session. */
export async function killExec(task: Task, exec: RuntimeProcess): Promise<void> {
  const { pid } = exec
  // Found before the first of them dies, as orphans get another parent.
  let found = startedBy(pid, await pidsOf(task))
  await exec.kill(sigkill).catch((error: unknown) => {
    if (!isKind(error, 'not-found')) throw error
  })
  for (let round = 0; found.length > 0 && round < rounds; round++) {
    for (const child of found) kill(child)
    found = startedBy(pid, (await pidsOf(task)).filter((other) => !found.includes(other)))
  }
}

async function pidsOf(task: Task): Promise<number[]> {
  return task.pids().catch((error: unknown) => {
    if (isKind(error, 'not-found')) return []
    throw error
  })
}

function startedBy(pid: number, candidates: readonly number[]): number[] {
  const processes = candidates.flatMap((candidate) => lineageOf(candidate) ?? [])
  const started = new Set([pid])
  for (let before = 0; before < started.size; ) {
    before = started.size
    for (const { id, parent, session } of processes) if (started.has(parent) || session === pid) started.add(id)
  }
  started.delete(pid)
  return [...started]
}

/** @see proc(5), /proc/pid/stat: pid (comm) state ppid pgrp session */
function lineageOf(id: number): { id: number; parent: number; session: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${id}/stat`, 'latin1')
    const [, parent, , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ').map(Number)
    return { id, parent: parent ?? 0, session: session ?? 0 }
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return undefined
    throw error
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error
  }
}
