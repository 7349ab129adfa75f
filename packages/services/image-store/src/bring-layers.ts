import type { Arrival, BlobSource } from '@berth/content-store'
import { BerthError, isKind } from '@berth/core'
import type { Descriptor } from '@berth/oci'
import type { LayerBlob } from '@berth/snapshotter'
import { examineLayer } from './layer-file.ts'
import type { Limiter } from './limiter.ts'
import type { LayerRecord } from './records/layer-records.ts'
import type { Store } from './store.ts'

/** How often an unpacking that others give up is begun. */
const maxTries = 8

/** A layer of an image that is to be here, and its place in the chain. */
export interface WantedLayer extends Descriptor {
  diffId: string
  chainId: string
  parent: string | undefined
}

/** Who is told how layers come. Bytes are of the blob, those of unpacking scaled to it. */
export interface LayerReport {
  present?(layer: WantedLayer): void
  missing?(layer: WantedLayer, isWaiting: boolean): void
  received?(layer: WantedLayer, bytes: number): void
  complete?(layer: WantedLayer): void
  unpacked?(layer: WantedLayer, bytes: number): void
  done?(layer: WantedLayer): void
}

export interface BringOptions {
  /** Where a layer's blob is read from when it is not here. */
  source: (layer: WantedLayer) => BlobSource
  report: LayerReport
  /** Where blobs wait for their turn to be received. */
  limiter: Limiter
  /** What the steps are called to fail-points: `pull`, `load`. */
  step: string
  signal: AbortSignal
}

/**
 * Makes the layers of an image be here, blobs and snapshots, lowest first. Some blobs are received at the same time, in order; each is unpacked while it
 * arrives, beside those below it. What is leased stays if this fails.
 */
export async function bringLayers(store: Store, layers: readonly WantedLayer[], options: BringOptions): Promise<LayerRecord[]> {
  const { report, signal } = options
  const present: LayerRecord[] = []
  for (const layer of layers) {
    const record = store.records.layers.get(layer.chainId)
    if (!record || !(await isWhole(store, record))) break
    present.push(record)
    report.present?.(layer)
  }
  const missing = layers.slice(present.length)
  for (const [index, layer] of missing.entries()) report.missing?.(layer, index >= options.limiter.width)

  const failed = new AbortController()
  const ending = AbortSignal.any([signal, failed.signal])
  let below: Below = { hasBegun: Promise.resolve(), wasRetried: Promise.resolve(false) }
  const bringing = missing.map((layer) => {
    const beginning = Promise.withResolvers<void>()
    const unpacking = new Unpacking(store, layer, { ...options, signal: ending }, below)
    const work = bringLayer(unpacking, beginning.resolve, (error) => failed.abort(error))
      .catch((error: unknown) => {
        failed.abort(error)
        throw error
      })
      .finally(beginning.resolve)
    below = { hasBegun: beginning.promise, wasRetried: work.then(() => unpacking.wasRetried) }
    below.wasRetried.catch(() => {})
    return work
  })
  try {
    const brought: LayerRecord[] = []
    for (const [index, work] of bringing.entries()) {
      brought.push(await work)
      report.done?.(missing[index]!)
    }
    return [...present, ...brought]
  } catch (error) {
    failed.abort(error)
    await Promise.allSettled(bringing)
    // The first failure has aborted the rest, which fail of that.
    throw signal.aborted ? signal.reason : failed.signal.reason
  }
}

/** Whether a layer is here as it is recorded: unpacked, and the blob that makes it again. */
export async function isWhole(store: Pick<Store, 'snapshotter' | 'content'>, { chainId, blob, blobSize }: LayerRecord): Promise<boolean> {
  return (await store.content.stat(blob))?.size === blobSize && hasSnapshot(store, chainId)
}

async function hasSnapshot(store: Pick<Store, 'snapshotter'>, chain: string): Promise<boolean> {
  try {
    await store.snapshotter.stat(chain)
    return true
  } catch (error) {
    if (isKind(error, 'not-found')) return false
    throw error
  }
}

/** The layer below: settles when its unpacking has begun; and at its end with whether that had to begin once more. */
interface Below {
  hasBegun: Promise<void>
  wasRetried: Promise<boolean>
}

