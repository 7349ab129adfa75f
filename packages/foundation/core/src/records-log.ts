import { type FileHandle, open } from 'node:fs/promises'

/**
 * The log of records that {@link openRecords} opened with `durability: 'process'`. Syncing it makes all that was committed before survive a loss of power, and the
 * event loop goes on meanwhile: a commit that synced by itself would hold it up for as long as the disk is busy with what else is being written.
 */
export class RecordsLog implements Disposable {
  readonly #path: string
  #file: Promise<FileHandle> | undefined
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  /** @param path The database's. */
  constructor(path: string) {
    this.#path = `${path}-wal`
  }

  /** Settles when what was committed before the call is on disk. Callers that come while the disk is busy share the next turn. */
  sync(): Promise<void> {
    if (!this.#running) return this.#start()
    return (this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        return this.#start()
      }))
  }

  [Symbol.dispose](): void {
    this.#file?.then((file) => file.close()).catch(() => {})
  }

  #start(): Promise<void> {
    const running = this.#sync().finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }

  async #sync(): Promise<void> {
    // The file stays as long as the database is open.
    const opening = (this.#file ??= open(this.#path, 'r'))
    opening.catch(() => (this.#file = undefined))
    await (await opening).sync()
  }
}
