import { mkdirSync, mkdtempSync, readdirSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isErrno, isKind } from '@berth/core'
import { acquireLock } from '@berth/linux'
import { removeBundle } from '../life/remove-bundle.ts'

/** A directory of this process's own, which a lock in it marks as in use; the lock ends with the process, however that ends. */
export interface Workspace {
  directory: string
  /** Lets go of it without removing it. */
  release(): void
  /** Removes it, but nothing that is mounted in it. */
  remove(): void
}

const mark = 'w-'
/** A directory that gets its lock now has another name. One that is as old as this, in milliseconds, never got it. */
const making = '.w-'
const longestMaking = 60_000

export function makeWorkspace(root: string): Workspace {
  mkdirSync(root, { recursive: true, mode: 0o700 })
  const made = mkdtempSync(join(root, making))
  const lock = acquireLock(join(made, 'lock'))
  const directory = join(root, `${mark}${made.slice(join(root, making).length)}`)
  renameSync(made, directory)
  return workspaceOf(directory, lock)
}

/** Those whose processes are gone. Each is this process's now. */
export function orphanedWorkspaces(root: string): Workspace[] {
  return readdirSync(root).flatMap((name) => {
    const directory = join(root, name)
    try {
      if (!name.startsWith(mark) && !(name.startsWith(making) && Date.now() - statSync(directory).mtimeMs > longestMaking)) return []
      return [workspaceOf(directory, acquireLock(join(directory, 'lock')))]
    } catch (error) {
      // In use, or removed by another process this moment.
      if (isKind(error, 'conflict') || isErrno(error, 'ENOENT')) return []
      throw error
    }
  })
}

function workspaceOf(directory: string, lock: Disposable): Workspace {
  return {
    directory,
    release: () => lock[Symbol.dispose](),
    remove() {
      removeBundle(directory)
      lock[Symbol.dispose]()
    },
  }
}
