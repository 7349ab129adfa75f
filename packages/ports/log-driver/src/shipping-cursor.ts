import { randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isErrno } from '@berth/core'
import type { LogEntry, LogStream } from './index.ts'

/** An entry of a log: its time, and which it is of those in a row that have this time, from 1. */
export interface Position {
  time: bigint
  ordinal: number
}

/** A line that was begun: its ID, and the number of its last part. */
export type OpenLines = Partial<Record<LogStream, { id: string; ordinal: number }>>

export interface Cursor {
  /** The last entry that the peer has; undefined for none. */
  position: Position | undefined
  openLines: OpenLines
  /** There was nothing after `position` in the log. */
  isDone: boolean
}

export function nextPosition(last: Position | undefined, { time }: Pick<LogEntry, 'time'>): Position {
  return { time, ordinal: last?.time === time ? last.ordinal + 1 : 1 }
}

/** Where the line of an entry stands after it, and how the entry says so. */
export function partOf(open: OpenLines, { stream, line }: LogEntry): { openLines: OpenLines; partial?: { id: string; ordinal: number; last: boolean } } {
  const begun = open[stream]
  const last = line.at(-1) === 0x0a
  if (last && !begun) return { openLines: open }
  const id = begun?.id ?? randomUUID().replaceAll('-', '')
  const ordinal = (begun?.ordinal ?? 0) + 1
  const { [stream]: _ended, ...others } = open
  return { openLines: last ? others : { ...open, [stream]: { id, ordinal } }, partial: { id, ordinal, last } }
}

/** The file that tells how far a container's log was sent. */
export interface CursorFile {
  /** Undefined when nothing was ever written to the log. */
  load(): Cursor | undefined
  /** All or nothing: a crash leaves what was saved before. */
  save(cursor: Cursor): void
  remove(): void
}

export function cursorOf(directory: string): CursorFile {
  const path = join(directory, 'shipping.json')
  return {
    load() {
      try {
        const { time, ordinal, openLines, isDone } = JSON.parse(readFileSync(path, 'utf8')) as { time?: string; ordinal: number; openLines: OpenLines; isDone: boolean }
        return { position: time === undefined ? undefined : { time: BigInt(time), ordinal }, openLines, isDone }
      } catch (error) {
        if (isErrno(error, 'ENOENT')) return undefined
        // Whatever became of it (a machine that lost power): everything that the log has is sent again.
        if (error instanceof SyntaxError || error instanceof TypeError) return { position: undefined, openLines: {}, isDone: false }
        throw error
      }
    },
    save({ position, openLines, isDone }) {
      mkdirSync(directory, { recursive: true, mode: 0o710 })
      writeFileSync(`${path}.new`, JSON.stringify({ ...(position && { time: String(position.time), ordinal: position.ordinal }), openLines, isDone }), { mode: 0o640 })
      renameSync(`${path}.new`, path)
    },
    remove() {
      for (const file of [path, `${path}.new`]) rmSync(file, { force: true })
    },
  }
}
