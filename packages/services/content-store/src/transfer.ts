import { BerthError, isKind } from '@berth/core'
import { parseDigest } from '@berth/oci'
import { sizeMismatch } from './content-errors.ts'
import type { Arrival, BlobInfo, BlobSource, ExpectedBlob, FetchOptions } from './content-store.ts'
import type { GrowingIngest, OpenIngestOptions } from './growing-ingest.ts'

/** A file that can be opened under its name until it is disposed, whatever becomes of its other names. */
export interface FileView extends AsyncDisposable {
  readonly file: string
}

/** What transfers need of the store that they fill. */
export interface TransferStore {
  stat(digest: string): Promise<BlobInfo | undefined>
  viewBlob(digest: string): Promise<FileView | undefined>
  viewIngest(ingest: GrowingIngest): Promise<FileView>
  openIngest(key: string, options: OpenIngestOptions): Promise<GrowingIngest>
}

/** The blobs that are on their way, each once. */
export class Transfers implements AsyncDisposable {
  readonly #store: TransferStore
  readonly #running = new Map<string, Transfer>()

  constructor(store: TransferStore) {
    this.#store = store
  }

  async fetch(blob: ExpectedBlob, source: BlobSource, options: FetchOptions): Promise<Arrival> {
    parseDigest(blob.digest)
    for (;;) {
      options.signal.throwIfAborted()
      const running = this.#running.get(blob.digest)
      if (!running) break
      // One that is ending early, or that was told another size, is of no use.
      if (running.size === blob.size && !running.isEnding) return running.join(source, options)
      await unlessAborted(running.ended, options.signal)
    }
    const transfer = new Transfer(blob, this.#store, () => this.#running.delete(blob.digest))
    this.#running.set(blob.digest, transfer)
    return transfer.join(source, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const reason = new BerthError('cancelled', 'CONTENT_STORE_CLOSED', 'the content store was closed')
    await Promise.all([...this.#running.values()].map((transfer) => transfer.abort(reason)))
  }
}

interface Caller {
  source: BlobSource
  onProgress: ((bytes: number) => void) | undefined
  done: PromiseWithResolvers<void>
  failure: { error: unknown } | undefined
}

/** One blob's way into the store, for all that wait for it. The source of the first is read; when it fails, that of the next, from where it stands. */
class Transfer {
  readonly size: number
  /** Settles when nothing of it goes on. Never rejects. */
  readonly ended: Promise<void>
  readonly #digest: string
  readonly #store: TransferStore
  readonly #abort = new AbortController()
  readonly #callers = new Set<Caller>()
  #view: FileView | undefined
  /** Settles when there is something to read. What an earlier try has left is not shown before it is verified. */
  readonly #viewed = Promise.withResolvers<void>()
  /** Callers and the transfer itself, who need the view. */
  #holders = 1
  /** Bytes that may be read. */
  #visible = 0
  /** How often the bytes began anew. */
  #tries = 0
  #isWhole = false
  #changed = Promise.withResolvers<void>()

  constructor({ digest, size }: ExpectedBlob, store: TransferStore, onEnd: () => void) {
    this.#digest = digest
    this.size = size
    this.#store = store
    this.#viewed.promise.catch(() => {})
    // The first caller joins in this turn of the event loop.
    this.ended = Promise.resolve()
      .then(() => this.#run())
      .then(
        () => {
          onEnd()
          for (const { done } of this.#callers) done.resolve()
        },
        (error: unknown) => {
          onEnd()
          this.#viewed.reject(error)
          for (const caller of this.#callers) fail(caller, error)
        },
      )
      .then(() => {
        this.#notify()
        return this.#release()
      })
  }

  get isEnding(): boolean {
    return this.#abort.signal.aborted
  }

  async abort(reason: unknown): Promise<void> {
    this.#abort.abort(reason)
    await this.ended
  }

  async join(source: BlobSource, { signal, onProgress }: FetchOptions): Promise<Arrival> {
    const caller: Caller = { source, onProgress, done: Promise.withResolvers(), failure: undefined }
    caller.done.promise.catch(() => {})
    this.#callers.add(caller)
    this.#holders++
    let isGone = false
    const leave = async (reason: unknown) => {
      if (isGone) return
      isGone = true
      signal.removeEventListener('abort', onAbort)
      this.#callers.delete(caller)
      // The last to go sees the work end, so that its files are closed.
      if (this.#callers.size === 0 && !this.#isWhole) await this.abort(reason)
      fail(caller, reason)
      this.#notify()
    }
    const onAbort = () => void leave(signal.reason)
    signal.addEventListener('abort', onAbort)
    try {
      await Promise.race([this.#viewed.promise, caller.done.promise])
    } catch (error) {
      await leave(error)
      await this.#release()
      throw error
    }
    return this.#arrival(caller, leave)
  }

  #arrival(caller: Caller, leave: (reason: unknown) => Promise<void>): Arrival {
    const view = () => this.#view!.file
    const tries = this.#tries
    let isDisposed = false
    return {
      get file() {
        return view()
      },
      growth: () => this.#growth(caller, tries),
      done: caller.done.promise,
      [Symbol.asyncDispose]: async () => {
        if (isDisposed) return
        isDisposed = true
        await leave(new BerthError('cancelled', 'ARRIVAL_DISPOSED', 'the arrival was let go of'))
        await this.#release()
      },
    }
  }

  async *#growth(caller: Caller, tries: number): AsyncGenerator<number, void, undefined> {
    for (let last = -1; last < this.size; ) {
      if (this.#tries !== tries) throw new BerthError('data-loss', 'TRANSFER_RESTARTED', `content of ${this.#digest} was wrong and is being fetched anew`)
      if (this.#visible > last && (this.#visible > 0 || this.size === 0)) yield (last = this.#visible)
      else if (caller.failure) throw caller.failure.error
      else await this.#changed.promise
    }
  }

  async #run(): Promise<void> {
    if (await this.#isPresent()) return
    const { algorithm } = parseDigest(this.#digest)
    const open = async () => {
      const ingest = await this.#store.openIngest(this.#digest, { algorithm, expectedSize: this.size, hashNow: true })
      const previous = this.#view
      this.#view = await this.#store.viewIngest(ingest)
      await previous?.[Symbol.asyncDispose]()
      return ingest
    }
    let ingest = await open()
    const again = async () => {
      this.#tries++
      this.#visible = 0
      ingest = await open()
      this.#notify()
    }
    try {
      if (ingest.bytes > this.size) {
        await ingest.discard()
        await again()
      }
      let isResumed = ingest.bytes > 0
      for (;;) {
        const [caller] = this.#callers
        this.#abort.signal.throwIfAborted()
        if (!caller) throw new BerthError('cancelled', 'TRANSFER_ABANDONED', 'nobody waits for the transfer any more')
        if (!isResumed) {
          ingest.onWritten = (bytes) => this.#show(bytes)
          this.#viewed.resolve()
        }
        try {
          await this.#receive(ingest, caller.source)
          await ingest.commit({ digest: this.#digest, size: this.size })
          this.#isWhole = true
          this.#viewed.resolve()
          return this.#show(this.size)
        } catch (error) {
          if (this.#abort.signal.aborted) throw error
          const isWrong = isKind(error, 'data-loss')
          if (isWrong) await ingest.discard().catch(() => {})
          // What was kept from an earlier try may be what is wrong: once more from the start.
          if (!isWrong || !isResumed) {
            this.#callers.delete(caller)
            fail(caller, error)
            this.#notify()
            if (this.#callers.size === 0) throw error
          }
          if (!isWrong) continue
          await again()
          isResumed = false
        }
      }
    } finally {
      // What could not be kept is fetched the next time.
      await Promise.resolve(ingest[Symbol.asyncDispose]()).catch(() => {})
    }
  }

  async #isPresent(): Promise<boolean> {
    const present = await this.#store.stat(this.#digest)
    if (!present) return false
    if (present.size !== this.size) throw sizeMismatch(this.#digest, present.size, this.size)
    this.#view = await this.#store.viewBlob(this.#digest)
    if (!this.#view) return false
    this.#isWhole = true
    this.#visible = this.size
    this.#viewed.resolve()
    for (const { onProgress } of this.#callers) onProgress?.(this.size)
    return true
  }

  async #receive(ingest: GrowingIngest, source: BlobSource): Promise<void> {
    const progress = () => {
      for (const { onProgress } of this.#callers) onProgress?.(ingest.bytes)
    }
    if (ingest.bytes > 0) progress()
    if (ingest.bytes === this.size) return
    const { signal } = this.#abort
    for await (const chunk of abortable(source(ingest.bytes, signal), signal)) {
      if (ingest.bytes + chunk.length > this.size) throw new BerthError('data-loss', 'BLOB_TOO_LONG', `content of ${this.#digest} is longer than its ${this.size} bytes`)
      await ingest.write(chunk)
      progress()
    }
    if (ingest.bytes < this.size) throw new BerthError('unavailable', 'BLOB_TRUNCATED', `content of ${this.#digest} ended after ${ingest.bytes} of ${this.size} bytes`)
  }

  #show(bytes: number): void {
    this.#visible = bytes
    this.#notify()
  }

  #notify(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  async #release(): Promise<void> {
    if (--this.#holders === 0) await this.#view?.[Symbol.asyncDispose]()
  }
}

function fail(caller: Caller, error: unknown): void {
  caller.failure ??= { error }
  caller.done.reject(error)
}

async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  await Promise.race([work, aborted(signal)])
}

/** Passes pieces on, and does not wait for a source that does not hear the signal. */
async function* abortable(source: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = source[Symbol.asyncIterator]()
  // One promise for all pieces would keep them all in memory.
  let interrupt: ((reason: unknown) => void) | undefined
  const onAbort = () => interrupt?.(signal.reason)
  signal.addEventListener('abort', onAbort)
  let isOver = false
  try {
    for (;;) {
      signal.throwIfAborted()
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        interrupt = reject
        iterator.next().then(resolve, reject)
      })
      isOver = next.done === true
      if (next.done) return
      yield next.value
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    if (!isOver) void iterator.return?.().catch(() => {})
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => {})
  if (signal.aborted) reject(signal.reason)
  else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  return promise
}
