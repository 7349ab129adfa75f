import { closeSync, mkdirSync, openSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { BerthError, isErrno, messageOf, newId, WorkerCalls, workerFile } from '@berth/core'
import { mount, openInRoot, parseMountOptions, readMountInfo, umount } from '@berth/linux'
import type { Mount } from '@berth/snapshotter'
import type { CopyUpJobs } from './copy-up-worker.ts'

/** Fills new volumes from images, in a thread that is started when it is needed first and ends when it has nothing to do. */
export class CopyUp implements AsyncDisposable {
  readonly #dir: string
  readonly #thread = new WorkerCalls<CopyUpJobs>(workerFile(import.meta.url, 'copy-up-worker'), { linger: 0 })

  constructor(dir: string) {
    this.#dir = dir
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    // Mounts of a process that was killed.
    for (const { mountPoint } of readMountInfo().toReversed()) if (mountPoint.startsWith(`${dir}/`)) umount(mountPoint)
    for (const name of readdirSync(dir)) rmdirSync(join(dir, name))
  }

  /** Copies what `rootfs` has at `source` into an empty volume; does nothing when there is no directory or the volume has files. */
  async fill({ volume, rootfs, source }: { volume: string; rootfs: readonly Mount[]; source: string }): Promise<void> {
    if (readdirSync(volume).length > 0) return
    const root = join(this.#dir, newId())
    mkdirSync(root)
    try {
      for (const { type, source: device, target = '', options } of rootfs) {
        const { flags, data } = parseMountOptions(options)
        mount(device, join(root, target), type, flags, data)
      }
      const directory = openImageDirectory(root, source)
      if (directory === undefined) return
      try {
        await this.#call('copy', directory, volume)
      } finally {
        closeSync(directory)
      }
    } finally {
      for (const { mountPoint } of readMountInfo().toReversed()) if (mountPoint === root || mountPoint.startsWith(`${root}/`)) umount(mountPoint)
      rmdirSync(root)
    }
  }

  /** Bytes of the files under a directory of this machine. */
  sizeOf(path: string): Promise<number> {
    return this.#call('size', path)
  }

  async #call<Job extends keyof CopyUpJobs>(job: Job, ...args: Parameters<CopyUpJobs[Job]>): Promise<Awaited<ReturnType<CopyUpJobs[Job]>>> {
    try {
      return await this.#thread.call(job, ...args)
    } catch (error) {
      throw new BerthError('internal', 'COPY_UP_FAILED', `filling a volume from its image failed: ${messageOf(error)}`, { cause: error })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread.end()
  }
}

/** The image decides what its path leads to, and the kernel that it stays inside the image. */
function openImageDirectory(root: string, path: string): number | undefined {
  const rootDirectory = openSync(root, 'r')
  try {
    return openInRoot(rootDirectory, path, { directory: true })
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined
    throw error
  } finally {
    closeSync(rootDirectory)
  }
}
