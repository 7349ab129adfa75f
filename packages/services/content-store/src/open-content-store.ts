import { randomUUID } from 'node:crypto'
import { constants, renameSync } from 'node:fs'
import { type FileHandle, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type FailPoint, isErrno, type Logger, messageOf, silent } from '@berth/core'
import { digestOf, isDigest, parseDigest } from '@berth/oci'
import { asStorageError, ingestBusy, storeClosed } from './content-errors.ts'
import { ContentPaths, ingestKey, ingestName, temporaryPrefix } from './content-paths.ts'
import type { Arrival, BlobInfo, BlobSource, ContentStore, DigestAlgorithm, ExpectedBlob, FetchOptions, Ingest, IngestInfo, ReadOptions } from './content-store.ts'
import { DirectorySync } from './directory-sync.ts'
import { expireIngests } from './expire-ingests.ts'
import { FileIngest, inlineLimit } from './file-ingest.ts'
import type { GrowingIngest, OpenIngestOptions } from './growing-ingest.ts'
import { IngestThreads } from './ingest-threads.ts'
import { type ContentReader, readContent } from './read-content.ts'
import { type FileView, Transfers } from './transfer.ts'

export interface OpenContentStoreOptions {
  /** The directory that the store owns; one process at a time. Made if it is missing, 0700. */
  root: string
  /** At most so many threads write and hash; 2. */
  threads?: number
  /** Milliseconds after which a thread without an ingest ends; 5000. */
  idleTimeout?: number
  /** Milliseconds without a write after which an ingest is dropped when the store is opened; a day. */
  ingestLifetime?: number
  /** Steps: `content.verified`, `content.synced`, `content.placed`, `content.durable` of each blob, `content.removed`. */
  failPoint?: FailPoint | undefined
  logger?: Logger
}

/** Opens the store in `root`, and clears away what a killed process left and nobody can go on with. Throws what the file system throws. */
export async function openContentStore({
  root,
  threads = 2,
  idleTimeout = 5000,
  ingestLifetime = 24 * 60 * 60 * 1000,
  failPoint = () => {},
  logger = silent,
}: OpenContentStoreOptions): Promise<ContentStore> {
  const paths = new ContentPaths(root)
  const directories = new DirectorySync()
  // Also those of old: a process that was killed between a rename and its sync has told nobody; who finds the blob now will.
  await Promise.all(paths.create().map((directory) => directories.sync(directory)))
  for (const name of await readdir(paths.ingestDirectory)) {
    if (name.startsWith(temporaryPrefix)) await rm(join(paths.ingestDirectory, name), { force: true })
  }
  const store = new FileContentStore({ root, paths, directories, threads: new IngestThreads({ limit: threads, idleTimeout }), failPoint, logger })
  await expireIngests(store, { olderThan: ingestLifetime })
  return store
}

interface Parts {
  root: string
  paths: ContentPaths
  directories: DirectorySync
  threads: IngestThreads
  failPoint: FailPoint
  logger: Logger
}

class FileContentStore implements ContentStore {
  readonly #parts: Parts
  readonly #reader: ContentReader
  readonly #transfers: Transfers
  /** By file name; undefined while one is being opened. */
  readonly #ingests = new Map<string, FileIngest | undefined>()
  /** By digest: names that are not durable yet. */
  readonly #placing = new Map<string, Promise<void>>()
  #isClosed = false

