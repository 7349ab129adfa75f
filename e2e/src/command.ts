import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'

export interface CommandResult {
  /** Exit code; 128 + n when ended by signal n is not added: then -1. */
  code: number
  stdout: string
  stderr: string
}

export interface CommandOptions {
  input?: string | Uint8Array | Readable
  env?: Record<string, string>
  signal?: AbortSignal
}

/** A program that goes on while the test looks at it. */
export class RunningCommand {
  readonly child: ChildProcessWithoutNullStreams
  readonly done: Promise<CommandResult>
  #stdout: Buffer[] = []
  #stderr: Buffer[] = []
  #changed: (() => void)[] = []

  constructor(program: string, args: readonly string[], { input, env, signal }: CommandOptions = {}) {
    this.child = spawn(program, args, { stdio: 'pipe', detached: true, env: { ...process.env, ...env }, signal })
    const keep = (into: Buffer[]) => (chunk: Buffer) => {
      into.push(chunk)
      for (const wake of this.#changed.splice(0)) wake()
    }
    this.child.stdout.on('data', keep(this.#stdout))
    this.child.stderr.on('data', keep(this.#stderr))
    this.child.stdin.on('error', () => {}) // the program may end before it has read everything
    if (input === undefined) this.child.stdin.end()
    else if (typeof input === 'string' || input instanceof Uint8Array) this.child.stdin.end(input)
    else input.pipe(this.child.stdin)
    this.done = new Promise((resolve, reject) => {
      this.child.on('error', reject)
      this.child.on('close', (code) => {
        resolve({ code: code ?? -1, stdout: this.stdout, stderr: this.stderr })
        for (const wake of this.#changed.splice(0)) wake()
      })
    })
    this.done.catch(() => {})
  }

  get stdout(): string {
    return Buffer.concat(this.#stdout).toString()
  }

  get stdoutBytes(): Buffer {
    return Buffer.concat(this.#stdout)
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString()
  }

  /** Sends a signal to the program, and to what stands between it and us (nsenter waits for what it started). */
  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    if (this.child.pid !== undefined && this.child.exitCode === null && this.child.signalCode === null) process.kill(-this.child.pid, signal)
  }

  /** Waits until the output so far satisfies `pattern`. Fails when the program ends first. */
  async saw(pattern: RegExp): Promise<void> {
    for (;;) {
      if (pattern.test(this.stdout) || pattern.test(this.stderr)) return
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        await this.done
        if (pattern.test(this.stdout) || pattern.test(this.stderr)) return
        throw new Error(`it ended without ${pattern}: ${this.stdout}${this.stderr}`)
      }
      await new Promise<void>((resolve) => this.#changed.push(resolve))
    }
  }
}

/** Asks again until `attempt` gives something; what it threw last is in the error when the time is up. */
export async function eventually<T>(attempt: () => Promise<T | undefined> | T | undefined, { seconds = 20, what = 'it' } = {}): Promise<T> {
  const until = Date.now() + seconds * 1000
  for (;;) {
    let last: unknown
    try {
      const result = await attempt()
      if (result !== undefined && result !== false) return result
    } catch (error) {
      last = error
    }
    if (Date.now() > until) throw new Error(`${what} did not happen within ${seconds} s`, { cause: last })
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
