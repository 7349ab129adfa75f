import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { BerthError, isErrno } from '@berth/core'
import { sniffCompression } from '@berth/oci'
import type { ArchiveFiles } from './archive-files.ts'
import type { ArchiveNames, ArchiveNamesOptions } from './archive-names.ts'
import type { ImageSource, ReadOptions } from './image.ts'
import { type FileExtent, indexTar } from './index-tar.ts'
import { inflate } from './inflate.ts'
import { openArchiveFiles } from './open-archive-files.ts'
import { fileReader, readExtent } from './read-extent.ts'

export interface OpenArchiveOptions extends ReadOptions, ArchiveNamesOptions {
  /** Where an archive that is compressed as a whole is unpacked to, into a file without a name; `/var/tmp`. */
  spoolDir?: string | undefined
  /** Such an archive is refused when it is larger than this many bytes unpacked; 16 GiB. */
  maxSpool?: number | undefined
}

/**
 * Opens a tar of images: a docker-archive, an OCI layout, or both. Nothing is unpacked, blobs are read where they lie. An archive that is compressed as a whole by gzip or
 * zstd has no places to read from: it is inflated into a temporary file first. Dispose the source to close the file.
 * @throws `not-found`; `data-loss` for what is no tar; `resource-exhausted` for more entries or bytes than the limits; as {@link openArchiveFiles}.
 */
export async function openArchive(path: string, options: OpenArchiveOptions = {}): Promise<ImageSource> {
  const file = await openFile(path)
  try {
    const compressed = sniffCompression(await fileReader(file)(0, 4)) !== 'none'
    const tar = compressed ? await spool(file, options) : file
    try {
      const { size } = await tar.stat()
      return await openArchiveFiles(filesOf(tar, await indexTar(fileReader(tar), size, options)), options)
    } catch (error) {
      if (compressed) await tar.close()
      throw error
    } finally {
      if (compressed) await file.close()
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

function filesOf(tar: FileHandle, names: ArchiveNames<FileExtent>): ArchiveFiles {
  return {
    size: async (name) => names.find(name)?.size,
    async *read(name, options) {
      const extent = names.find(name)
      if (extent === undefined) throw new BerthError('not-found', 'FILE_NOT_FOUND', `${name}: not found in the archive`)
      yield* readExtent(fileReader(tar), extent, options)
    },
    [Symbol.asyncDispose]: async () => tar.close(),
  }
}

async function openFile(path: string): Promise<FileHandle> {
  let file: FileHandle
  try {
    // Opening a FIFO would wait for its writer.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) throw new BerthError('not-found', 'FILE_NOT_FOUND', `${path}: no such file`, { cause: error })
    throw error
  }
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw new BerthError('invalid-argument', 'NOT_A_FILE', `${path}: is not a regular file, which can be read in any order`)
}

/** Inflates a file into one that is gone when it is closed, even by kill -9. */
async function spool(file: FileHandle, { spoolDir = '/var/tmp', maxSpool = 16 * 1024 ** 3, signal }: OpenArchiveOptions): Promise<FileHandle> {
  const { size } = await file.stat()
  const path = join(spoolDir, `berth-archive-${randomUUID()}`)
  const target = await open(path, 'wx+', 0o600)
  try {
    await unlink(path)
    let written = 0
    for await (const chunk of inflate(readExtent(fileReader(file), { offset: 0, size }, { signal }), { signal })) {
      written += chunk.length
      if (written > maxSpool) throw new BerthError('resource-exhausted', 'ARCHIVE_TOO_LARGE', `the archive has more than ${maxSpool} bytes when it is unpacked`)
      await target.writeFile(chunk)
    }
    return target
  } catch (error) {
    await target.close()
    if (isErrno(error, 'ENOSPC')) throw new BerthError('resource-exhausted', 'DISK_FULL', `${spoolDir}: no space left to unpack the archive to`, { cause: error })
    throw error
  }
}
