/**
 * What a start makes in a root file system to mount the engine's own files and file systems on. It is no change of the container's: Docker has it in a
 * layer of its own below the container's, which neither `diff` nor `commit` shows.
 */
const files = ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf']
const directories = ['/dev', '/proc', '/sys', '/etc']

export function isEngineFile(path: string): boolean {
  return files.includes(path)
}

/** Whether it is a directory that a start makes if the image has none. */
export function isEngineDirectory(path: string): boolean {
  return directories.includes(path)
}
