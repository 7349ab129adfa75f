import { BerthError, isKind, messageOf } from '@berth/core'

const notFound = ['executable file not found', 'no such file or directory', 'system cannot find the file specified']
const notExecutable = ['permission denied', 'not a directory', 'is a directory', 'exec format error']

/** The exit code that a shell would give for a command that could not be started: 127 not found, 126 not executable, 128 otherwise. */
export function exitCodeOfStartError(error: unknown): number {
  const message = messageOf(error).toLowerCase()
  if (notFound.some((text) => message.includes(text))) return 127
  if (notExecutable.some((text) => message.includes(text))) return 126
  return 128
}

/** A failed start as clients know it: what is wrong with the command is the request's fault. */
export function startError(error: unknown, prefix: string): BerthError {
  const isCommand = isKind(error, 'not-found', 'permission-denied') && exitCodeOfStartError(error) !== 128
  if (!isCommand) return error instanceof BerthError ? error : new BerthError('internal', 'START_FAILED', `${prefix}${messageOf(error)}`, { cause: error })
  const message = messageOf(error)
  const hasPrefix = message.startsWith(prefix.slice(0, 20))
  return new BerthError('invalid-argument', 'COMMAND_INVALID', hasPrefix ? message : `${prefix}${message}`, { cause: error })
}
