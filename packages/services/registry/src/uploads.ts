import { createHash, type Hash, randomUUID } from 'node:crypto'
import { createReadStream, mkdirSync, rmSync } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isErrno } from '@berth/core'
import { parseDigest } from '@berth/oci'
import type { BlobFiles } from './blob-files.ts'
import { RegistryProblem } from './registry-problem.ts'
import type { RegistryRecords } from './registry-records.ts'

interface UploadState {
  /** Bytes on disk. */
  size: number
  /** SHA-256 of them; undefined after a restart or a failed write, when the file is read again at the end. */
  hash: Hash | undefined
  /** One request writes at a time. */
  isBusy: boolean
}

export interface UploadsOptions {
  root: string
  records: RegistryRecords
  blobs: BlobFiles
  /** Bytes. */
  maxBlobSize: number
  /** Milliseconds. */
  lifetime: number
}

/** Blobs on their way in, a file each in `uploads/`. They survive restarts, and are dropped when they are too old. */
export class Uploads {
  readonly #options: UploadsOptions
  readonly #directory: string
  readonly #states = new Map<string, UploadState>()

  constructor(options: UploadsOptions) {
    this.#options = options
    this.#directory = join(options.root, 'uploads')
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
  }

  async begin(repository: string): Promise<string> {
    this.expire()
    const id = randomUUID()
    const handle = await open(this.#path(id), 'wx', 0o600)
    await handle.close()
    this.#options.records.addUpload(id, repository)
    this.#states.set(id, { size: 0, hash: createHash('sha256'), isBusy: false })
    return id
  }

  /** Bytes received so far. */
  async size(id: string, repository: string): Promise<number> {
    return (await this.#state(id, repository)).size
  }

  /**
   * Adds bytes. What came before a connection broke is kept.
   * @param start Where the sender believes the upload to stand.
   * @returns bytes received so far.
   */
  async append(id: string, repository: string, source: AsyncIterable<Uint8Array>, start?: number): Promise<number> {
    const state = await this.#state(id, repository)
    return this.#exclusively(state, async () => {
      if (start !== undefined && start !== state.size) {
        throw new RegistryProblem(416, 'RANGE_INVALID', `the upload has ${state.size} bytes, and this part begins at ${start}`, { Range: rangeOf(state.size) })
      }
      const handle = await open(this.#path(id), 'r+')
      try {
        for await (const chunk of source) {
          if (state.size + chunk.length > this.#options.maxBlobSize) throw new RegistryProblem(413, 'SIZE_INVALID', `blobs of more than ${this.#options.maxBlobSize} bytes are not taken`)
          await handle.write(chunk, 0, chunk.length, state.size)
          state.size += chunk.length
          state.hash?.update(chunk)
        }
      } catch (error) {
        // A write that failed may have left a part of itself.
        await handle.truncate(state.size).catch(() => {})
        throw error
      } finally {
        await handle.close()
      }
      return state.size
    })
  }

  /** Makes the upload a blob of its repository, if it is what its sender says; else drops it. */
  async finish(id: string, repository: string, digest: string): Promise<void> {
    const { records, blobs } = this.#options
    const state = await this.#state(id, repository)
    await this.#exclusively(state, async () => {
      const { algorithm } = parseDigest(digest)
      const hash = algorithm === 'sha256' && state.hash ? state.hash : await this.#hashFile(id, algorithm)
      if (`${algorithm}:${hash.digest('hex')}` !== digest) {
        this.#drop(id)
        throw new RegistryProblem(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content')
      }
      const handle = await open(this.#path(id), 'r')
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
      blobs.adopt(this.#path(id), digest)
      records.addBlob(repository, digest)
      this.#drop(id)
    })
    await blobs.syncNames(digest)
  }

  async cancel(id: string, repository: string): Promise<void> {
    await this.#exclusively(await this.#state(id, repository), async () => this.#drop(id))
  }

  /** Drops what is too old and not being written. */
  expire(): void {
    for (const id of this.#options.records.uploadsBefore(Date.now() - this.#options.lifetime)) {
      if (!this.#states.get(id)?.isBusy) this.#drop(id)
    }
  }

  /** Removes files without a record: a process was killed between the two. */
  async removeUnclaimed(): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      if (this.#options.records.uploadRepository(name) === undefined) rmSync(join(this.#directory, name), { force: true })
    }
  }

  async #state(id: string, repository: string): Promise<UploadState> {
    const unknown = () => new RegistryProblem(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry')
    if (this.#options.records.uploadRepository(id) !== repository) throw unknown()
    const known = this.#states.get(id)
    if (known) return known
    let size: number
    try {
      ;({ size } = await stat(this.#path(id)))
    } catch (error) {
      if (isErrno(error, 'ENOENT')) throw unknown()
      throw error
    }
    const state = this.#states.get(id) ?? { size, hash: undefined, isBusy: false }
    this.#states.set(id, state)
    return state
  }

  async #exclusively<T>(state: UploadState, work: () => Promise<T>): Promise<T> {
    if (state.isBusy) throw new RegistryProblem(409, 'BLOB_UPLOAD_INVALID', 'another request is writing to this upload')
    state.isBusy = true
    try {
      return await work()
    } finally {
      state.isBusy = false
    }
  }

  async #hashFile(id: string, algorithm: string): Promise<Hash> {
    const hash = createHash(algorithm)
    for await (const chunk of createReadStream(this.#path(id), { highWaterMark: 256 * 1024 })) hash.update(chunk as Buffer)
    return hash
  }

  #drop(id: string): void {
    rmSync(this.#path(id), { force: true })
    this.#options.records.removeUpload(id)
    this.#states.delete(id)
  }

  /** IDs are those of the records, which are ours. */
  #path(id: string): string {
    return join(this.#directory, id)
  }
}

/** How much of an upload is here, as its clients read it. */
export function rangeOf(size: number): string {
  return `0-${Math.max(size - 1, 0)}`
}
