import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { BerthError, isErrno, type Logger, messageOf, silent } from '@berth/core'
import { LayerWorkers } from '@berth/layer-tar'
import { spreadSubdirectories } from '@berth/linux'
import { parseDigest } from '@berth/oci'
import type { ApplyOptions, LayerBlob, Mount, SnapshotChange, SnapshotInfo, Snapshotter } from '@berth/snapshotter'
import { overlayDefaults, overlayMounts } from './overlay-mounts.ts'
import { SharedFlights } from './shared-flights.ts'
import { SnapshotRecords, type SnapshotRecord } from './snapshot-records.ts'
import { WrittenOut } from './written-out.ts'

export interface OverlaySnapshotterOptions {
  /** The directory that holds the snapshots, on a file system that can be an upper layer; the snapshotter owns it. Without `:` `,` and `\` in its path. */
  root: string
  logger?: Logger
  /** Threads that unpack layers; 2 by default. */
  concurrency?: number
  /** Milliseconds after which what was committed is written out to disk, 5000 by default; it survives kill -9 at once, and a loss of power then. */
  writeOutAfter?: number
  /** Limits for one layer, against archives that are made to fill the disk; none by default. */
  limits?: { maxBytes?: number; maxEntries?: number }
}

/** Starting a thread takes about as long as unpacking a small layer, so that one is kept for the next image. */
const idleTimeout = 30_000

/** overlayfs stacks no more directories than this (OVL_MAX_STACK in the kernel). */
const maxDepth = 500

/**
 * Snapshots as directories that overlayfs stacks. Each is `root/NUMBER/fs`, a writable one with `work` beside it. A directory that no record
 * names is what an interrupted or removed snapshot left, and is deleted. A committed one that was not known to be on disk when the machine
 * went down counts as lost: it keeps its number for those that stand on it, and is made again in it.
 */
export class OverlaySnapshotter implements Snapshotter {
  readonly name = 'overlay'
  readonly #root: string
  readonly #logger: Logger
  readonly #limits: { maxBytes?: number; maxEntries?: number }
  readonly #records: SnapshotRecords
  readonly #writtenOut: WrittenOut
  readonly #workers: LayerWorkers
  readonly #flights = new SharedFlights<SnapshotInfo>()
  readonly #deletions = new Set<Promise<void>>()
  /** How many read a snapshot's directory now, by its number; it is deleted after the last. */
  readonly #readers = new Map<number, { count: number; whenDone?: () => void }>()
  readonly #defaults = overlayDefaults()
  #nextId: number

