import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { BerthError, isErrno } from '@berth/core'
import { lockFile } from './files.ts'

/** Holds a lock file until it is disposed or the process ends, however it ends. Throws `conflict`, naming the holder's process ID, when another process holds it. */
export function acquireLock(path: string): Disposable {
  mkdirSync(dirname(path), { recursive: true, mode: 0o710 })
  const fd = openSync(path, 'a+', 0o600)
  try {
    lockFile(fd)
  } catch (error) {
    const holder = readFileSync(path, 'utf8').trim()
    closeSync(fd)
    if (!isErrno(error, 'EWOULDBLOCK', 'EAGAIN')) throw error
    throw new BerthError('conflict', 'LOCKED', `${path} is locked by process ${holder || 'unknown'}`)
  }
  ftruncateSync(fd)
  writeSync(fd, `${process.pid}\n`)
  return { [Symbol.dispose]: () => closeSync(fd) }
}
