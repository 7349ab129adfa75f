import { closeSync, constants, fstatSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BerthError, isErrno } from '@berth/core'
import { cloneMount, makeMountNamespace, mount, moveMount, type NewMountNamespace, parseMountOptions, restrictMount, umount } from '@berth/linux'
import type { Mount } from '@berth/snapshotter'
import type { VolumeMount } from '../dependencies.ts'

/** How a container's files are to be seen. */
export interface ViewOptions {
  /** Descriptor of a mount namespace whose root is the container's: that of its process, or one that {@link makeRoot} made. */
  base: number
  /** Nothing that is mounted in the root file system. */
  rootOnly: boolean
  /** What is mounted in addition; what is no bind is left out. */
  volumes: readonly VolumeMount[]
  readonlyRoot: boolean
}

/**
 * A mount namespace that holds a container's root file system and nothing else. `directory` is an empty one of this machine, where nothing is to be
 * seen of it: the namespace is private.
 * @returns a descriptor, with which it goes
 */
export function makeRoot(mounts: readonly Mount[], directory: string): number {
  return makeMountNamespace(undefined, ({ enter }) => {
    for (const { type, source, target = '', options } of mounts) {
      const { flags, data } = parseMountOptions(options)
      mount(source, join(directory, target), type, flags, data)
    }
    withOpen(directory, enter)
  })
}

/**
 * A mount namespace with what a copy from or to a container may see, for no other use: nothing that is mounted in it or in the container later passes
 * between the two. No file of a proc file system is in it, because links of that one lead out of every root (`/proc/1/root` of a container with the host's
 * processes); nor is one of sysfs, whose files are the machine's and not all to be read. No device can be opened.
 * @returns a descriptor, with which it goes
 */
export function makeView({ base, rootOnly, volumes, readonlyRoot }: ViewOptions): number {
  const sources = volumes.filter(({ type }) => type === 'bind').map(detached)
  try {
    return makeMountNamespace(base, (made) => {
      if (rootOnly) leaveMounts(made)
      for (const { fd, destination } of sources) {
        makeMountPoint(destination, fstatSync(fd).isDirectory())
        moveMount(fd, destination)
      }
      removeKernelFiles(made)
      restrictMount('/', { nodev: true, nosuid: true, noexec: true, recursive: true })
      if (readonlyRoot) restrictMount('/', { readonly: true })
    })
  } finally {
    for (const { fd } of sources) closeSync(fd)
  }
}

function withOpen(directory: string, work: (fd: number) => void): void {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    work(fd)
  } finally {
    closeSync(fd)
  }
}

function detached({ source, destination, options }: VolumeMount): { fd: number; destination: string } {
  const recursive = options.includes('rbind')
  const fd = cloneMount(source, { recursive })
  restrictMount(fd, { private: true, readonly: options.includes('ro'), recursive })
  return { fd, destination }
}

function leaveMounts({ enter }: NewMountNamespace): void {
  const root = cloneMount('/')
  try {
    moveMount(root, '/')
    enter(root)
  } finally {
    closeSync(root)
  }
}

/** What a volume is mounted on: made if it is not there, as the start of a container does. The thread's root is the container's, whatever links lie there. */
function makeMountPoint(path: string, isDirectory: boolean): void {
  try {
    statSync(path)
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error
    mkdirSync(isDirectory ? path : dirname(path), { recursive: true, mode: 0o755 })
    if (!isDirectory) closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o644))
  }
}

/** What a process of the container sees there is the kernel's to tell, not a file to be copied. */
const kernelTypes = ['proc', 'sysfs']

function removeKernelFiles({ mounts }: NewMountNamespace): void {
  for (const { type, mountPoint } of mounts().toReversed()) {
    if (!kernelTypes.includes(type)) continue
    if (mountPoint.includes('\uFFFD')) throw new BerthError('not-implemented', 'MOUNT_POINT_NAME', 'a file system of the kernel is mounted on a name that is not UTF-8')
    try {
      umount(mountPoint, { detach: true })
    } catch (error) {
      // It went with the one it lay in, or another mount hides it from everybody.
      if (!isErrno(error, 'EINVAL', 'ENOENT', 'ENOTDIR')) throw error
    }
  }
}
