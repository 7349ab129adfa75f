import { createHash, type Hash, randomBytes } from 'node:crypto'
import { constants, mkdirSync, renameSync } from 'node:fs'
import { type FileHandle, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BerthError, isErrno, isKind } from '@berth/core'
import { digestOf, maxDocumentSize, parseDigest } from '@berth/oci'
import { BatchedWriter } from './batched-writer.ts'
import { SharedRuns } from './shared-runs.ts'

/** How long an unfinished download waits to be resumed. */
const partialLifetimeMs = 24 * 60 * 60 * 1000

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
  /** Bytes on disk so far. */
  onProgress?: ((bytes: number) => void) | undefined
  /** All bytes are there and are being checked. */
  onVerify?: (() => void) | undefined
}

/**
 * Blobs by digest, in `content/<algorithm>/<hex>`; a file there is whole and was verified. What is under way lies in `ingest/`, and what was
 * cut off stays there for a day, to be resumed. Which blobs are still wanted is not known here: see `collect.ts`.
 */
export class ContentStore {
  readonly #root: string
  readonly #downloads = new SharedRuns<void, number>()

  constructor(root: string) {
    this.#root = root
    for (const directory of ['content/sha256', 'ingest']) mkdirSync(join(root, directory), { recursive: true, mode: 0o700 })
  }

