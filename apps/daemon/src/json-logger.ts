import { writeSync } from 'node:fs'
import type { LogFields, Logger } from '@berth/core'

export const levels = ['debug', 'info', 'warn', 'error'] as const
export type Level = (typeof levels)[number]

function printable(value: unknown): unknown {
  if (value instanceof Error) return value.cause === undefined ? value.message : `${value.message} (${String(printable(value.cause))})`
  return typeof value === 'bigint' ? String(value) : value
}

/** Logs to a file descriptor: one JSON object a line, with `time`, `level` and `message` first. */
export function jsonLogger({ level, fd = 2 }: { level: Level; fd?: number }): Logger {
  const write = (name: Level) => {
    if (levels.indexOf(name) < levels.indexOf(level)) return () => {}
    return (message: string, fields: LogFields = {}) => {
      const line = { time: new Date().toISOString(), level: name, message, ...fields }
      try {
        writeSync(fd, `${JSON.stringify(line, (_key, value: unknown) => printable(value))}\n`)
      } catch {
        // Where the log cannot be written there is nobody to tell.
      }
    }
  }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}
