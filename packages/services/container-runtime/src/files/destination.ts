import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import { BerthError, isErrno } from '@berth/core'

export interface WriteOptions {
  /** See `ExtractOptions` of layer-tar. */
  noOverwriteDirNonDir: boolean
  owner: { uid: number; gid: number } | undefined
}

/**
 * The directory to unpack into (a byte string), its links followed in the root of the calling thread.
 * @throws `invalid-argument` if it is no directory; `permission-denied` if it is read-only; as realpath(3) if it is not there
 */
export function openDirectory(path: string): string {
  const real = realpathSync.native(path, 'buffer')
  const stats = statSync(real)
  if (!stats.isDirectory()) throw new BerthError('invalid-argument', 'NOT_A_DIRECTORY', 'extraction point is not a directory')
  try {
    accessSync(real, constants.W_OK)
  } catch (error) {
    if (!isErrno(error, 'EROFS')) throw error
    const where = stats.dev === statSync('/').dev ? 'container rootfs' : 'mounted volume'
    throw new BerthError('permission-denied', 'READ_ONLY', `${where} is marked read-only`, { cause: error })
  }
  return real.toString('latin1')
}
