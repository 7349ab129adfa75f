import type { DigestAlgorithm } from './content-store.ts'

/** How the bytes of an ingest reach its file: from the main thread while they are few, from a thread of their own afterwards. */
export interface IngestWriter {
  /** Bytes received; those that a failed write has lost are not counted any more once the failure was thrown. */
  readonly bytes: number
  /** Takes a piece, which the caller may reuse when this settles. Throws what became of this piece or an earlier one. */
  write(chunk: Uint8Array): Promise<void>
  /** Settles when everything is in the file. */
  flush(): Promise<void>
  /** Hexadecimal digest of everything in the file. */
  digest(algorithm: DigestAlgorithm): Promise<string>
  /** Makes the file's content survive a loss of power. */
  sync(): Promise<void>
  /** Lets go of what is beside the file. */
  close(): Promise<void>
}

export interface IngestWriterOptions {
  /** Bytes in the file. */
  bytes: number
  /** What the digest will be asked for, as far as is known. */
  algorithm: DigestAlgorithm
  /** Called with the bytes that are in the file. */
  onWritten: (bytes: number) => void
}
