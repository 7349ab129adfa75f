import { closeSync, mkdirSync, openSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { BerthError, isErrno, newId } from '@berth/core'
import { mount, openInRoot, parseMountOptions, readMountInfo, umount } from '@berth/linux'
import type { Mount } from '@berth/snapshotter'
import type { CopyUpAnswer, CopyUpJob } from './copy-up-worker.ts'

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never

/** Fills new volumes from images, in a thread that is started when it is needed first and ends when it has nothing to do. */
export class CopyUp implements AsyncDisposable {
  readonly #dir: string
  #worker: Worker | undefined
  #next = 1
  readonly #waiting = new Map<number, { resolve: (value: number) => void; reject: (error: Error) => void }>()

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
        await this.#run({ kind: 'copy', source: directory, target: volume })
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
    return this.#run({ kind: 'size', path })
  }

  #run(job: WithoutId<CopyUpJob>): Promise<number> {
    const worker = (this.#worker ??= this.#start())
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      worker.postMessage({ id, ...job })
    })
  }

  #start(): Worker {
    const worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './copy-up-worker.ts' : './copy-up-worker.js', import.meta.url))
    worker.on('message', ({ id, value = 0, error }: CopyUpAnswer) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(value)
      else waiting?.reject(new BerthError('internal', 'COPY_UP_FAILED', `filling a volume from its image failed: ${error}`))
      if (this.#waiting.size === 0) this.#end()
    })
    worker.on('error', (error) => {
      for (const { reject } of this.#waiting.values()) reject(error instanceof Error ? error : new Error(String(error)))
      this.#waiting.clear()
      this.#worker = undefined
    })
    return worker
  }

  #end(): void {
    void this.#worker?.terminate()
    this.#worker = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate()
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
