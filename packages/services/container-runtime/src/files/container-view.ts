import { closeSync, constants, fstatSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isErrno } from '@berth/core'
import { cloneMount, fileSystemMagic, makeMountNamespace, mount, mountsOfNamespace, moveMount, parseMountOptions, restrictMount, withMountNamespace } from '@berth/linux'
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
  return makeMountNamespace(({ enter }) => {
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
  const taken: MountCopy[] = []
  try {
    takeMounts(base, rootOnly, taken)
    return makeMountNamespace(({ enter }) => {
      for (const { fd, destination } of taken) place(fd, destination, enter)
      for (const { fd, destination } of sources) {
        makeMountPoint(destination, fstatSync(fd).isDirectory())
        moveMount(fd, destination)
      }
      restrictMount('/', { nodev: true, nosuid: true, noexec: true, recursive: true })
      if (readonlyRoot) restrictMount('/', { readonly: true })
    })
  } finally {
    for (const { fd } of [...sources, ...taken]) closeSync(fd)
  }
}

/** A copy of a mount that is mounted nowhere, and where it belongs in the container. */
interface MountCopy {
  fd: number
  destination: string
}

function withOpen(directory: string, work: (fd: number) => void): void {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    work(fd)
  } finally {
    closeSync(fd)
  }
}

function detached({ source, destination, options }: VolumeMount): MountCopy {
  const recursive = options.includes('rbind')
  const fd = cloneMount(source, { recursive })
  restrictMount(fd, { private: true, readonly: options.includes('ro'), recursive })
  return { fd, destination }
}

/** What a process of the container sees there is the kernel's to tell, not a file to be copied. @see statfs(2), `PROC_SUPER_MAGIC`, `SYSFS_MAGIC` */
const kernelFileSystems = [0x9fa0, 0x62656572]

/**
 * Copies the root file system of a namespace, and unless `rootOnly` what is mounted there, one mount after the other. They are copied inside, since in a copy of the namespace of a container
 * with a user namespace the kernel would hold them together.
 */
function takeMounts(base: number, rootOnly: boolean, taken: MountCopy[]): void {
  const mountPoints = rootOnly ? [] : mountsOfNamespace(base).map((info) => info.mountPoint)
  withMountNamespace(base, () => {
    taken.push({ fd: copyOf('/'), destination: '/' })
    for (const mountPoint of new Set(mountPoints)) if (mountPoint !== '/') takeMount(mountPoint, taken)
  })
}

/** The topmost mount at a mount point. It is left out where its name leads nowhere now, or it lets nobody in (FUSE). */
function takeMount(mountPoint: string, taken: MountCopy[]): void {
  try {
    const copy = { fd: copyOf(mountPoint), destination: mountPoint }
    if (kernelFileSystems.includes(fileSystemMagic(copy.fd))) closeSync(copy.fd)
    else taken.push(copy)
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES')) throw error
  }
}

/** Has what is mounted below with it where a user namespace may not see beneath that. */
function copyOf(mountPoint: string): number {
  let fd: number
  try {
    fd = cloneMount(mountPoint)
  } catch (error) {
    if (!isErrno(error, 'EINVAL') || mountPoint === '/') throw error
    fd = cloneMount(mountPoint, { recursive: true })
  }
  restrictMount(fd, { private: true, recursive: true })
  return fd
}

/**
 * Mounts a copy in the view. The container may move and cover directories meanwhile: a name decides where a mount lies in the view, but whether it may be there was asked of
 * the mount itself. It is left out where its name leads nowhere now, or lies in what was left out.
 */
function place(fd: number, destination: string, enter: (directory: number) => void): void {
  if (destination === '/') {
    moveMount(fd, '/')
    enter(fd)
    return
  }
  try {
    moveMount(fd, destination)
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES')) throw error
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
