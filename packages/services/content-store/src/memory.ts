import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BerthError } from '@berth/core'
import { digestOf, maxDocumentSize, parseDigest } from '@berth/oci'
import { contentNotFound, digestMismatch, ingestBusy, ingestOver, sizeMismatch } from './content-errors.ts'
import { ingestName } from './content-paths.ts'
import type { Arrival, BlobInfo, BlobSource, ContentStore, DigestAlgorithm, ExpectedBlob, FetchOptions, Ingest, IngestInfo, ReadOptions } from './content-store.ts'
import type { GrowingIngest } from './growing-ingest.ts'
import { Transfers } from './transfer.ts'

/**
 * A content store for tests, remembered only as long as it lives. Who asks for a path gets a file in a temporary directory, made then and removed when
 * the store is disposed; what arrives grows in one step, at its end.
 */
export function memoryContent(): ContentStore {
  return new MemoryContent()
}

interface KeptIngest {
  content: Buffer
  updatedAt: Date
  isOpen: boolean
}

class MemoryContent implements ContentStore {
  readonly #blobs = new Map<string, Buffer>()
  readonly #ingests = new Map<string, KeptIngest>()
  readonly #transfers = new Transfers({
    stat: (digest) => this.stat(digest),
    viewBlob: async (digest) => ({ file: this.path(digest), async [Symbol.asyncDispose]() {} }),
    viewIngest: async ({ file }) => ({ file, async [Symbol.asyncDispose]() {} }),
    openIngest: async (key) => this.#openIngest(key),
  })
  #directory: string | undefined

  path(digest: string): string {
    const { encoded } = parseDigest(digest)
    const path = join(this.#files(), encoded)
    const content = this.#blobs.get(digest)
    if (content) writeFileSync(path, content)
    else rmSync(path, { force: true })
    return path
  }

  async stat(digest: string): Promise<BlobInfo | undefined> {
    parseDigest(digest)
    const content = this.#blobs.get(digest)
    return content && { digest, size: content.length }
  }

  async list(): Promise<BlobInfo[]> {
    return [...this.#blobs].map(([digest, { length }]) => ({ digest, size: length }))
  }

  read(digest: string, { offset = 0, length = Infinity, signal }: ReadOptions = {}): AsyncIterable<Uint8Array> {
    parseDigest(digest)
    const content = this.#blobs.get(digest)
    return (async function* () {
      signal?.throwIfAborted()
      if (!content) throw contentNotFound(digest)
      if (length > 0 && offset < content.length) yield content.subarray(offset, offset + length)
    })()
  }

  async readDocument(digest: string): Promise<Buffer> {
    parseDigest(digest)
    const content = this.#blobs.get(digest)
    if (!content) throw contentNotFound(digest)
    if (content.length > maxDocumentSize) throw new BerthError('invalid-argument', 'CONTENT_TOO_LARGE', `content ${digest} is no document: ${content.length} bytes`)
    return content
  }

  async write(bytes: Uint8Array, { algorithm = 'sha256' }: { algorithm?: DigestAlgorithm } = {}): Promise<string> {
    const digest = digestOf(bytes, algorithm)
    this.#blobs.set(digest, Buffer.from(bytes))
    return digest
  }

  async ingest(key: string): Promise<Ingest> {
    return this.#openIngest(key)
  }

  async ingests(): Promise<IngestInfo[]> {
    return [...this.#ingests].map(([key, { content, updatedAt }]) => ({ key, bytes: content.length, updatedAt }))
  }

  async discard(key: string): Promise<void> {
    if (this.#ingests.get(key)?.isOpen) throw ingestBusy(key)
    this.#ingests.delete(key)
  }

  fetch(blob: ExpectedBlob, source: BlobSource, options: FetchOptions): Promise<Arrival> {
    return this.#transfers.fetch(blob, source, options)
  }

  async remove(digest: string, { keep = false }: { keep?: boolean } = {}): Promise<number> {
    parseDigest(digest)
    const content = this.#blobs.get(digest)
    if (!content) return 0
    this.#blobs.delete(digest)
    if (!keep || this.#ingests.get(digest)?.isOpen) return content.length
    this.#ingests.set(digest, { content, updatedAt: new Date(), isOpen: false })
    return 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transfers[Symbol.asyncDispose]()
    if (this.#directory !== undefined) rmSync(this.#directory, { recursive: true })
    this.#directory = undefined
  }

  #files(): string {
    return (this.#directory ??= mkdtempSync(join(tmpdir(), 'berth-content-')))
  }

  #openIngest(key: string): GrowingIngest {
    ingestName(key)
    const kept = this.#ingests.get(key) ?? { content: Buffer.alloc(0), updatedAt: new Date(), isOpen: false }
    if (kept.isOpen) throw ingestBusy(key)
    kept.isOpen = true
    this.#ingests.set(key, kept)
    return new MemoryIngest(key, kept, {
      file: join(this.#files(), randomUUID()),
      commit: (digest) => this.#blobs.set(digest, kept.content),
      forget: () => this.#ingests.delete(key),
    })
  }
}

class MemoryIngest implements GrowingIngest {
  readonly key: string
  readonly file: string
  onWritten: ((bytes: number) => void) | undefined
  readonly #kept: KeptIngest
  readonly #commit: (digest: string) => void
  readonly #forget: () => void
  #isOver = false

  constructor(key: string, kept: KeptIngest, { file, commit, forget }: { file: string; commit: (digest: string) => void; forget: () => void }) {
    this.key = key
    this.file = file
    this.#kept = kept
    this.#commit = commit
    this.#forget = forget
    writeFileSync(file, '')
  }

  get bytes(): number {
    return this.#kept.content.length
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#checkOpen()
    this.#kept.content = Buffer.concat([this.#kept.content, chunk])
    this.#kept.updatedAt = new Date()
  }

  async commit({ digest, size, algorithm }: { digest?: string | undefined; size?: number | undefined; algorithm?: DigestAlgorithm | undefined } = {}): Promise<BlobInfo> {
    this.#checkOpen()
    const wanted = digest === undefined ? (algorithm ?? 'sha256') : parseDigest(digest).algorithm
    this.#end()
    if (size !== undefined && size !== this.bytes) throw sizeMismatch(digest ?? this.key, this.bytes, size)
    const actual = digestOf(this.#kept.content, wanted)
    if (digest !== undefined && actual !== digest) throw digestMismatch(digest)
    this.#commit(actual)
    writeFileSync(this.file, this.#kept.content)
    this.onWritten?.(this.bytes)
    return { digest: actual, size: this.bytes }
  }

  async discard(): Promise<void> {
    this.#checkOpen()
    this.#end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return
    if (this.bytes === 0) this.#forget()
    this.#isOver = true
    this.#kept.isOpen = false
  }

  #end(): void {
    this.#isOver = true
    this.#forget()
  }

  #checkOpen(): void {
    if (this.#isOver) throw ingestOver(this.key)
  }
}

