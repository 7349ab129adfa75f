import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isErrno } from '@berth/core'
import { parseDigest } from '@berth/oci'

const algorithms = ['sha256', 'sha384', 'sha512'] as const

/** The blobs of all repositories, each once, in `blobs/<algorithm>/<hex>`. A file there is whole and was verified. */
export class BlobFiles {
  readonly #root: string

  constructor(root: string) {
    this.#root = join(root, 'blobs')
    for (const algorithm of algorithms) mkdirSync(join(this.#root, algorithm), { recursive: true, mode: 0o700 })
  }

  /** Opens a blob to read it; undefined if it is not here. */
  async open(digest: string): Promise<FileHandle | undefined> {
    try {
      return await open(this.#path(digest), 'r')
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined
      throw error
    }
  }

  /** Takes over a file that was verified and synced, in the same turn of the event loop. */
  adopt(path: string, digest: string): void {
    renameSync(path, this.#path(digest))
  }

  /** Makes the names of blobs of this digest's algorithm survive a loss of power. */
  async syncNames(digest: string): Promise<void> {
    const handle = await open(join(this.#root, parseDigest(digest).algorithm), 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }

  /** In the same turn of the event loop. Who has the blob open reads on. */
  remove(digest: string): void {
    rmSync(this.#path(digest), { force: true })
  }

  /** Removes files that nobody claims: a process was killed between storing one and recording it. */
  async removeUnclaimed(isClaimed: (digest: string) => boolean): Promise<void> {
    for (const algorithm of algorithms) {
      for (const encoded of await readdir(join(this.#root, algorithm))) {
        const digest = `${algorithm}:${encoded}`
        if (!isClaimed(digest)) rmSync(join(this.#root, algorithm, encoded), { force: true })
      }
    }
  }

  #path(digest: string): string {
    const { algorithm, encoded } = parseDigest(digest)
    return join(this.#root, algorithm, encoded)
  }
}
