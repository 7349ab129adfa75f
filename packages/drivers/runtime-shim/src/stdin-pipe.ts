import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { isErrno } from '@berth/core'

const { O_NONBLOCK, O_RDWR, O_WRONLY } = constants
/** Milliseconds from the first look for a reader, which the kernel does not announce, to the second; each further wait is twice as long. */
const firstWait = 1
const longestWait = 1000

/**
 * The writing end of a process's stdin.
 *
 * A shim answers that a process is there before it has opened the reading end, and what is written to a pipe without a reader is
 * lost. So nothing is sent before the reader is there, which shows in that the pipe can be opened for writing alone (fifo(7)).
 * Meanwhile a writer of ours, which is never written to, lets the shim open its end, as that waits for one.
 */
export class StdinPipe {
  /** To the reader; undefined when the process ended, or was left, before it had one. */
  readonly socket: Promise<Socket | undefined>
  readonly #path: string
  readonly #settle: (socket: Socket | undefined) => void
  #keeper: number | undefined
  #timer: NodeJS.Timeout | undefined
  #wait = firstWait
  #socket: Socket | undefined
  #isClosed = false

  constructor(path: string) {
    this.#path = path
    const { promise, resolve } = Promise.withResolvers<Socket | undefined>()
    this.socket = promise
    this.#settle = resolve
    // A writer alone can be opened only while there is a reader.
    const reader = openSync(path, O_RDWR | O_NONBLOCK)
    try {
      this.#keeper = openSync(path, O_WRONLY | O_NONBLOCK)
    } finally {
      closeSync(reader)
    }
  }

  /** Waits for the reader, unless it is there or awaited already. */
  connect(): void {
    if (this.#isClosed || this.#socket || this.#timer) return
    let fd: number
    try {
      fd = openSync(this.#path, O_WRONLY | O_NONBLOCK)
    } catch (error) {
      if (!isErrno(error, 'ENXIO')) return this.close()
      this.#timer = setTimeout(() => {
        this.#timer = undefined
        this.connect()
      }, this.#wait)
      this.#timer.unref()
      this.#wait = Math.min(this.#wait * 2, longestWait)
      return
    }
    this.#dropKeeper()
    this.#socket = new Socket({ fd, readable: false, writable: true })
    // The process closed its stdin or has ended: what is still sent goes nowhere, as in a shell's pipe.
    this.#socket.on('error', () => {})
    this.#settle(this.#socket)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#dropKeeper()
    this.#socket?.destroy()
    this.#settle(undefined)
  }

  #dropKeeper(): void {
    if (this.#keeper !== undefined) closeSync(this.#keeper)
    this.#keeper = undefined
  }
}
