import { randomUUID } from 'node:crypto'
import type { ContentStore, Ingest } from '@berth/content-store'
import { isKind } from '@berth/core'
import type { Blobs } from './blobs.ts'
import { RegistryProblem } from './registry-problem.ts'
import type { RegistryRecords } from './registry-records.ts'

export interface UploadsOptions {
  records: RegistryRecords
  content: ContentStore
  blobs: Blobs
  /** Bytes. */
  maxBlobSize: number
  /** Milliseconds. */
  lifetime: number
}

/** A part of an upload as it comes in. */
export interface UploadPart {
  source: AsyncIterable<Uint8Array>
  /** Where its sender believes the upload to stand. */
  start?: number | undefined
}

/** Blobs on their way in: ingests of the content store, whose keys are the uploads' UUIDs. They survive restarts, and are dropped when they are too old. */
export class Uploads {
  readonly #options: UploadsOptions
  /** Those that a request is writing. */
  readonly #busy = new Map<string, Ingest>()

  constructor(options: UploadsOptions) {
    this.#options = options
  }

  async begin(repository: string): Promise<string> {
    await this.expire()
    const id = randomUUID()
    this.#options.records.addUpload(id, repository)
    return id
  }

  /** Bytes received so far. */
  async size(id: string, repository: string): Promise<number> {
    const busy = this.#check(id, repository)
    if (busy) return busy.bytes
    await using upload = await this.#open(id, repository)
    return upload.ingest.bytes
  }

  /** Adds bytes, of which those that came before a connection broke are kept. Answers with the bytes received so far. */
  async append(id: string, repository: string, part: UploadPart): Promise<number> {
    await using upload = await this.#open(id, repository)
    await this.#receive(upload.ingest, part)
    return upload.ingest.bytes
  }

  /** Adds bytes and makes the upload a blob of its repository, if it is what its sender says; else drops it. */
  async finish(id: string, repository: string, { digest, ...part }: UploadPart & { digest: string }): Promise<void> {
    const { records, blobs } = this.#options
    await using upload = await this.#open(id, repository)
    await this.#receive(upload.ingest, part)
    try {
      await blobs.add(repository, digest, () => upload.ingest.commit({ digest }))
    } catch (error) {
      if (!isKind(error, 'data-loss')) throw error
      records.removeUpload(id)
      throw new RegistryProblem(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content')
    }
    records.removeUpload(id)
  }

  async cancel(id: string, repository: string): Promise<void> {
    if (this.#check(id, repository)) throw busy()
    this.#options.records.removeUpload(id)
    await this.#options.content.discard(id)
  }

  /** Drops what is too old and not being written. */
  async expire(): Promise<void> {
    const { records, content, lifetime } = this.#options
    for (const id of records.uploadsBefore(Date.now() - lifetime)) {
      if (this.#busy.has(id)) continue
      records.removeUpload(id)
      await content.discard(id)
    }
  }

  /** Drops ingests without a record: a process was killed between the two. */
  async removeUnclaimed(): Promise<void> {
    for (const { key } of await this.#options.content.ingests()) {
      if (this.#options.records.uploadRepository(key) === undefined) await this.#options.content.discard(key)
    }
  }

  #check(id: string, repository: string): Ingest | undefined {
    if (this.#options.records.uploadRepository(id) !== repository) throw new RegistryProblem(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry')
    return this.#busy.get(id)
  }

  async #open(id: string, repository: string): Promise<AsyncDisposable & { ingest: Ingest }> {
    if (this.#check(id, repository)) throw busy()
    const ingest = await this.#options.content.ingest(id).catch((error: unknown) => {
      throw isKind(error, 'conflict') ? busy() : error
    })
    this.#busy.set(id, ingest)
    return {
      ingest,
      [Symbol.asyncDispose]: async () => {
        this.#busy.delete(id)
        await ingest[Symbol.asyncDispose]()
      },
    }
  }

  async #receive(ingest: Ingest, { source, start }: UploadPart): Promise<void> {
    const { maxBlobSize } = this.#options
    if (start !== undefined && start !== ingest.bytes) {
      throw new RegistryProblem(416, 'RANGE_INVALID', `the upload has ${ingest.bytes} bytes, and this part begins at ${start}`, { Range: rangeOf(ingest.bytes) })
    }
    for await (const chunk of source) {
      if (ingest.bytes + chunk.length > maxBlobSize) throw new RegistryProblem(413, 'SIZE_INVALID', `blobs of more than ${maxBlobSize} bytes are not taken`)
      await ingest.write(chunk)
    }
  }
}

/** How much of an upload is here, as its clients read it. */
export function rangeOf(size: number): string {
  return `0-${Math.max(size - 1, 0)}`
}

function busy(): RegistryProblem {
  return new RegistryProblem(409, 'BLOB_UPLOAD_INVALID', 'another request is writing to this upload')
}
