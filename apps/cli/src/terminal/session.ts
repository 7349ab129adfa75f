import { once } from 'node:events'
import type { ProcessConnection, TerminalSize } from '@berth/api-client'
import type { Cli, CliOutput } from '../cli.ts'
import { DetachKeys } from './detach-keys.ts'
import { holdTerminal } from './raw-mode.ts'

export interface SessionOptions {
  tty: boolean
  /** Pass standard input on. */
  interactive: boolean
  detachKeys?: string | undefined
  resize?(size: TerminalSize): Promise<unknown>
}

/** Joins our standard streams and a process's until it ends, the connection does, or the user types the detach keys. The terminal is as before afterwards. */
export async function runSession({ io }: Cli, connection: ProcessConnection, { tty, interactive, detachKeys, resize }: SessionOptions): Promise<'ended' | 'detached'> {
  const keys = tty ? new DetachKeys(detachKeys) : undefined
  using _terminal = holdTerminal(io, tty && interactive)
  using _size = followSize(io.stdout, tty ? resize : undefined)
  const detached = Promise.withResolvers<'detached'>()
  if (interactive) void passInput(io, connection, keys).then((left) => left && detached.resolve('detached'))
  const output = (async () => {
    for await (const { stream, data } of connection.output) {
      const target = stream === 'stderr' ? io.stderr : io.stdout
      if (!target.write(data)) await new Promise<void>((resolve) => void target.once('drain', resolve))
    }
    return 'ended' as const
  })()
  output.catch(() => {}) // heard below, unless the user left first
  try {
    return await Promise.race([output, detached.promise])
  } finally {
    await connection[Symbol.asyncDispose]()
    io.stdin.pause()
  }
}

/** True when the user left. */
async function passInput({ stdin }: Cli['io'], { stdin: target }: ProcessConnection, keys: DetachKeys | undefined): Promise<boolean> {
  try {
    for await (const chunk of stdin) {
      const { bytes, detached } = keys?.feed(chunk) ?? { bytes: chunk, detached: false }
      if (bytes.length > 0 && !target.write(bytes)) await once(target, 'drain')
      if (detached) return true
    }
    target.end()
  } catch {
    // The process is gone or our input is; the output tells how it ended.
  }
  return false
}

/** Tells the size now and whenever the window changes. */
function followSize(stdout: CliOutput, resize: SessionOptions['resize']): Disposable {
  const tell = (): void => {
    const { columns: width, rows: height } = stdout
    // A process that has just ended has no terminal any more, which is no news.
    if (resize && width && height) void resize({ width, height }).catch(() => {})
  }
  if (!stdout.isTTY) return { [Symbol.dispose]() {} }
  tell()
  stdout.on('resize', tell)
  return { [Symbol.dispose]: () => void stdout.off('resize', tell) }
}
