import { closeSync, fstatSync, openSync, constants, read } from 'node:fs'
import { promisify } from 'node:util'
import { BerthError, isErrno } from '@berth/core'
import { openInRoot } from '@berth/linux'
import type { ArchiveFiles } from './archive-files.ts'
import type { ImageSource, ReadOptions } from './image.ts'
import { openArchiveFiles } from './open-archive-files.ts'
import { readExtent } from './read-extent.ts'

const readFrom = promisify(read)

/**
 * Opens a directory that is an OCI layout (or an unpacked docker-archive). Links in it, as layouts that share blobs have them, are followed within it: the kernel sees to
 * it that they lead nowhere else. Dispose the source to close the directory.
 * @throws `not-found`; as {@link openArchiveFiles}.
 */
export async function openLayout(dir: string, options?: ReadOptions): Promise<ImageSource> {
  const root = openDirectory(dir)
  try {
    return await openArchiveFiles(filesIn(root), options)
  } catch (error) {
    closeSync(root)
    throw error
  }
}

function filesIn(directory: number): ArchiveFiles {
  let root: number | undefined = directory
  return {
    async size(name) {
      const file = openFile(root, name)
      if (file === undefined) return undefined
      closeSync(file.fd)
      return file.size
    },
    async *read(name, options) {
      const file = openFile(root, name)
      if (file === undefined) throw new BerthError('not-found', 'FILE_NOT_FOUND', `${name}: not found in the layout`)
      const { fd, size } = file
      try {
        const readAt = async (position: number, length: number) => {
          const buffer = Buffer.allocUnsafeSlow(length)
          const { bytesRead } = await readFrom(fd, buffer, 0, length, position)
          return buffer.subarray(0, bytesRead)
        }
        yield* readExtent(readAt, { offset: 0, size }, options)
      } finally {
        closeSync(fd)
      }
    },
    async [Symbol.asyncDispose]() {
      if (root !== undefined) closeSync(root)
      root = undefined
    },
  }
}

function openDirectory(dir: string): number {
  try {
    return openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) throw new BerthError('not-found', 'LAYOUT_NOT_FOUND', `${dir}: no such directory`, { cause: error })
    throw error
  }
}

/** Opens a regular file of the layout; undefined if there is none. */
function openFile(root: number | undefined, name: string): { fd: number; size: number } | undefined {
  // The number may be another directory's by now.
  if (root === undefined) throw new BerthError('invalid-argument', 'SOURCE_CLOSED', 'the layout was closed')
  // What the kernel would confine to the layout is refused all the same: no layout that means well has it.
  if (name === '' || name.startsWith('/') || name.includes('\0') || name.split('/').includes('..')) {
    throw new BerthError('invalid-argument', 'ARCHIVE_REFUSED', `the layout is refused: ${JSON.stringify(name.slice(0, 200))} leads out of it`)
  }
  let fd: number
  try {
    fd = openInRoot(root, name)
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'ENXIO')) return undefined
    throw error
  }
  const stat = fstatSync(fd)
  if (stat.isFile()) return { fd, size: stat.size }
  closeSync(fd)
  return undefined
}
