import type { LogEntry, LogStream } from '../index.ts'

/** How entries stand in the files of a {@link FileLog}. What a container writes is content, and can never be taken for the frame of a record. */
export interface RecordFormat {
  /** Records of a run of whole lines, each with its newline and no longer than an entry may be. */
  encodeLines(stream: LogStream, time: bigint, lines: Buffer): Buffer
  /** The record of one entry, which may lack its newline. */
  encodeEntry(stream: LogStream, time: bigint, entry: Buffer): Buffer
  /**
   * Adds the entries of the whole records that a block begins with, and gives how many bytes they take. What is no record is passed over.
   * The block is the decoder's to change and the entries' to keep.
   */
  decode(block: Buffer, entries: LogEntry[]): number
  /** Where in the block the record begins that ends at `end`; undefined when that is before the block. */
  startOfRecord(block: Buffer, end: number): number | undefined
  /** How many bytes of an open file are whole records, when its writer may have been killed in the middle of one. */
  wholeSize(fd: number): number
}
