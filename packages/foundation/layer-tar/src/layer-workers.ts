import { closeSync, openSync } from 'node:fs'
import { BerthError, isErrno, WorkerCalls, workerFile } from '@berth/core'
import type { ApplyLayerOptions, ApplyLayerResult } from './apply-layer.ts'
import type { TreeChange } from './changes-of.ts'
import type { TreeUsage } from './directory-tree.ts'
import type { LayerJobs } from './layer-worker.ts'
import type { PackOptions } from './pack-tree.ts'
import { Slots } from './slots.ts'

export interface LayerWorkersOptions {
  /** At most so many threads; 2 by default. Each turns from one piece of work to another, so that none that waits for its bytes or its reader holds up the rest. */
  threads?: number
  /** Milliseconds after which a thread without work ends, to give its memory back; 5000 by default. */
  idleTimeout?: number
}

export interface ApplyOptions extends ApplyLayerOptions {
  /** The layer's file. It is opened before the call returns, and may be renamed or deleted then. */
  path: string
  /**
   * The file is still being written: how many bytes may be read so far, in growing numbers, the last one its size. What it throws is what the caller gets.
   * Absent, the file is whole.
   */
  growth?: AsyncIterable<number> | undefined
  /**
   * The layers below, the top one first; a function is asked for them when all is unpacked. Where an archive names `usr/bin/x` but not `usr/bin`, that directory
   * keeps the owner, mode, attributes and times that it has below; without this it would cover them with root's. So does the root directory itself.
   */
  lowers?: readonly string[] | (() => Promise<readonly string[]>) | undefined
}

interface Thread {
  calls: WorkerCalls<LayerJobs>
  /** Pieces of work in hand. */
  load: number
}

/** Of a file that grows, at least so many new bytes are worth a message, until it is whole. */
const growthStep = 64 * 1024

/** Threads that unpack, pack, compare, count and delete directories of layers, so that the main thread goes on answering. They start when there is work and end when there is none. */
export class LayerWorkers implements AsyncDisposable {
  readonly #threads: Thread[]
  /** For layers whose files are whole: more at a time would only take memory. */
  readonly #slots: Slots
  #nextId = 1
  #disposed = false

  constructor({ threads = 2, idleTimeout = 5000 }: LayerWorkersOptions = {}) {
    const file = workerFile(import.meta.url, 'layer-worker')
    this.#threads = Array.from({ length: threads }, () => ({ calls: new WorkerCalls<LayerJobs>(file, { name: 'layers', linger: idleTimeout }), load: 0 }))
    this.#slots = new Slots(threads * 2)
  }

  /** Unpacks a layer; see {@link ApplyOptions}. An abort is over when the thread has let go of `root`. Errors as of `applyLayer`. */
  async apply(options: ApplyOptions, { signal, onProgress }: { signal?: AbortSignal; onProgress?: (bytes: number) => void } = {}): Promise<ApplyLayerResult> {
    signal?.throwIfAborted()
    const { path, growth, lowers, ...rest } = options
    const fd = openLayer(path)
    try {
      const { impliedDirectories, ...result } = await this.#unpack(fd, growth, rest, { signal, onProgress })
      const below = typeof lowers === 'function' ? await lowers() : lowers
      signal?.throwIfAborted()
      if (below && below.length > 0 && impliedDirectories.length > 0) await this.#with((calls) => calls.call('inherit', options.root, impliedDirectories, [...below]))
      return result
    } finally {
      closeSync(fd)
    }
  }

