import { once } from 'node:events'
import { realpathSync } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { BerthError, isKind, messageOf, serveCalls } from '@berth/core'
import { createZstdFramesDecompress, LayerExtractor, packTree, TarReader } from '@berth/layer-tar'
import { type IdRange, withFsUser, withMountNamespace } from '@berth/linux'
import type { Mount } from '@berth/snapshotter'
import { accountsBelow } from './create/accounts.ts'
import { makeRoot, makeView, type ViewOptions } from './files/container-view.ts'
import { openDirectory, type WriteOptions } from './files/destination.ts'
import { absolutePath, type PathStat, statPath } from './files/path-stat.ts'
import type { AccountFiles } from './spec/index.ts'

/**
 * What the thread is asked to do. Views are descriptors of mount namespaces, the caller's to close once nothing is asked of them any more. What is
 * done in a view is done inside it by one synchronous call, between which the thread is outside: nothing that Node loads by itself comes from a container.
 */
export interface ArchiveJobs {
  /** See {@link makeRoot}. */
  root(mounts: readonly Mount[], directory: string): number
  /** See {@link makeView}. */
  view(options: ViewOptions): number
  stat(view: number, path: string): PathStat
  accounts(view: number): AccountFiles
  /** Begins to pack a path, or all of the root. `ids`: of the user namespace whose files the view shows from outside. */
  read(copy: number, view: number, path: string | undefined, ids: IdRange | undefined): PathStat | undefined
  /** The next batch of what is packed; undefined when that was all. */
  next(copy: number): Uint8Array | undefined
  /** Begins to unpack into a directory. `ids` as above. */
  write(copy: number, view: number, path: string, options: WriteOptions, ids: IdRange | undefined): void
  /** A piece of the archive. The first tells its compression by its first bytes, so it holds them whole. */
  put(copy: number, chunk: Uint8Array): Promise<void>
  finish(copy: number): Promise<void>
  /** Lets go of what {@link read} or {@link write} began; nothing of it is done in its view after this. */
  end(copy: number): void
}

interface Reading {
  view: number
  tree: Generator<Uint8Array, void, undefined>
}

const readings = new Map<number, Reading>()
const writings = new Map<number, Writing>()

/** The compressions that are told by their first bytes. */
const compressions = [
  { magic: [0x1f, 0x8b], inflate: createGunzip },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], inflate: createZstdFramesDecompress },
  { magic: [0x42, 0x5a, 0x68], inflate: undefined, name: 'bzip2' },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a], inflate: undefined, name: 'xz' },
] as const

/** An archive that is unpacked into a view as it arrives. */
class Writing {
  readonly #view: number
  readonly #ids: IdRange | undefined
  readonly #extractor: LayerExtractor
  readonly #reader: TarReader
  #inflate: ReturnType<typeof createGunzip> | undefined
  #started = false
  #ended = false
  /** Rejected when it cannot be decompressed, or unpacked as it is. */
  readonly #broken = Promise.withResolvers<never>()

  constructor(view: number, ids: IdRange | undefined, extractor: LayerExtractor) {
    this.#view = view
    this.#ids = ids
    this.#extractor = extractor
    this.#reader = new TarReader(extractor)
    this.#broken.promise.catch(() => {})
  }

