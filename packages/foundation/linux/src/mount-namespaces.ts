import { closeSync, constants, openSync } from 'node:fs'
import { mount, mountFlags, type MountInfo, readMountInfo, umount } from './mounts.ts'
import { pivotRoot } from './mount-trees.ts'
import { changeDirectory, changeRoot, cloneFlags, comeBack, ownFsState, setns, unshare } from './namespaces.ts'

/**
 * Runs synchronous work in the mount namespace of a descriptor, with the root of that namespace as the calling worker thread's root and working
 * directory. The thread is back in its own, with the root it had, when this returns.
 * @see setns(2), CLONE_NEWNS
 */
export function withMountNamespace<T>(fd: number, work: () => T): T {
  return comingBack(() => {
    setns(fd, cloneFlags.CLONE_NEWNS)
    return work()
  })
}

/** The mounts in the mount namespace of a descriptor, whose own /proc is not asked. For worker threads. */
export function mountsOfNamespace(fd: number): MountInfo[] {
  return comingBack(() =>
    withDirectory('/proc/thread-self', (thread) => {
      setns(fd, cloneFlags.CLONE_NEWNS)
      changeDirectory(thread)
      return readMountInfo('mountinfo')
    }),
  )
}

/** What {@link makeMountNamespace} gives to its work. */
export interface NewMountNamespace {
  /** Makes the mount of an open directory the root of the new namespace; what was its root, and all that was mounted there, is no longer in it. */
  enter(directory: number): void
}

/**
 * Makes a mount namespace: a copy of the calling worker thread's own, from and to which nothing propagates.
 * `work` changes it from inside; the thread is back in its own when this returns.
 * @returns a descriptor of the namespace, which is gone with all its mounts when the last descriptor is closed, also by the end of the process
 */
export function makeMountNamespace(work: (made: NewMountNamespace) => void): number {
  return comingBack(() => {
    const thread = openSync('/proc/thread-self', constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      unshare(cloneFlags.CLONE_NEWNS)
      mount('none', '/', 'none', mountFlags.MS_REC | mountFlags.MS_PRIVATE)
      const inThread = <T>(read: () => T): T => {
        changeDirectory(thread)
        const value = read()
        withDirectory('/', changeDirectory)
        return value
      }
      work({
        enter(directory) {
          changeDirectory(directory)
          pivotRoot()
          // The old root lies on top of the new one now.
          umount('.', { detach: true })
          withDirectory('/', changeDirectory)
        },
      })
      return inThread(() => openSync('ns/mnt', constants.O_RDONLY))
    } finally {
      closeSync(thread)
    }
  })
}

function comingBack<T>(work: () => T): T {
  ownFsState()
  return withDirectory('/', (root) => {
    const own = openSync('/proc/thread-self/ns/mnt', 'r')
    try {
      return work()
    } finally {
      comeBack(() => {
        setns(own, cloneFlags.CLONE_NEWNS)
        changeDirectory(root)
        changeRoot()
      })
      closeSync(own)
    }
  })
}

function withDirectory<T>(path: string, work: (fd: number) => T): T {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    return work(fd)
  } finally {
    closeSync(fd)
  }
}
