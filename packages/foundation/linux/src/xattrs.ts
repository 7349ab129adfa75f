import { cString, libcFunction } from './libc.ts'

type Path = string | Uint8Array

const sysGet = libcFunction('long lgetxattr(const void *path, const void *name, void *value, size_t size)')
const sysSet = libcFunction('int lsetxattr(const void *path, const void *name, const void *value, size_t size, int flags)')
const sysList = libcFunction('long llistxattr(const void *path, void *list, size_t size)')
const sysRemove = libcFunction('int lremovexattr(const void *path, const void *name)')

/** The largest value, and the largest list of names, that Linux has. */
const limit = 65536
/** Where the kernel writes to; what is given out is a copy. */
let scratch: Buffer | undefined

/** Names of a file's extended attributes; of a link's own where the path is one. @see listxattr(2) */
export function listXattrs(path: Path): string[] {
  const target = cString(path)
  if (sysList(target, null, 0) === 0) return []
  const list = (scratch ??= Buffer.alloc(limit))
  return list.toString('utf8', 0, sysList(target, list, limit)).split('\0').filter(Boolean)
}

/** @see getxattr(2); throws ENODATA where there is none */
export function getXattr(path: Path, name: string): Buffer {
  const value = (scratch ??= Buffer.alloc(limit))
  return Buffer.from(value.subarray(0, sysGet(cString(path), cString(name), value, limit)))
}

/** @see setxattr(2) */
export function setXattr(path: Path, name: string, value: Uint8Array): void {
  sysSet(cString(path), cString(name), value.length === 0 ? null : value, value.length, 0)
}

/** @see removexattr(2) */
export function removeXattr(path: Path, name: string): void {
  sysRemove(cString(path), cString(name))
}
