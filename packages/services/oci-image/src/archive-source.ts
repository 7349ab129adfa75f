import { BerthError } from '@berth/core'
import { type Descriptor, verified } from '@berth/oci'
import type { ArchiveFiles } from './archive-files.ts'
import { blobPath } from './blob-path.ts'
import type { ImageSource, ReadOptions, Root } from './image.ts'
import { once } from './read-document.ts'

export interface ArchiveContent {
  roots: readonly Root[]
  /** Documents that are in no file: manifests of images in a docker-archive. By digest. */
  made?: ReadonlyMap<string, Uint8Array>
  /** Files that are blobs under another name than a layout's. By digest. */
  named?: ReadonlyMap<string, string>
}

/** The images in a set of files. */
export class ArchiveSource implements ImageSource {
  readonly #files: ArchiveFiles
  readonly #content: ArchiveContent

  constructor(files: ArchiveFiles, content: ArchiveContent) {
    this.#files = files
    this.#content = content
  }

  async roots(): Promise<readonly Root[]> {
    return this.#content.roots
  }

  async *blob(descriptor: Descriptor, options?: ReadOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const made = this.#content.made?.get(descriptor.digest)
    const path = this.#path(descriptor)
    if (made === undefined && (await this.#files.size(path)) === undefined) throw new BerthError('not-found', 'BLOB_NOT_FOUND', `${descriptor.digest}: not found in the archive`)
    yield* verified(made ? once(made) : this.#files.read(path, options), descriptor)
  }

  async has(descriptor: Descriptor): Promise<boolean> {
    return this.#content.made?.has(descriptor.digest) === true || (await this.#files.size(this.#path(descriptor))) !== undefined
  }

  #path({ digest }: Descriptor): string {
    return this.#content.named?.get(digest) ?? blobPath(digest)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]?.()
  }
}
