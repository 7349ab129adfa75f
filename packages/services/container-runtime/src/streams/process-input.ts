import { Writable } from 'node:stream'
import type { DetachKeys } from './detach-keys.ts'

export interface ProcessInputOptions {
  /** The process's own input, once it is there; undefined when it takes none. */
  target: Promise<Writable | undefined>
  /** By which a client leaves; undefined without a terminal. */
  keys: DetachKeys | undefined
  /** The end of the client's input closes the process's; else the client leaves with it. */
  closesTarget: boolean
  /** The client leaves, by the keys or by the end of its input. */
  onLeave(reason: 'keys' | 'end'): void
}

/** The input side of one client. It takes no faster than the process does, and what comes after the process closed its input goes nowhere. */
export function processInput({ target, keys, closesTarget, onLeave }: ProcessInputOptions): Writable {
  let hasLeft = false
  const gone = new AbortController()
  const typed = async (chunk: Uint8Array): Promise<void> => {
    if (hasLeft) return
    const { bytes, detached } = keys ? keys.feed(chunk) : { bytes: chunk, detached: false }
    await writeTo(await target, bytes, gone.signal)
    if (!detached) return
    hasLeft = true
    onLeave('keys')
  }
  const ended = async (): Promise<void> => {
    const process = await target
    if (keys && !hasLeft) await writeTo(process, keys.flush(), gone.signal)
    if (closesTarget) process?.end()
    else if (!hasLeft) onLeave('end')
  }
  const stdin = new Writable({
    highWaterMark: 256 * 1024,
    write: (chunk: Uint8Array, _encoding, callback) => settle(typed(chunk), callback),
    final: (callback) => settle(ended(), callback),
    destroy: (error, callback) => {
      gone.abort()
      callback(error)
    },
  })
  return stdin.on('error', () => {})
}

/** Settles when the process takes more, or its client is gone. */
async function writeTo(process: Writable | undefined, chunk: Uint8Array, gone: AbortSignal): Promise<void> {
  if (!process?.writable || chunk.length === 0 || process.write(chunk) || gone.aborted) return
  await new Promise<void>((resolve) => {
    const proceed = (): void => {
      process.off('drain', proceed).off('close', proceed).off('error', proceed)
      gone.removeEventListener('abort', proceed)
      resolve()
    }
    process.once('drain', proceed).once('close', proceed).once('error', proceed)
    gone.addEventListener('abort', proceed)
  })
}

/** Tells a callback how a promise went. */
function settle(work: Promise<void>, callback: (error?: Error | null) => void): void {
  void work.then(
    () => process.nextTick(callback),
    (error: unknown) => process.nextTick(callback, error),
  )
}