  constructor({ root, logger = silent, concurrency = 2, limits = {}, writeOutAfter = 5000 }: OverlaySnapshotterOptions) {
    this.#root = resolve(root)
    if (/[:,\\]/.test(this.#root)) throw new BerthError('invalid-argument', 'SNAPSHOT_ROOT', `snapshot directory ${root}: must not hold a colon, a comma or a backslash`)
    this.#logger = logger
    this.#limits = limits
    mkdirSync(this.#root, { recursive: true, mode: 0o700 })
    spread(this.#root)
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    this.#records = new SnapshotRecords({ path: join(this.#root, 'snapshots.db'), bootId })
    this.#records.prune()
    this.#writtenOut = new WrittenOut({ root: this.#root, records: this.#records, logger, delay: writeOutAfter })
    this.#workers = new LayerWorkers({ threads: concurrency, idleTimeout })
    const known = new Set(this.#records.list().map(({ id }) => id))
    const found = readdirSync(this.#root).filter((entry) => /^\d+$/.test(entry)).map(Number)
    this.#nextId = Math.max(0, ...known, ...found) + 1
    for (const id of found) if (!known.has(id)) void this.#delete(id, { large: true })
  }

  async apply(name: string, layer: LayerBlob, { parent, signal, onProgress }: ApplyOptions = {}): Promise<SnapshotInfo> {
    return this.#flights.join(name, { signal, onProgress }, async (shared) => {
      const existing = this.#records.find(name)
      if (existing && !existing.isLost) return infoOf(existing)
      parseDigest(layer.diffId)
      // Aborted when the work has ended, and when the parent has failed.
      const over = new AbortController()
      const base = this.#baseOf(parent, AbortSignal.any([shared.signal, over.signal]))
      base.catch((error: unknown) => over.abort(error))
      const id = existing?.id ?? this.#nextId++
      if (existing) this.#clear(id)
      try {
        const fs = this.#fs(id)
        mkdirSync(fs, { recursive: true, mode: 0o700 })
        chmodSync(fs, 0o755)
        const lowers = async () => this.#lowersOf(await base)
        const ending = AbortSignal.any([shared.signal, over.signal])
        await this.#workers.apply({ ...layer, ...this.#limits, root: fs, whiteouts: 'overlay', lowers }, { signal: ending, onProgress: shared.onProgress })
        shared.signal.throwIfAborted()
        this.#parent(parent) // may have gone meanwhile
        const info = this.#record({ id, name, kind: 'committed', parent })
        this.#writtenOut.schedule()
        return info
      } catch (error) {
        await this.#delete(id, { large: true })
        throw error
      } finally {
        over.abort()
      }
    })
  }

  async prepare(key: string, { parent, signal }: { parent?: string | undefined; signal?: AbortSignal } = {}): Promise<SnapshotInfo> {
    signal?.throwIfAborted()
    if (this.#records.find(key)) throw new BerthError('already-exists', 'SNAPSHOT_EXISTS', `snapshot ${key}: already exists`)
    const base = this.#parent(parent)
    const id = this.#nextId++
    try {
      const fs = this.#fs(id)
      mkdirSync(fs, { recursive: true, mode: 0o700 })
      if (base) mkdirSync(this.#work(id), { mode: 0o700 })
      // The upper directory's own attributes are those of the root that the container sees.
      if (base) copyAttributes(this.#fs(base.id), fs)
      else chmodSync(fs, 0o755)
      return this.#record({ id, name: key, kind: 'active', parent })
    } catch (error) {
      await this.#delete(id, { large: false })
      throw error
    }
  }

  async mounts(key: string): Promise<Mount[]> {
    const record = this.#find(key)
    const { id } = record
    const chain = this.#chain(record)
    if (record.kind === 'committed') return overlayMounts({ lowers: chain, defaults: this.#defaults })
    return overlayMounts({ lowers: chain.slice(1), upper: { fs: this.#fs(id), work: this.#work(id) }, defaults: this.#defaults })
  }

  async stat(key: string): Promise<SnapshotInfo> {
    return infoOf(this.#find(key))
  }

  async usage(key: string): Promise<{ bytes: number; inodes: number }> {
    const record = this.#find(key)
    if (record.usage) return record.usage
    using _ = this.#reading(record.id)
    const usage = await this.#workers.usage(this.#fs(record.id))
    // What is committed takes the same for ever.
    if (record.kind === 'committed') this.#records.setUsage(record, usage)
    return usage
  }

  async *diff(key: string, { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array, void, undefined> {
    signal?.throwIfAborted()
    const { id } = this.#find(key)
    using _ = this.#reading(id)
    yield* this.#workers.pack(this.#fs(id), { whiteouts: 'overlay' }, signal ? { signal } : {})
  }

  async *changes(key: string, { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<SnapshotChange, void, undefined> {
    signal?.throwIfAborted()
    const chain = this.#records.chain(this.#find(key))
    const [own = '', ...lowers] = this.#chain(chain[0]!)
    // Who removes the snapshot meanwhile may remove its parents next.
    using reading = new DisposableStack()
    for (const { id } of chain) reading.use(this.#reading(id))
    for await (const batch of this.#workers.changes(own, lowers, signal ? { signal } : {})) yield* batch
  }

  async list(): Promise<SnapshotInfo[]> {
    return this.#records.list().filter(({ isLost }) => !isLost).map(infoOf)
  }

  async remove(key: string): Promise<void> {
    const record = this.#records.find(key)
    if (!record) throw notFound(key)
    const child = this.#records.childOf(record)
    if (child !== undefined) throw new BerthError('conflict', 'SNAPSHOT_HAS_CHILDREN', `snapshot ${key}: ${child} stands on it`)
    this.#records.delete(record)
    const large = record.kind === 'committed'
    const discard = () => void this.#delete(record.id, { large, recorded: large })
    const reader = this.#readers.get(record.id)
    if (reader) reader.whenDone = discard
    else discard()
    for (const id of this.#records.prune()) void this.#delete(id, { large: true })
  }

  /** Aborts what is being unpacked and finishes what is being deleted. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flights.stop(new BerthError('cancelled', 'SNAPSHOTTER_CLOSED', 'the snapshotter was shut down'))
    await Promise.all(this.#deletions)
    await this.#writtenOut[Symbol.asyncDispose]()
    await this.#workers[Symbol.asyncDispose]()
    this.#records[Symbol.dispose]()
  }

  #fs(id: number): string {
    return join(this.#root, String(id), 'fs')
  }

  #work(id: number): string {
    return join(this.#root, String(id), 'work')
  }

  #find(key: string): SnapshotRecord {
    const record = this.#records.find(key)
    if (!record || record.isLost) throw notFound(key)
    return record
  }

  #parent(name: string | undefined): SnapshotRecord | undefined {
    if (name === undefined) return undefined
    const record = this.#find(name)
    if (record.kind !== 'committed') throw new BerthError('invalid-argument', 'PARENT_NOT_COMMITTED', `snapshot ${name}: is not committed`)
    return record
  }

  /** The parent of a layer that is being applied; waits for one that is being applied itself, as one of its callers. */
  async #baseOf(parent: string | undefined, signal: AbortSignal): Promise<SnapshotRecord | undefined> {
    if (parent !== undefined && this.#flights.has(parent)) {
      await this.#flights.join(parent, { signal, onProgress: undefined }, () => Promise.reject(notFound(parent)))
    }
    return this.#parent(parent)
  }

  /** The directories below a new snapshot, the top one first. */
  #lowersOf(parent: SnapshotRecord | undefined): string[] {
    const lowers = parent ? this.#chain(parent) : []
    if (lowers.length >= maxDepth) throw new BerthError('invalid-argument', 'MAX_DEPTH', 'max depth exceeded')
    return lowers
  }

  /** Directories of a snapshot and of those below, the top one first. */
  #chain(record: SnapshotRecord): string[] {
    return this.#records.chain(record).map(({ id, name, isLost }) => {
      if (isLost) throw new BerthError('unavailable', 'SNAPSHOT_LOST', `snapshot ${record.name}: stands on ${name}, which was lost with the power and is not made again yet`)
      return this.#fs(id)
    })
  }

  #record(snapshot: Omit<SnapshotInfo, 'createdAt'> & { id: number }): SnapshotInfo {
    const record = { ...snapshot, createdAt: new Date() }
    this.#records.put(record)
    return infoOf(record)
  }

  #reading(id: number): Disposable {
    const reader = this.#readers.get(id) ?? { count: 0 }
    reader.count++
    this.#readers.set(id, reader)
    return {
      [Symbol.dispose]: () => {
        if (--reader.count > 0) return
        this.#readers.delete(id)
        reader.whenDone?.()
      },
    }
  }

  /** Takes what a lost snapshot left out of the way. */
  #clear(id: number): void {
    const other = this.#nextId++
    try {
      renameSync(join(this.#root, String(id)), join(this.#root, String(other)))
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error
    }
    void this.#delete(other, { large: true })
  }

  /**
   * Deletes a directory that no record names. What fails is tried again at the next start.
   * @param recorded Whether a record named it until now: that it does no more is on disk first, or a loss of power would bring back the record alone.
   */
  #delete(id: number, { large, recorded = false }: { large: boolean; recorded?: boolean }): Promise<void> {
    const path = join(this.#root, String(id))
    const inThread = () => this.#workers.remove(path)
    const remove = async () => {
      if (recorded) await this.#records.flush()
      // A container's few files are gone sooner than a thread is up; what Node cannot delete (too deep), the thread can.
      await (large ? inThread() : rm(path, { recursive: true, force: true }).catch(inThread))
    }
    const deletion = remove()
      .catch((error: unknown) => this.#logger.warn('a snapshot directory could not be deleted', { path, error: messageOf(error) }))
      .finally(() => this.#deletions.delete(deletion))
    this.#deletions.add(deletion)
    return deletion
  }
}

/**
 * Where the file system can, each snapshot is laid out in a place of its own: two threads then make files without waiting for each other, and ext4 without a journal, which
 * shuns inodes that were deleted in the last minutes, does not search through those of removed snapshots at each file.
 */
function spread(root: string): void {
  try {
    spreadSubdirectories(root)
  } catch {
    // It is only faster.
  }
}

function notFound(key: string): BerthError {
  return new BerthError('not-found', 'SNAPSHOT_NOT_FOUND', `snapshot ${key}: not found`)
}

function copyAttributes(from: string, to: string): void {
  const { uid, gid, mode } = statSync(from)
  chownSync(to, uid, gid)
  chmodSync(to, mode & 0o7777)
}

function infoOf({ name, kind, parent, createdAt }: SnapshotInfo): SnapshotInfo {
  return { name, kind, parent, createdAt }
}
