import { constants } from 'node:os'
import type { CliIo } from '../cli.ts'

/** Puts the terminal into raw mode until disposed, and gives it back as it was also when the program ends on the way: by an error, or a signal. */
export function holdTerminal({ stdin }: CliIo, isWanted: boolean): Disposable {
  if (!isWanted || !stdin.isTTY || !stdin.setRawMode) return { [Symbol.dispose]() {} }
  const restore = (): void => void stdin.setRawMode?.(false)
  const end = (signal: NodeJS.Signals): void => {
    restore()
    process.exit(128 + constants.signals[signal])
  }
  stdin.setRawMode(true)
  process.on('exit', restore).on('SIGTERM', end).on('SIGHUP', end)
  return {
    [Symbol.dispose]() {
      process.off('exit', restore).off('SIGTERM', end).off('SIGHUP', end)
      restore()
    },
  }
}
