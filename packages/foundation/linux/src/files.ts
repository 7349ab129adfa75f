import { closeSync, constants, futimesSync, openSync } from 'node:fs'
import { cString, libcFunction, slowLibcFunction } from './libc.ts'

type Path = string | Uint8Array

const sysMknod = libcFunction('int mknod(const void *path, unsigned int mode, unsigned long device)')
const sysUtimensat = libcFunction('int utimensat(int directory, const void *path, const void *times, int flags)')
const sysFutimens = libcFunction('int futimens(int fd, const void *times)')
const sysFlock = libcFunction('int flock(int fd, int operation)')
const sysOpenat2 = libcFunction('long syscall(long number, int directory, const void *path, const void *how, size_t size)')
const sysIoctl = libcFunction('int ioctl(int fd, unsigned long request, void *argument)')
const sysSyncfs = slowLibcFunction('int syncfs(int fd)')

const AT_FDCWD = -100
const AT_SYMLINK_NOFOLLOW = 0x100
const OPENAT2 = 437 // the same number on x86-64 and arm64
const O_CLOEXEC = 0x80000
/** @see openat2(2) */
const RESOLVE_IN_ROOT = 0x10
const RESOLVE_NO_MAGICLINKS = 0x02
/** @see ioctl_iflags(2); the same numbers on x86-64 and arm64 */
const [FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_TOPDIR_FL] = [0x80086601n, 0x40086602n, 0x20000]
const [LOCK_EX, LOCK_NB] = [2, 4]

/** Makes a device node, FIFO or file; `mode` holds the type too. @see mknod(2), makedev(3) */
export function mknod(path: Path, mode: number, device: { major: number; minor: number } | number = 0): void {
  const number = typeof device === 'number' ? BigInt(device) : makeDevice(device)
  sysMknod(cString(path), mode, number)
}

function makeDevice({ major, minor }: { major: number; minor: number }): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)]
  return (low & 0xffn) | ((high & 0xfffn) << 8n) | ((low & ~0xffn) << 12n) | ((high & ~0xfffn) << 32n)
}

const times = Buffer.alloc(32)
const billion = 1_000_000_000n
/** Up to here `futimesSync`, which takes seconds as floating-point numbers and is the fastest, is exact for whole ones. */
const plainTimes = 2n ** 32n * billion

/** Sets access and modification time in nanoseconds since the epoch: of an open file, or of a path, where it is a link's own. @see utimensat(2) */
export function setTimes(target: Path | number, accessed: bigint, modified: bigint): void {
  if (typeof target === 'number' && accessed === modified && modified >= 0n && modified < plainTimes && modified % billion === 0n) {
    const seconds = Number(modified / billion)
    return futimesSync(target, seconds, seconds)
  }
  writeTime(accessed, 0)
  writeTime(modified, 16)
  if (typeof target === 'number') sysFutimens(target, times)
  else sysUtimensat(AT_FDCWD, cString(target), times, AT_SYMLINK_NOFOLLOW)
}

function writeTime(time: bigint, offset: number): void {
  const nanoseconds = ((time % billion) + billion) % billion
  times.writeBigInt64LE((time - nanoseconds) / billion, offset)
  times.writeBigInt64LE(nanoseconds, offset + 8)
}

/** Takes an exclusive lock of an open file, or throws EWOULDBLOCK/EAGAIN. It ends with the descriptor. @see flock(2) */
export function lockFile(fd: number): void {
  sysFlock(fd, LOCK_EX | LOCK_NB)
}

/** Writes the whole file system of a descriptor to disk, without holding up the calling thread. @see syncfs(2) */
export async function syncFileSystem(fd: number): Promise<void> {
  await sysSyncfs(fd)
}

/**
 * Tells the file system that the directories in this one have nothing to do with each other: ext4 lays each out in a group of blocks and inodes of its own. Throws
 * where the file system knows no such flag.
 * @see ioctl_iflags(2), FS_TOPDIR_FL; chattr(1), `T`
 */
export function spreadSubdirectories(directory: string): void {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const flags = Buffer.alloc(8)
    sysIoctl(fd, FS_IOC_GETFLAGS, flags)
    const now = flags.readUInt32LE()
    if (now & FS_TOPDIR_FL) return
    flags.writeUInt32LE(now | FS_TOPDIR_FL)
    sysIoctl(fd, FS_IOC_SETFLAGS, flags)
  } finally {
    closeSync(fd)
  }
}

/**
 * Opens a path as a process would whose root is `root`: links, absolute ones and `..` included, cannot lead out; the kernel sees to it.
 * @see openat2(2), RESOLVE_IN_ROOT
 * @returns a descriptor open for reading, the caller's to close
 */
export function openInRoot(root: number, path: string, { directory = false } = {}): number {
  const how = Buffer.alloc(24)
  // Not blocking: a FIFO in an image must not hold up who only looks.
  how.writeBigUInt64LE(BigInt(constants.O_RDONLY | constants.O_NONBLOCK | O_CLOEXEC | (directory ? constants.O_DIRECTORY : 0)), 0)
  how.writeBigUInt64LE(BigInt(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), 16)
  return sysOpenat2(OPENAT2, root, cString(path), how, how.length)
}