  /** A directory as an uncompressed tar, in batches of about 256 KiB. */
  pack(root: string, options: PackOptions, { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array, void, undefined> {
    return this.#read((calls, id) => calls.call('pack', id, root, options), signal) as AsyncGenerator<Uint8Array, void, undefined>
  }

  /**
   * What a directory of overlayfs changes of those below it, the top one first, in batches: see {@link TreeChange}. In the order of names, a directory before what is in it.
   */
  changes(root: string, lowers: readonly string[], { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<TreeChange[], void, undefined> {
    return this.#read((calls, id) => calls.call('changes', id, root, [...lowers]), signal) as AsyncGenerator<TreeChange[], void, undefined>
  }

  async usage(root: string, { signal }: { signal?: AbortSignal } = {}): Promise<TreeUsage> {
    signal?.throwIfAborted()
    return this.#with((calls) => calls.call('usage', root))
  }

  /** Deletes a directory with all in it; nothing there is well too. */
  async remove(root: string): Promise<void> {
    await this.#with((calls) => calls.call('remove', root))
  }

  /** Ends the threads, also those at work, whose callers get an error of the kind `cancelled`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    this.#slots.close(disposed())
    await Promise.all(this.#threads.map(({ calls }) => calls.end()))
  }

  async #unpack(
    fd: number,
    growth: AsyncIterable<number> | undefined,
    options: ApplyLayerOptions,
    { signal, onProgress }: { signal: AbortSignal | undefined; onProgress: ((bytes: number) => void) | undefined },
  ) {
    using _ = growth ? undefined : await this.#slots.take(signal)
    return await this.#with(async (calls) => {
      const id = this.#nextId++
      const working = calls.call('apply', id, fd, growth ? 0 : Infinity, !growth, options)
      // A message to a thread that was ended would start another.
      const post = (...[job, ...args]: ['abort'] | ['grown', number, boolean]) => void (this.#disposed || calls.call(job, id, ...(args as [number, boolean])).catch(() => {}))
      const abort = () => post('abort')
      signal?.addEventListener('abort', abort)
      let failure: { cause: unknown } | undefined
      const growing = growth && forward(growth, (bytes, isWhole) => post('grown', bytes, isWhole))
      growing?.ended.catch((cause: unknown) => {
        failure = { cause }
        abort()
      })
      const telling = onProgress && this.#tell(calls, id, onProgress)
      try {
        const result = await working
        // The blob may still prove to be a lie in its last bytes.
        await growing?.ended
        await telling
        onProgress?.(result.bytes)
        return result
      } catch (error) {
        signal?.throwIfAborted()
        if (failure) throw failure.cause
        throw error
      } finally {
        growing?.stop()
        signal?.removeEventListener('abort', abort)
      }
    })
  }

  async #tell(calls: WorkerCalls<LayerJobs>, id: number, onProgress: (bytes: number) => void): Promise<void> {
    try {
      for (let bytes; (bytes = await calls.call('progress', id)) !== undefined; ) onProgress(bytes)
    } catch {
      // The work's own failure says it.
    }
  }

  async *#read(start: (calls: WorkerCalls<LayerJobs>, id: number) => Promise<void>, signal: AbortSignal | undefined) {
    signal?.throwIfAborted()
    const thread = this.#pick()
    const id = this.#nextId++
    thread.load++
    const open = start(thread.calls, id)
    open.catch(() => {}) // told by the next batch
    try {
      for (let batch; (batch = await thread.calls.call('next', id)) !== undefined; ) {
        yield batch
        signal?.throwIfAborted()
      }
    } finally {
      thread.load--
      if (!this.#disposed) void thread.calls.call('close', id).catch(() => {})
    }
  }

  async #with<T>(work: (calls: WorkerCalls<LayerJobs>) => Promise<T>): Promise<T> {
    const thread = this.#pick()
    thread.load++
    try {
      return await work(thread.calls)
    } finally {
      thread.load--
    }
  }

  /** The thread with the least in hand; one that is there already, if it has nothing. */
  #pick(): Thread {
    if (this.#disposed) throw disposed()
    const [first, ...others] = this.#threads
    return others.reduce((best, thread) => (thread.load < best.load || (thread.load === best.load && thread.calls.isRunning && !best.calls.isRunning) ? thread : best), first!)
  }
}

function openLayer(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) throw new BerthError('not-found', 'LAYER_NOT_FOUND', `layer file ${path}: not found`, { cause: error })
    throw error
  }
}

/** Passes on how far a file has grown, until it is whole or `stop`ped. */
function forward(growth: AsyncIterable<number>, tell: (bytes: number, isWhole: boolean) => void): { ended: Promise<void>; stop: () => void } {
  const iterator = growth[Symbol.asyncIterator]()
  const run = async () => {
    let [told, last] = [0, 0]
    for (let next; !(next = await iterator.next()).done; ) {
      last = next.value
      if (last - told < growthStep) continue
      told = last
      tell(last, false)
    }
    tell(last, true)
  }
  return { ended: run(), stop: () => void iterator.return?.() }
}

function disposed(): BerthError {
  return new BerthError('cancelled', 'LAYER_WORKERS_DISPOSED', 'the layer threads were shut down')
}
