import { statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { BerthError } from '@berth/core'

/** Throws `unavailable` where there is no criu, which the runtime writes and reads checkpoints with. */
export function checkCriu(): void {
  const directories = (process.env['PATH'] ?? '').split(delimiter)
  if (directories.some((directory) => statSync(join(directory, 'criu'), { throwIfNoEntry: false })?.isFile())) return
  throw new BerthError('unavailable', 'CRIU_MISSING', 'checkpoints need criu, which is not installed', { hint: "Install Debian's criu." })
}

/** Throws `not-found` for a checkpoint that is not there, and as {@link checkCriu}. */
export function checkCheckpoint(directory: string): void {
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) throw new BerthError('not-found', 'CHECKPOINT_NOT_FOUND', `checkpoint ${directory}: not found`)
  checkCriu()
}
