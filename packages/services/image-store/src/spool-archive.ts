import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import type { Ingest } from '@berth/content-store'
import { BerthError, messageOf, newId } from '@berth/core'
import { createZstdFramesDecompress, type TarEntry, type TarHandler, TarReader } from '@berth/layer-tar'
import { isDigest } from '@berth/oci'
import { type ArchiveFiles, ArchiveNames } from '@berth/oci-image'
import { openStart } from './open-start.ts'
import type { Store } from './store.ts'
import { commitUnknown } from './store-layer.ts'

/** Files of at most so many bytes are kept in memory, as long as all of them together have at most {@link memoryLimit}. */
const smallFile = 256 * 1024
const memoryLimit = 16 * 1024 * 1024

/** Where a file of the archive is. */
type Place = { bytes: Buffer } | { digest: string; size: number }

/**
 * Takes in an archive that comes as a stream, plain, gzip or zstd, so that it can be read in any order: small files stay in memory, others become blobs that the
 * lease holds. Blobs that are here already are not written again.
 * @throws `invalid-argument` for what is no archive, or one of names that lead out of it; `data-loss` for a blob that is not what its name says.
 */
export async function spoolArchive(store: Store, source: AsyncIterable<Uint8Array>, lease: string, { signal }: { signal: AbortSignal }): Promise<ArchiveFiles> {
  const spool = new Spool(store, lease)
  const reader = new TarReader(spool)
  try {
    for await (const chunk of await inflated(source, signal)) {
      signal.throwIfAborted()
      reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
      await spool.settle()
    }
    reader.finish()
    await spool.settle()
  } catch (error) {
    await spool[Symbol.asyncDispose]()
    if (signal.aborted) throw signal.reason
    if (error instanceof BerthError && error.code !== 'LAYER_CORRUPT') throw error
    throw new BerthError('invalid-argument', 'INVALID_ARCHIVE', `the archive could not be read: ${messageOf(error)}`, { cause: error })
  }
  return filesOf(store, spool.names)
}

async function inflated(source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const { compression, stream } = await openStart(source)
  if (compression === 'none') return stream
  if (compression === 'xz' || compression === 'bzip2') {
    throw new BerthError('invalid-argument', 'INVALID_ARCHIVE', `the archive could not be read: it is compressed with ${compression}, which is not supported: use gzip or zstd`)
  }
  const inflate = compression === 'gzip' ? createGunzip({ chunkSize: 256 * 1024 }) : createZstdFramesDecompress({ chunkSize: 256 * 1024 })
  // What goes wrong is thrown by the iteration.
  pipeline(stream, inflate, { signal }).catch(() => {})
  return inflate
}

/** Receives the entries of the archive and remembers what is to be done with each piece, for {@link Spool.settle} to do in order. */
class Spool implements TarHandler, AsyncDisposable {
  readonly names = new ArchiveNames<Place>()
  readonly #store: Store
  readonly #lease: string
  #inMemory = 0
  #steps: (() => Promise<void> | void)[] = []
  #file: SpooledFile | undefined

  constructor(store: Store, lease: string) {
    this.#store = store
    this.#lease = lease
  }

  entry(entry: TarEntry): void {
    if (entry.type !== 'file') return this.names.add(entry, { bytes: Buffer.alloc(0) })
    const isSmall = entry.size <= smallFile && this.#inMemory + entry.size <= memoryLimit
    if (isSmall) this.#inMemory += entry.size
    const place: Place = isSmall ? { bytes: Buffer.alloc(entry.size) } : { digest: '', size: entry.size }
    this.names.add(entry, place)
    this.#steps.push(async () => {
      this.#file = 'bytes' in place ? new MemoryFile(place.bytes) : await BlobFile.open(this.#store, this.#lease, entry.name, place)
    })
  }

  data(bytes: Buffer): void {
    this.#steps.push(() => this.#file!.write(bytes))
  }

  end(): void {
    this.#steps.push(async () => {
      await this.#file?.end()
      this.#file = undefined
    })
  }

  /** Does what was remembered; the pieces may be reused then. */
  async settle(): Promise<void> {
    const steps = this.#steps
    this.#steps = []
    for (const step of steps) await step()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.discard()
  }
}

interface SpooledFile {
  write(bytes: Buffer): Promise<void> | void
  end(): Promise<void> | void
  discard(): Promise<void> | void
}

class MemoryFile implements SpooledFile {
  readonly #bytes: Buffer
  #filled = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  write(bytes: Buffer): void {
    bytes.copy(this.#bytes, this.#filled)
    this.#filled += bytes.length
  }

  end(): void {}

  discard(): void {}
}

class BlobFile implements SpooledFile {
  readonly #store: Store
  readonly #lease: string
  readonly #place: { digest: string; size: number }
  /** What the name says of the content. */
  readonly #claimed: string | undefined
  /** Undefined for a blob that is here already. */
  readonly #ingest: Ingest | undefined

  private constructor(store: Store, lease: string, place: { digest: string; size: number }, claimed: string | undefined, ingest: Ingest | undefined) {
    this.#store = store
    this.#lease = lease
    this.#place = place
    this.#claimed = claimed
    this.#ingest = ingest
  }

  static async open(store: Store, lease: string, name: string, place: { digest: string; size: number }): Promise<BlobFile> {
    const [, algorithm, hex] = /^(?:\.\/)?blobs\/([^/]+)\/([^/]+)$/.exec(name) ?? []
    const claimed = isDigest(`${algorithm}:${hex}`) ? `${algorithm}:${hex}` : undefined
    if (claimed !== undefined) store.records.leases.add(lease, 'blob', [claimed])
    const isHere = claimed !== undefined && (await store.content.stat(claimed))?.size === place.size
    return new BlobFile(store, lease, place, claimed, isHere ? undefined : await store.content.ingest(`load-${newId()}`))
  }

  async write(bytes: Buffer): Promise<void> {
    await this.#ingest?.write(bytes)
  }

  async end(): Promise<void> {
    const expected = this.#claimed === undefined ? undefined : { digest: this.#claimed }
    this.#place.digest = this.#ingest ? (await commitUnknown(this.#store, this.#ingest, this.#lease, expected)).digest : this.#claimed!
    this.#store.failPoint('load.file')
  }

  async discard(): Promise<void> {
    await this.#ingest?.discard().catch(() => {})
  }
}

function filesOf(store: Store, names: ArchiveNames<Place>): ArchiveFiles {
  return {
    async size(name) {
      const place = names.find(name)
      return place && ('bytes' in place ? place.bytes.length : place.size)
    },
    async *read(name, options) {
      const place = names.find(name)
      if (!place) throw new BerthError('not-found', 'FILE_NOT_FOUND', `${name}: not found in the archive`)
      if ('bytes' in place) yield place.bytes
      else yield* store.content.read(place.digest, { signal: options?.signal })
    },
    digest(name) {
      const place = names.find(name)
      return place && 'digest' in place && place.digest.startsWith('sha256:') ? place.digest : undefined
    },
  }
}
