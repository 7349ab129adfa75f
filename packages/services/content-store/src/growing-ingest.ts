import type { DigestAlgorithm, Ingest } from './content-store.ts'

/** An ingest that somebody reads while it is written. */
export interface GrowingIngest extends Ingest {
  /** Its file now. */
  readonly file: string
  /** Called with the bytes that can be read from the file. */
  onWritten: ((bytes: number) => void) | undefined
}

export interface OpenIngestOptions {
  /** What the digest will be asked for. */
  algorithm: DigestAlgorithm
  /** Bytes that are expected in all. */
  expectedSize: number
  /** Whether what is there from an earlier session is hashed at once, beside what comes. */
  hashNow: boolean
}
