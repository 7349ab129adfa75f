import { readFileSync } from 'node:fs'
import { messageOf } from '@berth/core'
import { usageError } from '../cli.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** `NAME=value`, or `NAME` for what it has here; a name that is not set here is left out. Throws `invalid-argument`. */
export function parseEnvironment(entries: readonly string[], own: Environment): string[] {
  return entries.flatMap((entry) => {
    if (entry === '' || entry.startsWith('=')) throw usageError(`invalid environment variable: '${entry}'`)
    if (entry.includes('=')) return [entry]
    const value = own[entry]
    return value === undefined ? [] : [`${entry}=${value}`]
  })
}

/** The lines of an environment file, without comments. Throws `invalid-argument`. */
export function readEnvironmentFile(path: string): string[] {
  try {
    return readFileSync(path, 'utf8')
      .split(/\r?\n/)
      .map((line) => line.trimStart())
      .filter((line) => line !== '' && !line.startsWith('#'))
  } catch (cause) {
    throw usageError(`cannot read the environment file: ${messageOf(cause)}`)
  }
}

/** `key=value` pairs: labels, options, sysctls. */
export function parsePairs(entries: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    entries.map((entry) => {
      const at = entry.indexOf('=')
      return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)]
    }),
  )
}