  path(digest: string): string {
    const { algorithm, encoded } = parseDigest(digest)
    return join(this.#root, 'content', algorithm, encoded)
  }

  /** Bytes of the blob, or undefined if it is not here. */
  async size(digest: string): Promise<number | undefined> {
    return sizeOf(this.path(digest))
  }

  /**
   * A document (a manifest, a config), checked once more.
   * @throws `not-found`; `data-loss` if the disk has changed it.
   */
  async read(digest: string): Promise<Buffer> {
    const size = await this.size(digest)
    if (size === undefined) throw new BerthError('not-found', 'CONTENT_NOT_FOUND', `content ${digest} is not here`)
    if (size > maxDocumentSize) throw new BerthError('invalid-argument', 'CONTENT_TOO_LARGE', `content ${digest} is no document: ${size} bytes`)
    const bytes = await readFile(this.path(digest))
    if (digestOf(bytes, parseDigest(digest).algorithm) !== digest) throw damaged(digest)
    return bytes
  }

  /** Stores a document. Call {@link sync} before relying on it. */
  async write(bytes: Uint8Array): Promise<string> {
    const digest = digestOf(bytes)
    const temporary = this.temporaryPath()
    await writeFile(temporary, bytes, { mode: 0o600 })
    await rename(temporary, this.path(digest))
    return digest
  }

  /** A fresh file name in `ingest/`, removed at the next start if it is not adopted. */
  temporaryPath(): string {
    return join(this.#root, 'ingest', `temporary-${randomBytes(8).toString('hex')}`)
  }

  /** Takes over a file whose digest the caller has computed. */
  async adopt(path: string, digest: string): Promise<void> {
    mkdirSync(join(this.#root, 'content', parseDigest(digest).algorithm), { recursive: true, mode: 0o700 })
    await rename(path, this.path(digest))
  }

  /**
   * Makes the blob be here. Callers that want the same one share a download, which stops when the last of them has gone.
   * @throws `data-loss` for content that is not what was expected, which leaves nothing; else what the source throws, which leaves what can be resumed.
   */
  async fetch(blob: ExpectedBlob, source: BlobSource, { signal, onProgress, onVerify }: FetchOptions): Promise<void> {
    for (;;) {
      const isFirst = !this.#downloads.has(blob.digest)
      try {
        await this.#downloads.join(
          blob.digest,
          async (shared, report) => this.#download(blob, source, shared, report),
          { signal, onProgress },
        )
        onVerify?.()
        return
      } catch (error) {
        // Another caller's registry or credentials failed, not this one's.
        if (isFirst || signal.aborted) throw error
      }
    }
  }

  /** Makes blobs and their names survive a loss of power. */
  async sync(digests: readonly string[]): Promise<void> {
    const directories = new Set<string>()
    await Promise.all(
      digests.map(async (digest) => {
        directories.add(join(this.#root, 'content', parseDigest(digest).algorithm))
        await syncPath(this.path(digest))
      }),
    )
    for (const directory of directories) await syncPath(directory)
  }

  async list(): Promise<string[]> {
    const contentRoot = join(this.#root, 'content')
    const digests = await Promise.all(
      (await readdir(contentRoot)).map(async (algorithm) => (await readdir(join(contentRoot, algorithm))).map((hex) => `${algorithm}:${hex}`)),
    )
    return digests.flat()
  }

  /**
   * Takes a blob away, in the same turn of the event loop; with `keep` it becomes a download to resume.
   * @returns bytes freed, when they are.
   */
  remove(digest: string, { keep }: { keep: boolean }): Promise<number> {
    const grave = keep ? this.#partialPath(digest) : this.temporaryPath()
    try {
      renameSync(this.path(digest), grave)
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return Promise.resolve(0)
      throw error
    }
    return keep ? Promise.resolve(0) : discard(grave)
  }

  /** Removes what no process is writing any more: all temporary files at the start, and partial downloads that are too old. */
  async expire({ atStart }: { atStart: boolean }): Promise<void> {
    const ingest = join(this.#root, 'ingest')
    for (const name of await readdir(ingest)) {
      const path = join(ingest, name)
      if (name.startsWith('temporary-')) {
        if (atStart) await discard(path)
        continue
      }
      if (this.#downloads.has(name.replace('-', ':'))) continue
      const info = await stat(path).catch(() => undefined)
      if (info && Date.now() - info.mtimeMs > partialLifetimeMs) await discard(path)
    }
  }

  #partialPath(digest: string): string {
    const { algorithm, encoded } = parseDigest(digest)
    return join(this.#root, 'ingest', `${algorithm}-${encoded}`)
  }

  async #download(blob: ExpectedBlob, source: BlobSource, signal: AbortSignal, report: (bytes: number) => void): Promise<void> {
    if ((await this.size(blob.digest)) !== undefined) return
    const partial = this.#partialPath(blob.digest)
    try {
      const resumed = await receive(partial, blob, source, signal, report)
      // What was kept from an earlier try may be what is wrong: once more from the start.
      if (resumed === 'mismatch-resumed') {
        await rm(partial, { force: true })
        if ((await receive(partial, blob, source, signal, report)) !== 'verified') throw damaged(blob.digest)
      } else if (resumed !== 'verified') {
        throw damaged(blob.digest)
      }
    } catch (error) {
      // A lie is not worth keeping, and nothing is nothing to go on from.
      if (isKind(error, 'data-loss') || !(await sizeOf(partial))) await rm(partial, { force: true })
      throw error
    }
    await this.adopt(partial, blob.digest)
  }
}

/** Completes a partial file and says whether its content is the blob's. */
async function receive(
  partial: string,
  { digest, size }: ExpectedBlob,
  source: BlobSource,
  signal: AbortSignal,
  report: (bytes: number) => void,
): Promise<'verified' | 'mismatch' | 'mismatch-resumed'> {
  const { algorithm } = parseDigest(digest)
  const handle = await open(partial, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  try {
    const hash = createHash(algorithm)
    const start = await resumePoint(handle, size)
    if (start > 0) await hashStart(handle, hash, start, signal)
    let received = start
    if (received < size) {
      const writer = new BatchedWriter(handle, received)
      try {
        for await (const chunk of source(received, signal)) {
          signal.throwIfAborted()
          received += chunk.length
          if (received > size) throw new BerthError('data-loss', 'BLOB_TOO_LONG', `content of ${digest} is longer than its ${size} bytes`)
          hash.update(chunk)
          await writer.write(chunk)
          report(received)
        }
      } finally {
        await writer.flush()
      }
    }
    signal.throwIfAborted()
    if (received < size) throw new BerthError('unavailable', 'BLOB_TRUNCATED', `content of ${digest} ended after ${received} of ${size} bytes`)
    if (`${algorithm}:${hash.digest('hex')}` === digest) return 'verified'
    return start > 0 ? 'mismatch-resumed' : 'mismatch'
  } finally {
    await handle.close()
  }
}

async function resumePoint(handle: FileHandle, size: number): Promise<number> {
  const present = (await handle.stat()).size
  if (present <= size) return present
  await handle.truncate(0)
  return 0
}

async function hashStart(handle: FileHandle, hash: Hash, end: number, signal: AbortSignal): Promise<void> {
  const buffer = Buffer.allocUnsafe(256 * 1024)
  for (let position = 0; position < end; ) {
    signal.throwIfAborted()
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, end - position), position)
    if (bytesRead === 0) throw new BerthError('unavailable', 'BLOB_TRUNCATED', 'a partial download shrank while it was read')
    hash.update(buffer.subarray(0, bytesRead))
    position += bytesRead
  }
}

function damaged(digest: string): BerthError {
  return new BerthError('data-loss', 'DIGEST_MISMATCH', `content of ${digest} could not be verified: it has another digest`)
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}

async function discard(path: string): Promise<number> {
  const size = (await sizeOf(path)) ?? 0
  await rm(path, { force: true, recursive: true })
  return size
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