async function bringLayer(unpacking: Unpacking, begun: () => void, fail: (error: unknown) => void): Promise<LayerRecord> {
  const { store, layer, options } = unpacking
  const { report, limiter, signal, step } = options
  await using held = new AsyncDisposableStack()
  const receive = async () => {
    const arrival = held.use(
      await store.content.fetch(layer, options.source(layer), { signal, onProgress: (bytes) => report.received?.(layer, bytes) }),
    )
    const unpacked = unpacking.beside(arrival, begun)
    unpacked.catch(async (error: unknown) => {
      if (unpacking.mayRetry(error)) return
      // It may have failed only because the one below did, whose failure says why.
      if (!(await unpacking.isBelowNew())) fail(error)
    })
    await arrival.done
    store.failPoint(`${step}.blob`)
    await unpacking.arrived()
    return { settled: Promise.allSettled([unpacked]) }
  }
  const unpacked = await limiter.run(receive, { signal })
  const [result] = await unpacked.settled
  if (result.status === 'rejected') await unpacking.again(result.reason)
  store.failPoint(`${step}.layer`)
  const { bytes } = await store.snapshotter.usage(layer.chainId)
  return { chainId: layer.chainId, diffId: layer.diffId, blob: layer.digest, blobSize: layer.size, mediaType: layer.mediaType, size: bytes }
}

/** The unpacking of one layer. */
class Unpacking {
  readonly store: Store
  readonly layer: WantedLayer
  readonly options: BringOptions
  readonly #below: Below
  wasRetried = false
  #isBroken = false
  /** Whether this caller's bytes were asked for, and not another's who wants the same layer. */
  #wasRead = false
  #bytes = 0
  /** Blob bytes for a byte of the tar, once the blob is here to tell. */
  #scale: number | undefined

  constructor(store: Store, layer: WantedLayer, options: BringOptions, below: Below) {
    this.store = store
    this.layer = layer
    this.options = options
    this.#below = below
  }

  /** Unpacks what comes as it comes, once the layer below has begun. */
  async beside(arrival: Arrival, begun: () => void): Promise<void> {
    await this.#below.hasBegun
    const unpacked = this.#apply({ path: arrival.file, growth: this.#watched(arrival.growth()) })
    begun()
    await unpacked
  }

  /** Says that the blob is here, from which on progress is that of unpacking. */
  async arrived(): Promise<void> {
    const { store, layer, options } = this
    options.report.complete?.(layer)
    const { unpackedSize } = await examineLayer(store.content.path(layer.digest), layer.size)
    this.#scale = unpackedSize === undefined ? 1 : layer.size / unpackedSize
    this.#report()
  }

  /** Whether an unpacking that failed may do better from the whole blob: it read bytes that were not the blob's, or was joined to one of another caller's bytes. */
  mayRetry(error: unknown): boolean {
    return !this.options.signal.aborted && (this.#isBroken || !this.#wasRead || isOfAnother(error))
  }

  /** Whether the layer below began once more; settles when that is over, however it ends. */
  isBelowNew(): Promise<boolean> {
    return this.#below.wasRetried.catch(() => false)
  }

  /** Unpacks once more, from the whole blob over what is below by then. */
  async again(reason: unknown): Promise<void> {
    const isBelowNew = await this.#below.wasRetried
    if (!this.mayRetry(reason) && !isBelowNew) throw reason
    this.wasRetried = true
    for (let tries = 1; ; tries++) {
      this.options.signal.throwIfAborted()
      try {
        return await this.#apply({ path: this.store.content.path(this.layer.digest) })
      } catch (error) {
        if (tries === maxTries || !isOfAnother(error)) throw error
      }
    }
  }

  async #apply(blob: Pick<LayerBlob, 'path' | 'growth'>): Promise<void> {
    const { layer, options } = this
    const onProgress = (bytes: number) => {
      this.#bytes = bytes
      this.#report()
    }
    await this.store.snapshotter.apply(layer.chainId, { ...blob, diffId: layer.diffId }, { parent: layer.parent, signal: options.signal, onProgress })
  }

  #report(): void {
    if (this.#scale !== undefined) this.options.report.unpacked?.(this.layer, Math.min(this.layer.size, Math.round(this.#bytes * this.#scale)))
  }

  async *#watched(growth: AsyncIterable<number>): AsyncGenerator<number, void, undefined> {
    this.#wasRead = true
    try {
      yield* growth
    } catch (error) {
      this.#isBroken = true
      throw error
    }
  }
}

/** Whether a failure is that of another caller, who gave up. */
function isOfAnother(error: unknown): boolean {
  return isKind(error, 'cancelled') || !(error instanceof BerthError)
}
