import { constants } from 'node:fs'
import { cString, libcFunction, slowLibcFunction } from './libc.ts'

type Path = string | Uint8Array

const sysMknod = libcFunction('int mknod(const void *path, unsigned int mode, unsigned long device)')
const sysUtimensat = libcFunction('int utimensat(int directory, const void *path, const void *times, int flags)')
const sysFlock = libcFunction('int flock(int fd, int operation)')
const sysOpenat2 = libcFunction('long syscall(long number, int directory, const void *path, const void *how, size_t size)')
const sysSyncfs = slowLibcFunction('int syncfs(int fd)')

const AT_FDCWD = -100
const AT_SYMLINK_NOFOLLOW = 0x100
const OPENAT2 = 437 // the same number on x86-64 and arm64
const O_CLOEXEC = 0x80000
/** @see openat2(2) */
const RESOLVE_IN_ROOT = 0x10
const RESOLVE_NO_MAGICLINKS = 0x02
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

/** Sets access and modification time in nanoseconds since the epoch, of a link itself too. @see utimensat(2) */
export function setTimes(path: Path, accessed: bigint, modified: bigint): void {
  const billion = 1_000_000_000n
  for (const [index, time] of [accessed, modified].entries()) {
    const nanoseconds = ((time % billion) + billion) % billion
    times.writeBigInt64LE((time - nanoseconds) / billion, index * 16)
    times.writeBigInt64LE(nanoseconds, index * 16 + 8)
  }
  sysUtimensat(AT_FDCWD, cString(path), times, AT_SYMLINK_NOFOLLOW)
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
