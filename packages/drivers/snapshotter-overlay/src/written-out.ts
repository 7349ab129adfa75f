import { closeSync, openSync } from 'node:fs'
import { type Logger, messageOf } from '@berth/core'
import { syncFileSystem } from '@berth/linux'
import type { SnapshotRecords } from './snapshot-records.ts'

export interface WrittenOutOptions {
  /** A directory on the file system. */
  root: string
  records: SnapshotRecords
  logger: Logger
  /** Milliseconds that a write waits for more to write. */
  delay: number
}

/**
 * Has what was committed written to disk some time later, much at once, and notes then that it is: until then a loss of power may damage it, and
 * the records say so.
 */
export class WrittenOut implements AsyncDisposable {
  readonly #options: WrittenOutOptions
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> | undefined
  /** What a failed write may have lost; a later one that succeeds says nothing about it. */
  readonly #doubtful = new Set<number>()
  #closed = false

  constructor(options: WrittenOutOptions) {
    this.#options = options
    if (this.#pending().length > 0) this.schedule()
  }

  schedule(): void {
    if (this.#closed || this.#timer !== undefined) return
    this.#timer = setTimeout(() => void this.#write(), this.#options.delay).unref()
  }

  /** Waits for a write under way and begins no other: who opens the directory next goes on with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#writing
  }

  async #write(): Promise<void> {
    const { root, records, logger } = this.#options
    this.#writing = (async () => {
      const ids = this.#pending()
      try {
        await writeOutFileSystem(root)
        records.setWritten(ids)
      } catch (error) {
        for (const id of ids) this.#doubtful.add(id)
        logger.warn('layers could not be written to disk; they are made anew if power is lost', { root, error: messageOf(error) })
      }
    })()
    await this.#writing
    this.#timer = undefined
    if (!this.#closed && this.#pending().length > 0) this.schedule()
  }

  #pending(): number[] {
    return this.#options.records.unwritten().filter((id) => !this.#doubtful.has(id))
  }
}

/** All that is on the file system of a directory is on disk then. */
async function writeOutFileSystem(path: string): Promise<void> {
  const fd = openSync(path, 'r')
  try {
    await syncFileSystem(fd)
  } finally {
    closeSync(fd)
  }
}
