/**
 * A content store: blobs by digest, and nothing else. It does not know which of them are wanted; who does (an image store, a registry) calls
 * {@link ContentStore.remove}.
 *
 * Vocabulary. A *blob* is whole, verified, and on disk as far as the disk tells the truth. An *ingest* is a blob on its way in, named by a key of its
 * writer's. It survives its writer and the process, and is gone on with by opening the same key again.
 *
 * Life cycle. `ingest(key)`, `write`…, `commit`; or `fetch`, which does all that for a blob whose digest is known, and lets callers that want the
 * same one share the transfer. A commit checks digest and size first, makes the bytes and the name durable, and only then answers. After kill -9 at any
 * moment a new store over the same directory has each blob that was acknowledged, no blob that is not whole, and the ingests with the bytes that they had.
 *
 * Must fail: a commit of other bytes than were announced (`data-loss`), which drops the ingest; a second writer of one key (`conflict`); a digest
 * that is none (`invalid-argument`), before anything is touched; reading what is not here (`not-found`); a full disk (`resource-exhausted`), which
 * leaves the ingest as it was before that piece.
 */
export interface ContentStore extends AsyncDisposable {
  /** Where the blob's file is, or would be; for readers in other threads. */
  path(digest: string): string
  stat(digest: string): Promise<BlobInfo | undefined>
  list(): Promise<BlobInfo[]>
  /** The blob's bytes, opened before the first is asked for, so that a removal meanwhile cuts nobody off. Not verified again. */
  read(digest: string, options?: ReadOptions): AsyncIterable<Uint8Array>
  /**
   * A manifest, an index or a config (at most `maxDocumentSize` of `@berth/oci`), verified once more.
   * @throws `not-found`; `data-loss` when the disk has changed it.
   */
  readDocument(digest: string): Promise<Buffer>
  /** Stores bytes that are in memory; sha256 unless told otherwise. Answers with the digest. */
  write(bytes: Uint8Array, options?: { algorithm?: DigestAlgorithm }): Promise<string>
  /** Opens an ingest, or goes on with the one that has this key. One writer at a time. */
  ingest(key: string): Promise<Ingest>
  ingests(): Promise<IngestInfo[]>
  /** Drops an ingest that nobody writes (`conflict` otherwise). Nothing there is well too. */
  discard(key: string): Promise<void>
  /**
   * Makes a blob be here: at once if it is, by joining whoever fetches it, or by reading `source` from where an earlier try broke off. Bytes kept from an
   * earlier try that prove wrong are dropped and fetched once more. The transfer ends when the last of its callers has gone; what came is kept.
   */
  fetch(blob: ExpectedBlob, source: BlobSource, options: FetchOptions): Promise<Arrival>
  /**
   * Takes a blob away in the same turn of the event loop. With `keep` its bytes become the ingest that a later `fetch` of it goes on from.
   * @returns bytes that came free.
   */
  remove(digest: string, options?: { keep?: boolean }): Promise<number>
}

export type DigestAlgorithm = 'sha256' | 'sha384' | 'sha512'

export interface BlobInfo {
  digest: string
  /** Bytes. */
  size: number
}

export interface ReadOptions {
  /** Bytes to leave out at the beginning. */
  offset?: number | undefined
  /** At most so many bytes. */
  length?: number | undefined
  signal?: AbortSignal | undefined
}

/** What a blob must be. */
export interface ExpectedBlob {
  digest: string
  /** Bytes. */
  size: number
}

/** Opens the blob's bytes from an offset on; the signal ends them. */
export type BlobSource = (offset: number, signal: AbortSignal) => AsyncIterable<Uint8Array>

export interface FetchOptions {
  signal: AbortSignal
  /** Bytes received so far, those of earlier tries included. */
  onProgress?: ((bytes: number) => void) | undefined
}

/** A blob that is here or on its way. Disposing it is this caller's leaving: the transfer ends if nobody else waits. */
export interface Arrival extends AsyncDisposable {
  /** A file with what has come so far, to be opened while the arrival is not disposed; who has opened it may read on afterwards. */
  readonly file: string
  /** Bytes that can be read from the file so far, in growing numbers, the last one the blob's size; throws what ends the transfer early. */
  growth(): AsyncIterable<number>
  /** Settles when the blob is whole, verified and durable; rejects with what the source throws, or `data-loss`. */
  readonly done: Promise<void>
}

export interface IngestInfo {
  key: string
  /** Bytes received. */
  bytes: number
  updatedAt: Date
}

/** A blob being written. Disposing it without a commit keeps what came, for another try, and throws when the last pieces cannot be kept. */
export interface Ingest extends AsyncDisposable {
  readonly key: string
  /** Bytes received; where the next piece goes. */
  readonly bytes: number
  /** Appends a piece. Settles when the next may come, which bounds what waits in memory; the caller may reuse the piece then. */
  write(chunk: Uint8Array): Promise<void>
  /** Ends the ingest as a blob. Without a digest it is computed (sha256, or the algorithm that is named). */
  commit(expected?: { digest?: string | undefined; size?: number | undefined; algorithm?: DigestAlgorithm | undefined }): Promise<BlobInfo>
  /** Drops it. */
  discard(): Promise<void>
}
