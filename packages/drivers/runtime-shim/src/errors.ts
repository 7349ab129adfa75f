import { BerthError } from '@berth/core'
import { RpcClosed, RpcFailure } from './ttrpc.ts'

export const taskNotFound = (id: string) => new BerthError('not-found', 'TASK_NOT_FOUND', `task ${id}: not found`)

/** A shim's answer in Berth's terms; `context` comes before the runtime's own words, as Docker shows them. */
export function runtimeError(error: unknown, id: string, context = ''): unknown {
  if (error instanceof RpcClosed) return taskNotFound(id)
  if (!(error instanceof RpcFailure)) return error
  const text = error.message
  // `unknown` is what containerd's clients append to a failure without a class of its own; Docker's clients show it.
  const message = `${context}${text}${error.code === 2 ? ': unknown' : ''}`
  if (/exec: ".*": .*(executable file not found|no such file or directory)/s.test(text)) return new BerthError('not-found', 'EXECUTABLE_NOT_FOUND', message)
  if (/exec: ".*": .*(permission denied|is a directory|exec format error)/s.test(text)) return new BerthError('permission-denied', 'EXECUTABLE_DENIED', message)
  if (/cannot \w+ .*(stopped|deleted|paused|created) (state|process)|cannot \w+ a (stopped|deleted|running)|not running/.test(text))
    return new BerthError('conflict', 'TASK_STATE', message)
  if (error.code === 5 || /process already finished|does not exist/.test(text)) return new BerthError('not-found', 'PROCESS_NOT_FOUND', message)
  if (error.code === 6) return new BerthError('already-exists', 'PROCESS_EXISTS', message)
  return new BerthError('internal', 'RUNTIME_FAILED', message)
}
