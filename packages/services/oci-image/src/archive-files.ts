import type { ReadOptions } from './image.ts'

/** The files of an image archive or layout, whatever holds them: a directory, a tar that is on disk, one that was spooled into a store. Names are as in the archive, `blobs/sha256/…`, `manifest.json`. */
export interface ArchiveFiles extends Partial<AsyncDisposable> {
  /** Bytes; undefined when there is no such file. Throws `invalid-argument` for a name that leads out of the archive. */
  size(name: string): Promise<number | undefined>
  read(name: string, options?: ReadOptions): AsyncIterable<Uint8Array>
  /** The file's sha256 digest where it is known already, so that it need not be read for it. */
  digest?(name: string): string | undefined
}