  async put(chunk: Buffer): Promise<void> {
    if (!this.#started) this.#start(chunk)
    const inflate = this.#inflate
    if (!inflate) return this.#unpack(chunk)
    const written = new Promise<void>((resolve) => inflate.write(chunk, (error) => error || resolve()))
    await Promise.race([written, this.#broken.promise])
  }

  async finish(): Promise<void> {
    const inflate = this.#inflate
    if (inflate) {
      const ended = once(inflate, 'end')
      ended.catch(() => {}) // told by the race
      inflate.end()
      await Promise.race([ended, this.#broken.promise])
    }
    this.#inside(() => {
      this.#reader.finish()
      this.#extractor.finish()
    })
  }

  end(): void {
    this.#ended = true
    this.#broken.reject(new BerthError('cancelled', 'COPY_ENDED', 'the copy was ended'))
    this.#inflate?.destroy()
    this.#extractor.abort()
  }

  #start(chunk: Buffer): void {
    this.#started = true
    const found = compressions.find(({ magic }) => magic.every((byte, index) => chunk[index] === byte))
    if (!found) return
    if (!found.inflate) throw new BerthError('not-implemented', 'ARCHIVE_COMPRESSION', `archives compressed by ${found.name} are not supported`)
    const inflate = found.inflate({ chunkSize: 256 * 1024 })
    this.#inflate = inflate as ReturnType<typeof createGunzip>
    inflate.on('error', (error: Error) =>
      this.#broken.reject(new BerthError('invalid-argument', 'ARCHIVE_INVALID', `the archive cannot be decompressed: ${messageOf(error)}`, { cause: error })),
    )
    inflate.on('data', (bytes: Buffer) => {
      try {
        this.#unpack(bytes)
      } catch (error) {
        this.#broken.reject(error)
        inflate.destroy()
      }
    })
  }

  #unpack(bytes: Buffer): void {
    if (!this.#ended) this.#inside(() => this.#reader.push(bytes))
  }

  #inside(work: () => void): void {
    try {
      // A mapped file system takes no file of somebody who is not in its map, as this machine's root.
      withMountNamespace(this.#view, () => (this.#ids ? withFsUser(this.#ids, work) : work()))
    } catch (error) {
      throw isKind(error, 'data-loss') ? new BerthError('invalid-argument', 'ARCHIVE_INVALID', messageOf(error), { cause: error }) : error
    }
  }
}

/** A thread that failed, and its successor, know nothing of what it had begun: its archives must not look as if they ended there. */
function begun<T>(copies: Map<number, T>, copy: number): T {
  const found = copies.get(copy)
  if (!found) throw new BerthError('internal', 'COPY_LOST', 'the copy was lost with its thread')
  return found
}

function byteString(path: string): string {
  return Buffer.from(path).toString('latin1')
}

function read(copy: number, view: number, path: string | undefined, ids: IdRange | undefined): PathStat | undefined {
  if (path === undefined) {
    readings.set(copy, { view, tree: packTree({ whiteouts: 'none', ids }) })
    return undefined
  }
  const absolute = absolutePath(path)
  return withMountNamespace(view, () => {
    const stat = statPath(absolute)
    // The end of a path that means a directory may be a link; that of any other is packed as it is.
    const packed = stat.mode >= 2 ** 31 ? realpathSync.native(absolute, 'buffer').toString('latin1') : byteString(absolute)
    readings.set(copy, { view, tree: packTree({ whiteouts: 'none', path: packed, name: byteString(stat.name), ids }) })
    return stat
  })
}

serveCalls<ArchiveJobs>({
  root: makeRoot,
  view: makeView,
  stat: (view, path) => withMountNamespace(view, () => statPath(absolutePath(path))),
  accounts: (view) => withMountNamespace(view, () => accountsBelow('/')),
  read,
  next(copy) {
    const { view, tree } = begun(readings, copy)
    return withMountNamespace(view, () => tree.next()).value ?? undefined
  },
  write(copy, view, path, options, ids) {
    const into = withMountNamespace(view, () => openDirectory(absolutePath(path)))
    const { owner, noOverwriteDirNonDir } = options
    writings.set(copy, new Writing(view, ids, new LayerExtractor({ whiteouts: 'none', into, owner, noOverwriteDirNonDir, ids })))
  },
  put: async (copy, chunk) => begun(writings, copy).put(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)),
  finish: async (copy) => begun(writings, copy).finish(),
  end(copy) {
    readings.get(copy)?.tree.return()
    readings.delete(copy)
    writings.get(copy)?.end()
    writings.delete(copy)
  },
})
