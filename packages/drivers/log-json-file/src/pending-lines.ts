import { closeSync, fstatSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { isErrno } from '@berth/core'

export interface Pending {
  stdout: Buffer
  stderr: Buffer
}

/**
 * Keeps the beginnings of unfinished lines beside a log file, so that a killed process loses none of them.
 *
 * They are bound to the state of the log that they were written after. A log that has grown since has their lines in full (or what
 * was in flight when the process was killed), and they are void: so nothing has to be written when a line is completed.
 */
export class PendingLines {
  readonly #path: string
  #fd: number | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** What was unfinished when the log was `log` (a descriptor) as it is now. */
  load(log: number): Pending | undefined {
    try {
      const bytes = readFileSync(this.#path)
      const [state, stdoutLength, stderrLength] = JSON.parse(bytes.toString('latin1', 0, bytes.indexOf('\n'))) as [string, number, number]
      const body = bytes.subarray(bytes.indexOf('\n') + 1)
      if (state !== stateOf(log) || body.length < stdoutLength + stderrLength) return undefined
      return { stdout: body.subarray(0, stdoutLength), stderr: body.subarray(stdoutLength, stdoutLength + stderrLength) }
    } catch (error) {
      if (isErrno(error, 'ENOENT') || error instanceof SyntaxError) return undefined
      throw error
    }
  }

  save(log: number, { stdout, stderr }: Pending): void {
    this.#fd ??= openSync(this.#path, 'w', 0o640)
    const header = Buffer.from(`${JSON.stringify([stateOf(log), stdout.length, stderr.length])}\n`)
    writeSync(this.#fd, Buffer.concat([header, stdout, stderr]), 0, undefined, 0)
  }

  /** Nothing is unfinished any more. */
  remove(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    rmSync(this.#path, { force: true })
  }
}

function stateOf(log: number): string {
  const { ino, size } = fstatSync(log)
  return `${ino}:${size}`
}