  constructor(parts: Parts) {
    this.#parts = parts
    this.#reader = readContent(parts.root)
    this.#transfers = new Transfers({
      stat: (digest) => this.#durableStat(digest),
      viewBlob: (digest) => viewFile(this.path(digest)),
      viewIngest: async ({ file }) => (await viewFile(file))!,
      openIngest: (key, options) => this.#openIngest(key, options),
    })
  }

  path(digest: string): string {
    return this.#reader.path(digest)
  }

  stat(digest: string): Promise<BlobInfo | undefined> {
    return this.#reader.stat(digest)
  }

  list(): Promise<BlobInfo[]> {
    return this.#reader.list()
  }

  read(digest: string, options?: ReadOptions): AsyncIterable<Uint8Array> {
    return this.#reader.read(digest, options)
  }

  readDocument(digest: string): Promise<Buffer> {
    return this.#reader.readDocument(digest)
  }

  async write(bytes: Uint8Array, { algorithm = 'sha256' }: { algorithm?: DigestAlgorithm } = {}): Promise<string> {
    if (bytes.length > inlineLimit) return this.#writeThroughIngest(bytes, algorithm)
    const digest = digestOf(bytes, algorithm)
    const present = await this.#durableStat(digest)
    if (present?.size === bytes.length) return digest
    const temporary = this.#parts.paths.temporary(randomUUID())
    try {
      const handle = await this.#openFile(temporary, constants.O_EXCL)
      try {
        await handle.writeFile(bytes)
        this.#parts.failPoint('content.verified')
        await handle.datasync()
      } finally {
        await handle.close()
      }
      this.#parts.failPoint('content.synced')
      await this.#place(temporary, digest)
    } catch (error) {
      await rm(temporary, { force: true })
      throw asStorageError(error)
    }
    return digest
  }

  async ingest(key: string): Promise<Ingest> {
    const algorithm = isDigest(key) ? parseDigest(key).algorithm : 'sha256'
    return this.#openIngest(key, { algorithm, expectedSize: 0, hashNow: false })
  }

  async ingests(): Promise<IngestInfo[]> {
    const found = await Promise.all(
      (await readdir(this.#parts.paths.ingestDirectory)).map(async (name): Promise<IngestInfo | undefined> => {
        const key = ingestKey(name)
        const info = key === undefined ? undefined : await unlessMissing(stat(join(this.#parts.paths.ingestDirectory, name)))
        return info && { key: key!, bytes: this.#ingests.get(name)?.bytes ?? info.size, updatedAt: info.mtime }
      }),
    )
    return found.filter((ingest) => ingest !== undefined)
  }

  async discard(key: string): Promise<void> {
    if (this.#ingests.has(ingestName(key))) throw ingestBusy(key)
    await rm(this.#parts.paths.ingest(key), { force: true })
  }

  fetch(blob: ExpectedBlob, source: BlobSource, options: FetchOptions): Promise<Arrival> {
    return this.#transfers.fetch(blob, source, options)
  }

  async remove(digest: string, { keep = false }: { keep?: boolean } = {}): Promise<number> {
    const { paths, failPoint, logger } = this.#parts
    const isKept = keep && !this.#ingests.has(ingestName(digest))
    const grave = isKept ? paths.ingest(digest) : paths.temporary(randomUUID())
    try {
      renameSync(paths.blob(digest), grave)
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return 0
      throw error
    }
    failPoint('content.removed')
    if (isKept) {
      const now = new Date()
      await unlessMissing(utimes(grave, now, now))
      return 0
    }
    const size = (await unlessMissing(stat(grave)))?.size ?? 0
    await rm(grave, { force: true }).catch((error: unknown) => logger.warn('a removed blob waits for the next start', { digest, error: messageOf(error) }))
    return size
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#transfers[Symbol.asyncDispose]()
    await Promise.all(
      [...this.#ingests.values()].map(async (ingest) => {
        await ingest?.[Symbol.asyncDispose]().catch(() => {})
        await ingest?.over
      }),
    )
    await this.#parts.threads[Symbol.asyncDispose]()
  }

  async #writeThroughIngest(bytes: Uint8Array, algorithm: DigestAlgorithm): Promise<string> {
    const ingest = await this.#openIngest(`write-${randomUUID()}`, { algorithm, expectedSize: bytes.length, hashNow: true })
    try {
      await ingest.write(bytes)
      return (await ingest.commit({ algorithm })).digest
    } catch (error) {
      await ingest.discard().catch(() => {})
      throw error
    }
  }

  async #openIngest(key: string, options: OpenIngestOptions): Promise<GrowingIngest> {
    const name = ingestName(key)
    if (this.#isClosed) throw storeClosed()
    if (this.#ingests.has(name)) throw ingestBusy(key)
    this.#ingests.set(name, undefined)
    const file = join(this.#parts.paths.ingestDirectory, name)
    let handle: FileHandle | undefined
    try {
      handle = await this.#openFile(file)
      const { size } = await handle.stat()
      const { threads, failPoint } = this.#parts
      const place = (from: string, digest: string) => this.#place(from, digest)
      const ingest = new FileIngest({ ...options, key, file, handle, bytes: size }, { threads, failPoint, place, release: () => this.#ingests.delete(name) })
      this.#ingests.set(name, ingest)
      return ingest
    } catch (error) {
      this.#ingests.delete(name)
      await handle?.close()
      throw asStorageError(error)
    }
  }

  #openFile(path: string, flags = 0): Promise<FileHandle> {
    return open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | flags, 0o600)
  }

  async #place(file: string, digest: string): Promise<void> {
    const placing = this.#rename(file, digest)
    this.#placing.set(digest, placing)
    try {
      await placing
    } finally {
      if (this.#placing.get(digest) === placing) this.#placing.delete(digest)
    }
  }

  async #rename(file: string, digest: string): Promise<void> {
    const target = this.path(digest)
    await rename(file, target)
    this.#parts.failPoint('content.placed')
    await this.#parts.directories.sync(dirname(target))
    this.#parts.failPoint('content.durable')
  }

  /** Answers for a blob only when its name is durable. */
  async #durableStat(digest: string): Promise<BlobInfo | undefined> {
    const found = await this.stat(digest)
    if (found) await this.#placing.get(digest)
    return found
  }
}

/** Opens a file under a name that does not move; undefined if it is not there. */
async function viewFile(path: string): Promise<FileView | undefined> {
  const handle = await unlessMissing(open(path, 'r'))
  return handle && { file: `/proc/self/fd/${handle.fd}`, [Symbol.asyncDispose]: () => handle.close() }
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}
