import { chmodSync, chownSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { BerthError, type Logger, messageOf, silent } from '@berth/core'
import { LayerWorkers } from '@berth/layer-tar'
import { parseDigest } from '@berth/oci'
import type { ApplyOptions, LayerBlob, Mount, SnapshotInfo, Snapshotter } from '@berth/snapshotter'
import { overlayDefaults, overlayMounts } from './overlay-mounts.ts'
import { SharedFlights } from './shared-flights.ts'
import { SnapshotRecords, type SnapshotRecord } from './snapshot-records.ts'

export interface OverlaySnapshotterOptions {
  /** The directory that holds the snapshots, on a file system that can be an upper layer; the snapshotter owns it. Without `:` `,` and `\` in its path. */
  root: string
  logger?: Logger
  /**
   * What a layer survives once `apply` has answered. `process` (the default): kill -9, as with dockerd. `power`: power loss too, at the cost of
   * writing out the file system first.
   */
  durability?: 'process' | 'power'
  /** Layers unpacked at the same time; 2 by default. */
  concurrency?: number
  /** Limits for one layer, against archives that are made to fill the disk; none by default. */
  limits?: { maxBytes?: number; maxEntries?: number }
}

/** overlayfs stacks no more directories than this (OVL_MAX_STACK in the kernel). */
const maxDepth = 500

/**
 * Snapshots as directories that overlayfs stacks. Each is `root/NUMBER/fs`, a writable one with `work` beside it. A directory that no record
 * names is what an interrupted or removed snapshot left, and is deleted.
 */
export class OverlaySnapshotter implements Snapshotter {
  readonly name = 'overlay'
  readonly #root: string
  readonly #logger: Logger
  readonly #limits: { maxBytes?: number; maxEntries?: number }
  readonly #durable: boolean
  readonly #records: SnapshotRecords
  readonly #workers: LayerWorkers
  readonly #flights = new SharedFlights<SnapshotInfo>()
  readonly #deletions = new Set<Promise<void>>()
  /** How many read a snapshot's directory now, by its number; it is deleted after the last. */
  readonly #readers = new Map<number, { count: number; whenDone?: () => void }>()
  readonly #defaults = overlayDefaults()
  #nextId: number

  constructor({ root, logger = silent, durability = 'process', concurrency = 2, limits = {} }: OverlaySnapshotterOptions) {
    this.#root = resolve(root)
    if (/[:,\\]/.test(this.#root)) throw new BerthError('invalid-argument', 'SNAPSHOT_ROOT', `snapshot directory ${root}: must not hold a colon, a comma or a backslash`)
    this.#logger = logger
    this.#limits = limits
    this.#durable = durability === 'power'
    mkdirSync(this.#root, { recursive: true, mode: 0o700 })
    this.#records = new SnapshotRecords(join(this.#root, 'snapshots.db'))
    this.#workers = new LayerWorkers({ threads: concurrency })
    const known = new Set(this.#records.list().map(({ id }) => id))
    const found = readdirSync(this.#root).filter((entry) => /^\d+$/.test(entry)).map(Number)
    this.#nextId = Math.max(0, ...known, ...found) + 1
    for (const id of found) if (!known.has(id)) void this.#delete(id, { large: true })
  }

  async apply(name: string, layer: LayerBlob, { parent, signal, onProgress }: ApplyOptions = {}): Promise<SnapshotInfo> {
    return this.#flights.join(name, { signal, onProgress }, async (shared) => {
      const existing = this.#records.find(name)
      if (existing) return infoOf(existing)
      parseDigest(layer.diffId)
      const lowers = this.#lowersOf(parent)
      if (lowers.length >= maxDepth) throw new BerthError('invalid-argument', 'MAX_DEPTH', 'max depth exceeded')
      const id = this.#nextId++
      try {
        const fs = this.#fs(id)
        mkdirSync(fs, { recursive: true, mode: 0o700 })
        if (lowers[0] !== undefined) copyAttributes(lowers[0], fs)
        else chmodSync(fs, 0o755)
        await this.#workers.apply({ ...layer, ...this.#limits, root: fs, whiteouts: 'overlay', lowers, sync: this.#durable }, shared)
        shared.signal.throwIfAborted()
        this.#parent(parent) // may have gone meanwhile
        return this.#record({ id, name, kind: 'committed', parent }, { durable: this.#durable })
      } catch (error) {
        await this.#delete(id, { large: true })
        throw error
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
      return this.#record({ id, name: key, kind: 'active', parent }, { durable: false })
    } catch (error) {
      await this.#delete(id, { large: false })
      throw error
    }
  }

  async mounts(key: string): Promise<Mount[]> {
    const record = this.#find(key)
    const { id } = record
    const chain = this.#records.chain(record).map((number) => this.#fs(number))
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

  async list(): Promise<SnapshotInfo[]> {
    return this.#records.list().map(infoOf)
  }

  async remove(key: string): Promise<void> {
    const record = this.#find(key)
    const child = this.#records.childOf(record)
    if (child !== undefined) throw new BerthError('conflict', 'SNAPSHOT_HAS_CHILDREN', `snapshot ${key}: ${child} stands on it`)
    this.#records.delete(record)
    const reader = this.#readers.get(record.id)
    const large = record.kind === 'committed'
    if (reader) reader.whenDone = () => void this.#delete(record.id, { large })
    else void this.#delete(record.id, { large })
  }

  /** Aborts what is being unpacked and finishes what is being deleted. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flights.stop(new BerthError('cancelled', 'SNAPSHOTTER_CLOSED', 'the snapshotter was shut down'))
    await Promise.all(this.#deletions)
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
    if (!record) throw new BerthError('not-found', 'SNAPSHOT_NOT_FOUND', `snapshot ${key}: not found`)
    return record
  }

  #parent(name: string | undefined): SnapshotRecord | undefined {
    if (name === undefined) return undefined
    const record = this.#find(name)
    if (record.kind !== 'committed') throw new BerthError('invalid-argument', 'PARENT_NOT_COMMITTED', `snapshot ${name}: is not committed`)
    return record
  }

  /** The directories below a new snapshot, the top one first. */
  #lowersOf(parent: string | undefined): string[] {
    const record = this.#parent(parent)
    return record ? this.#records.chain(record).map((id) => this.#fs(id)) : []
  }

  #record(snapshot: Omit<SnapshotInfo, 'createdAt'> & { id: number }, options: { durable: boolean }): SnapshotInfo {
    const record = { ...snapshot, createdAt: new Date() }
    this.#records.insert(record, options)
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

  /** Deletes a directory that no record names. What fails is tried again at the next start. */
  #delete(id: number, { large }: { large: boolean }): Promise<void> {
    const path = join(this.#root, String(id))
    const inThread = () => this.#workers.remove(path)
    // A container's few files are gone sooner than a thread is up; what Node cannot delete (too deep), the thread can.
    const deletion = (large ? inThread() : rm(path, { recursive: true, force: true }).catch(inThread))
      .catch((error: unknown) => this.#logger.warn('a snapshot directory could not be deleted', { path, error: messageOf(error) }))
      .finally(() => this.#deletions.delete(deletion))
    this.#deletions.add(deletion)
    return deletion
  }
}

function copyAttributes(from: string, to: string): void {
  const { uid, gid, mode } = statSync(from)
  chownSync(to, uid, gid)
  chmodSync(to, mode & 0o7777)
}

function infoOf({ name, kind, parent, createdAt }: SnapshotInfo): SnapshotInfo {
  return { name, kind, parent, createdAt }
}
