import { closeSync, openSync, stat } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { BerthError } from '@berth/core'
import { cString, libcFunction } from './libc.ts'

const sysUnshare = libcFunction('int unshare(int flags)')
const sysSetns = libcFunction('int setns(int fd, int type)')
const sysChroot = libcFunction('int chroot(const void *path)')
const sysFchdir = libcFunction('int fchdir(int fd)')

/** @see clone(2) */
export const cloneFlags = { CLONE_FS: 0x200, CLONE_NEWNS: 0x20000, CLONE_NEWUTS: 0x4000000, CLONE_NEWIPC: 0x8000000, CLONE_NEWNET: 0x40000000 } as const

function onlyInWorker(what: string): void {
  if (isMainThread) throw new BerthError('internal', 'MAIN_THREAD', `${what} is for worker threads: on the main thread it would move the whole program`)
}

/** Moves the calling thread into new namespaces. @see unshare(2) */
export function unshare(flags: number): void {
  onlyInWorker('unshare')
  sysUnshare(flags)
}

/** Moves the calling thread into an existing namespace. @see setns(2) */
export function setns(fd: number, type = 0): void {
  onlyInWorker('setns')
  sysSetns(fd, type)
}

let ownFs = false

/** Gives the calling worker thread a root and a working directory that it shares with no other; once. */
export function ownFsState(): void {
  onlyInWorker('a root directory of its own')
  if (ownFs) return
  // Node's threads for asynchronous work are made by the thread that asks them first, and share its root with it: let it be done before.
  stat('/', () => {})
  sysUnshare(cloneFlags.CLONE_FS)
  ownFs = true
}

/** Changes the working directory of the calling worker thread, which has {@link ownFsState}. @see fchdir(2) */
export function changeDirectory(fd: number): void {
  sysFchdir(fd)
}

/** Makes the working directory the root directory of the calling worker thread, which has {@link ownFsState}. @see chroot(2) */
export function changeRoot(): void {
  sysChroot(cString('.'))
}

/** Brings the calling worker thread back to where it was. One that cannot come back ends here, lest it do its next work in a place that it must not trust. */
export function comeBack(work: () => void): void {
  try {
    work()
  } catch {
    process.exit(1)
  }
}

/**
 * Runs synchronous work with a directory, by its path or open, as the root directory of the calling worker thread, so that no path and no link that the work
 * meets leads out of it: the kernel enforces it. The thread's own root is back when it returns.
 * @see chroot(2), which warns of descriptors that stay open: the work must not be handed any of directories outside.
 */
export function withRoot<T>(directory: string | number, work: () => T): T {
  ownFsState()
  const saved = openSync('/', 'r')
  try {
    try {
      if (typeof directory === 'number') {
        sysFchdir(directory)
        sysChroot(cString('.'))
      } else {
        sysChroot(cString(directory))
        const inside = openSync('/', 'r')
        sysFchdir(inside)
        closeSync(inside)
      }
      return work()
    } finally {
      comeBack(() => {
        sysFchdir(saved)
        sysChroot(cString('.'))
      })
    }
  } finally {
    closeSync(saved)
  }
}

/** Runs work in the network namespace of a file; what it opens (sockets, programs) stays there when the thread has returned. */
export function withNetns<T>(path: string, work: () => T): T {
  onlyInWorker('withNetns')
  const own = openSync('/proc/thread-self/ns/net', 'r')
  try {
    const target = openSync(path, 'r')
    try {
      sysSetns(target, cloneFlags.CLONE_NEWNET)
    } finally {
      closeSync(target)
    }
    try {
      return work()
    } finally {
      comeBack(() => sysSetns(own, cloneFlags.CLONE_NEWNET))
    }
  } finally {
    closeSync(own)
  }
}
