import type { WorkerCalls } from '@berth/core'
import type { IdRange } from '@berth/linux'
import type { ArchiveJobs } from '../archive-worker.ts'
import type { WriteOptions } from './destination.ts'
import type { PathStat } from './path-stat.ts'
import type { AccountFiles } from '../spec/index.ts'

let copies = 0

/** Batches that a thread has packed, or has been given to unpack, before the other side has taken the first of them. */
const aheadOfReader = 2
const aheadOfThread = 3
/** Bytes that are given to a thread at a time. */
const batchSize = 512 * 1024

/** A container's files, seen by a thread for one copy. Ends by {@link close}, or by its signal, which also lets go of what nobody reads any more. */
export class FilesView implements AsyncDisposable {
  readonly #thread: WorkerCalls<ArchiveJobs>
  readonly #fd: number
  readonly #ids: IdRange | undefined
  readonly #copy = ++copies
  readonly #control = new AbortController()
  readonly #onClose: () => Promise<void>
  readonly #closed = Promise.withResolvers<void>()
  readonly #caller: AbortSignal
  readonly #onAbort = (): void => this.abort(this.#caller.reason)
  #closing: Promise<void> | undefined

  /** @param options.ids Of the user namespace whose files the view shows from outside, as those of a process in it. */
  constructor({ thread, fd, ids, signal, onClose }: { thread: WorkerCalls<ArchiveJobs>; fd: number; ids?: IdRange | undefined; signal: AbortSignal; onClose: () => Promise<void> }) {
    this.#thread = thread
    this.#fd = fd
    this.#ids = ids
    this.#onClose = onClose
    this.#caller = signal
    signal.addEventListener('abort', this.#onAbort)
    if (signal.aborted) this.#onAbort()
  }

  /** Settles when nothing is left of it. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** Ends the copy with a failure. */
  abort(reason: unknown): void {
    this.#control.abort(reason)
    void this.close().catch(() => {})
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close().finally(this.#closed.resolve)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  stat(path: string): Promise<PathStat> {
    return this.#call('stat', this.#fd, path)
  }

  accounts(): Promise<AccountFiles> {
    return this.#call('accounts', this.#fd)
  }

  /** Begins to pack a path. Throws as lstat(2). */
  async read(path: string): Promise<PathStat> {
    return (await this.#call('read', this.#copy, this.#fd, path, this.#ids))!
  }

  async readAll(): Promise<void> {
    await this.#call('read', this.#copy, this.#fd, undefined, this.#ids)
  }

  /** What is packed; closes the view in the end. */
  async *batches(): AsyncGenerator<Uint8Array, void, undefined> {
    const ahead: Promise<Uint8Array | undefined>[] = []
    try {
      for (;;) {
        while (ahead.length < aheadOfReader) ahead.push(awaitedLater(this.#call('next', this.#copy)))
        const batch = await ahead.shift()
        this.#control.signal.throwIfAborted()
        if (!batch) return
        yield batch
      }
    } finally {
      await this.close()
    }
  }

  /** Unpacks an archive into a directory. */
  async write(path: string, source: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<void> {
    await this.#call('write', this.#copy, this.#fd, path, options, this.#ids)
    const given: Promise<void>[] = []
    for await (const batch of inBatches(source, this.#control.signal)) {
      if (given.length >= aheadOfThread) await given.shift()
      given.push(awaitedLater(this.#call('put', this.#copy, batch)))
    }
    for (const put of given) await put
    await this.#call('finish', this.#copy)
  }

  async #close(): Promise<void> {
    this.#caller.removeEventListener('abort', this.#onAbort)
    // Calls are answered in their order, so that none is at work in the view when its descriptor is closed.
    await this.#thread.call('end', this.#copy).catch(() => {})
    await this.#onClose()
  }

  async #call<Job extends keyof ArchiveJobs>(job: Job, ...args: Parameters<ArchiveJobs[Job]>): Promise<Awaited<ReturnType<ArchiveJobs[Job]>>> {
    const { signal } = this.#control
    signal.throwIfAborted()
    if (this.#closing) throw new DOMException('the view is closed', 'InvalidStateError')
    try {
      return await this.#thread.call(job, ...args)
    } catch (error) {
      signal.throwIfAborted()
      throw error
    }
  }
}

/** A failure of it is told where it is awaited. */
function awaitedLater<T>(work: Promise<T>): Promise<T> {
  work.catch(() => {})
  return work
}

async function* inBatches(source: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = source[Symbol.asyncIterator]()
  let parts: Uint8Array[] = []
  let length = 0
  let isOver = false
  try {
    while (!isOver) {
      const { done, value } = await orAborted(iterator.next(), signal)
      isOver = done === true
      if (value) {
        parts.push(value)
        length += value.length
      }
      if (length < batchSize && !(isOver && length > 0)) continue
      yield Buffer.concat(parts, length)
      parts = []
      length = 0
    }
  } finally {
    // Not awaited: it may be stuck where it was aborted.
    if (!isOver) void iterator.return?.()?.then(undefined, () => {})
  }
}

function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort)) // prettier-ignore
  })
}
