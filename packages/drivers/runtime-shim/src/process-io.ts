import { closeSync, constants, existsSync, openSync, readdirSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { type Readable, Writable } from 'node:stream'
import { mknod } from '@berth/linux'
import type { StdioOptions } from '@berth/oci-runtime'
import { StdinPipe } from './stdin-pipe.ts'
import type { StdioPaths } from './task-service.ts'

const { O_NONBLOCK, O_RDONLY, O_WRONLY, S_IFIFO } = constants

/**
 * Our ends of a process's standard streams: named pipes in the bundle, of which the shim holds the other ends.
 *
 * Output is opened for reading only, so that its end is seen when the shim has closed its side. The shim writes through pipes that
 * outlive us as long as somebody can read them: see `outputs`.
 */
export class ProcessIo {
  readonly paths: StdioPaths
  readonly stdin: Writable | undefined
  readonly stdout: Readable
  readonly stderr: Readable | undefined
  /** Descriptors of the read ends. A shim that inherits them keeps unread output alive when this process is killed. */
  readonly outputs: number[] = []
  readonly #stdinPipe: StdinPipe | undefined

  /** @param closeStdin tells the shim to let go of its own writing end */
  constructor(paths: StdioPaths, closeStdin: () => Promise<void>) {
    this.paths = paths
    this.#stdinPipe = paths.stdin ? new StdinPipe(paths.stdin) : undefined
    this.stdin = this.#stdinPipe && writableOf(this.#stdinPipe, closeStdin)
    this.stdout = this.#openOutput(paths.stdout)
    this.stderr = paths.stderr ? this.#openOutput(paths.stderr) : undefined
  }

  /** The shim opens its ends, or has: from now on input is sent, and a process that closes its stdin is noticed. */
  connected(): void {
    this.#stdinPipe?.connect()
  }

  /** The process has ended: what is still sent to it goes nowhere. */
  exited(): void {
    this.#stdinPipe?.close()
  }

  /** Removes the pipes; what is being read can be read to its end, what nobody reads is closed. */
  remove(): void {
    for (const pipe of pipesIn(this.paths)) rmSync(pipe, { force: true })
    this.exited()
    // One that its reader has let go of stands still, and would never come to its end.
    const isRead = (stream: Readable): boolean => Boolean(stream.readableFlowing) || stream.listenerCount('readable') + stream.listenerCount('data') > 0
    for (const stream of [this.stdout, this.stderr]) if (stream && !isRead(stream)) stream.destroy()
  }

  /** Lets go of the pipes and leaves them to a later process. */
  release(): void {
    this.stdin?.destroy()
    for (const output of [this.stdout, this.stderr]) output?.destroy()
  }

  #openOutput(path: string): Readable {
    const fd = openSync(path, O_RDONLY | O_NONBLOCK)
    this.outputs.push(fd)
    // `manualStart` (which the types lack): nothing is taken from the pipe before somebody reads, so nothing is lost with us.
    const options = { fd, readable: true, writable: false, manualStart: true }
    return new Socket(options)
  }
}

function writableOf(pipe: StdinPipe, closeStdin: () => Promise<void>): Writable {
  const write = async (chunk: Buffer): Promise<void> => {
    const socket = await pipe.socket
    if (socket && !socket.destroyed) await new Promise<void>((resolve) => socket.write(chunk, () => resolve()))
  }
  const end = async (): Promise<void> => {
    await pipe.socket
    pipe.close()
    await closeStdin().catch(() => {}) // the process may be gone
  }
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => void write(chunk).finally(done),
    final: (done) => void end().finally(done),
    destroy: (error, done) => {
      pipe.close()
      done(error)
    },
  })
}

/**
 * Opens a process's pipes in its bundle; an exec's have its id in their names.
 * @param how `create` makes them; `reopen` takes those of a process that runs or has ended
 */
export function openIo(process: { bundle: string; id: string; execId?: string; stdio: StdioOptions }, how: 'create' | 'reopen', closeStdin: () => Promise<void>): ProcessIo {
  const { bundle, execId, stdio } = process
  const path = (name: string) => join(bundle, execId ? `exec-${execId}-${name}` : name)
  const paths = { stdin: stdio.stdin ? path('stdin') : '', stdout: path('stdout'), stderr: stdio.terminal ? '' : path('stderr') }
  if (how === 'create') {
    for (const pipe of pipesIn(paths)) rmSync(pipe, { force: true })
    for (const pipe of pipesIn(paths)) mknod(pipe, S_IFIFO | 0o600)
    return new ProcessIo(paths, closeStdin)
  }
  const io = new ProcessIo(paths, closeStdin)
  // A reader is only told that all writers are gone if it has seen one: be one for a moment.
  for (const pipe of [paths.stdout, paths.stderr]) if (pipe) closeSync(openSync(pipe, O_WRONLY | O_NONBLOCK))
  io.connected()
  return io
}

/** Removes the pipes of all processes of a bundle, if it is there. */
export function removePipes(bundle: string): void {
  if (!existsSync(bundle)) return
  for (const entry of readdirSync(bundle, { withFileTypes: true })) if (entry.isFIFO()) rmSync(join(bundle, entry.name), { force: true })
}

const pipesIn = ({ stdin, stdout, stderr }: StdioPaths) => [stdin, stdout, stderr].filter(Boolean)
