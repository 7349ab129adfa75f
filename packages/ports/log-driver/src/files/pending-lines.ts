import { closeSync, constants, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { isErrno } from '@berth/core'

export interface Pending {
  stdout: Buffer
  stderr: Buffer
}

const { O_CREAT, O_RDWR } = constants
const slotSize = 128 * 1024

/**
 * Keeps the beginnings of unfinished lines beside a log file, so that a killed process loses none of them.
 *
 * They are bound to a state of the log: they are saved before it reaches that state, and void in any other. So one write to the log makes its new lines and
 * the beginning of the next one valid together, and nothing has to be written when a line is completed. Two places take turns: a write that fails
 * half way, as on a full disk, leaves the one before.
 */
export class PendingLines {
  readonly #path: string
  #fd: number | undefined
  #number = 0

  constructor(path: string) {
    this.#path = path
  }

  /** What was unfinished in a state of the log. */
  load(state: string): Pending | undefined {
    let bytes: Buffer
    try {
      bytes = readFileSync(this.#path)
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined
      throw error
    }
    const slots = [readSlot(bytes.subarray(0, slotSize)), readSlot(bytes.subarray(slotSize))].filter((slot) => slot !== undefined)
    this.#number = Math.max(0, ...slots.map(({ number }) => number))
    return slots.filter((slot) => slot.state === state).toSorted((a, b) => b.number - a.number)[0]
  }

  save(state: string, { stdout, stderr }: Pending): void {
    this.#fd ??= openSync(this.#path, O_RDWR | O_CREAT, 0o640)
    const number = this.#number + 1
    const header = Buffer.from(`${JSON.stringify([number, state, stdout.length, stderr.length])}\n`)
    const slot = Buffer.concat([header, stdout, stderr, endOf(number)])
    for (let written = 0; written < slot.length; ) written += writeSync(this.#fd, slot, written, slot.length - written, (number % 2) * slotSize + written)
    this.#number = number
  }

  /** Nothing is unfinished any more. */
  remove(): void {
    this.close()
    rmSync(this.#path, { force: true })
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }
}

const endOf = (number: number) => Buffer.from(`\n${number}\n`)

function readSlot(bytes: Buffer): (Pending & { number: number; state: string }) | undefined {
  const headerEnd = bytes.indexOf('\n')
  if (headerEnd === -1) return undefined
  try {
    const [number, state, stdoutLength, stderrLength] = JSON.parse(bytes.toString('latin1', 0, headerEnd)) as [number, string, number, number]
    const body = bytes.subarray(headerEnd + 1)
    const [middle, end] = [stdoutLength, stdoutLength + stderrLength]
    const mark = endOf(number)
    if (!body.subarray(end, end + mark.length).equals(mark)) return undefined
    return { number, state, stdout: body.subarray(0, middle), stderr: body.subarray(middle, end) }
  } catch {
    return undefined
  }
}
