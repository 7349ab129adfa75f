import { BerthError } from '@berth/core'
import { cString, libcFunction } from './libc.ts'
import { mountFlags } from './mounts.ts'

const sysOpenTree = libcFunction('long syscall(long number, int directory, const void *path, unsigned int flags)')
const sysMoveMount = libcFunction('long syscall(long number, int from, const void *fromPath, int to, const void *toPath, unsigned int flags)')
const sysMountSetattr = libcFunction('long syscall(long number, int directory, const void *path, unsigned int flags, const void *attributes, size_t size)')
const sysClose = libcFunction('int close(int fd)')
const sysFstatfs = libcFunction('int fstatfs(int fd, _Out_ void *stats)')
const sysPivotRoot = libcFunction('long syscall(long number, const void *newRoot, const void *oldRoot)')

// The first three are the same on all architectures.
const [OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR] = [428, 429, 442]
const pivotRootNumbers: Partial<Record<NodeJS.Architecture, number>> = { x64: 155, arm64: 41, riscv64: 41, ppc64: 203, s390x: 217 }

const AT_FDCWD = -100
const AT_EMPTY_PATH = 0x1000
const AT_RECURSIVE = 0x8000
const OPEN_TREE_CLONE = 1
const OPEN_TREE_CLOEXEC = 0x80000
const MOVE_MOUNT_F_EMPTY_PATH = 0x4
const MOVE_MOUNT_T_SYMLINKS = 0x10

/** @see mount_setattr(2) */
const attributes = { readonly: 0x1, nosuid: 0x2, nodev: 0x4, noexec: 0x8 } as const

/**
 * A copy of the mount at a path that is mounted nowhere, with those below it if `recursive`.
 * @see open_tree(2), OPEN_TREE_CLONE
 * @returns a descriptor; the copy is gone when it is closed, unless {@link moveMount} has put it somewhere
 */
export function cloneMount(path: string, { recursive = false } = {}): number {
  return sysOpenTree(OPEN_TREE, AT_FDCWD, cString(path), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0))
}

/**
 * Mounts a {@link cloneMount copy}; links in `target` are followed as the calling thread sees them. A relative one begins at the open directory `from`.
 * @see move_mount(2)
 */
export function moveMount(fd: number, target: string, from = AT_FDCWD): void {
  sysMoveMount(MOVE_MOUNT, fd, cString(''), from, cString(target), MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS)
}

/** Lets go of a {@link cloneMount copy}. So does `closeSync`, which warns of descriptors that Node did not open in worker threads that track theirs. */
export function closeMount(fd: number): void {
  sysClose(fd)
}

/** What kind of file system an open file, or a {@link cloneMount copy} of a mount, is of: the magic number. @see statfs(2), `f_type` */
export function fileSystemMagic(fd: number): number {
  const stats = Buffer.alloc(256)
  sysFstatfs(fd, stats)
  return Number(stats.readBigInt64LE())
}

/**
 * Restricts the mount of a path or a {@link cloneMount copy}. `private`: mounts made in it or elsewhere do not propagate between it and its peers.
 * @see mount_setattr(2), Linux 5.12
 */
export function restrictMount(
  mount: string | number,
  options: { readonly?: boolean; nosuid?: boolean; nodev?: boolean; noexec?: boolean; private?: boolean; recursive?: boolean },
): void {
  let set = 0
  for (const [name, bit] of Object.entries(attributes)) if (options[name as keyof typeof attributes]) set |= bit
  const how = Buffer.alloc(32)
  how.writeBigUInt64LE(BigInt(set), 0)
  how.writeBigUInt64LE(BigInt(options.private ? mountFlags.MS_PRIVATE : 0), 16)
  const [directory, path] = typeof mount === 'number' ? [mount, ''] : [AT_FDCWD, mount]
  const flags = (path === '' ? AT_EMPTY_PATH : 0) | (options.recursive ? AT_RECURSIVE : 0)
  sysMountSetattr(MOUNT_SETATTR, directory, cString(path), flags, how, how.length)
}

/** @see mount_setattr(2) */
const MOUNT_ATTR_IDMAP = 0x100000

/**
 * Makes a {@link cloneMount copy} of mounts show and take the owners of files as a user namespace has them: what is 0 on disk is that namespace's root there, and the other way round.
 * Once for each mount.
 * @throws as mount_setattr(2): `EINVAL` where a file system cannot, `EPERM` where the mount is mapped already
 * @see mount_setattr(2), ID-mapped mounts, Linux 5.12
 */
export function idmapMount(fd: number, userNamespace: number, { recursive = false } = {}): void {
  const how = Buffer.alloc(32)
  how.writeBigUInt64LE(BigInt(MOUNT_ATTR_IDMAP), 0)
  how.writeBigUInt64LE(BigInt(userNamespace), 24)
  sysMountSetattr(MOUNT_SETATTR, fd, cString(''), AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), how, how.length)
}

/** Makes the mount that is the working directory the root of the calling thread's mount namespace, and puts the one that was on top of it. @see pivot_root(2) */
export function pivotRoot(): void {
  const number = pivotRootNumbers[process.arch]
  if (number === undefined) throw new BerthError('not-implemented', 'PIVOT_ROOT', `pivot_root is not known on ${process.arch}`)
  sysPivotRoot(number, cString('.'), cString('.'))
}
