import { setImmediate as turn } from 'node:timers/promises'
import type { ContentStore } from '@berth/content-store'
import { referencedBlobs } from './manifest-content.ts'
import { RegistryProblem } from './registry-problem.ts'
import type { RegistryRecords } from './registry-records.ts'

export interface Collected {
  /** Blobs taken from repositories. */
  blobs: number
  /** Bytes that came free; less than the blobs' sizes when other repositories have them, too. */
  bytes: number
}

/** Which repositories have which blobs, and the blobs, each once, for as long as a repository has it. */
export class Blobs {
  readonly #records: RegistryRecords
  readonly #content: ContentStore
  /** Blobs that are about to be recorded, and how often. They stay, whatever the records say. */
  readonly #claims = new Map<string, number>()
  /** What manifests name, as `repository digest`, while garbage is collected. */
  #marked: Set<string> | undefined

  constructor(records: RegistryRecords, content: ContentStore) {
    this.#records = records
    this.#content = content
  }

  /** Gives the repository a blob that `store` is putting into the content. */
  async add(repository: string, digest: string, store: () => Promise<unknown>): Promise<void> {
    this.#claims.set(digest, (this.#claims.get(digest) ?? 0) + 1)
    try {
      await store()
      this.#records.addBlob(repository, digest)
    } finally {
      const left = this.#claims.get(digest)! - 1
      if (left > 0) this.#claims.set(digest, left)
      else this.#claims.delete(digest)
      await this.#removeUnneeded(digest)
    }
  }

  /** In the same turn of the event loop; false if the other repository has no such blob. */
  mount(repository: string, digest: string, from: string | undefined): boolean {
    if (from === undefined || !this.#records.hasBlob(from, digest)) return false
    this.#records.addBlob(repository, digest)
    return true
  }

  /** Who has the blob open reads on. */
  async delete(repository: string, digest: string): Promise<void> {
    if (!this.#records.hasBlob(repository, digest)) throw new RegistryProblem(404, 'BLOB_UNKNOWN', 'blob unknown to registry')
    this.#records.removeBlob(repository, digest)
    await this.#removeUnneeded(digest)
  }

  /** A manifest was taken in: collecting garbage must not miss it. */
  mark(repository: string, digests: readonly string[]): void {
    for (const digest of digests) this.#marked?.add(`${repository} ${digest}`)
  }

  /** Removes blobs that no repository has: a process was killed between storing one and recording it. */
  async removeUnclaimed(): Promise<void> {
    for (const { digest } of await this.#content.list()) await this.#removeUnneeded(digest)
  }

  /**
   * Takes from each repository the blobs that none of its manifests names. One that was pushed, mounted or asked for within the last `grace` milliseconds stays: its
   * manifest may be on its way.
   */
  async collect(grace: number, signal: AbortSignal | undefined): Promise<Collected> {
    if (this.#marked) throw new RegistryProblem(409, 'UNSUPPORTED', 'garbage is being collected')
    const marked = (this.#marked = new Set<string>())
    const collected = { blobs: 0, bytes: 0 }
    try {
      const limit = Date.now() - grace
      await turn()
      for (const repository of this.#records.repositoriesWithBlobs()) {
        for (const manifest of this.#records.manifestDigests(repository)) {
          signal?.throwIfAborted()
          const stored = this.#records.manifest(repository, manifest)
          if (stored) this.mark(repository, referencedBlobs(stored))
          await turn()
        }
        for (const digest of this.#records.blobsUnusedSince(repository, limit)) {
          signal?.throwIfAborted()
          // Nothing comes between this look and the removal.
          if (marked.has(`${repository} ${digest}`) || !this.#records.removeBlobUnusedSince(repository, digest, limit)) continue
          collected.blobs++
          collected.bytes += await this.#removeUnneeded(digest)
        }
      }
      return collected
    } finally {
      this.#marked = undefined
    }
  }

  #removeUnneeded(digest: string): Promise<number> {
    const isNeeded = this.#claims.has(digest) || this.#records.isBlobNeeded(digest)
    return isNeeded ? Promise.resolve(0) : this.#content.remove(digest)
  }
}
