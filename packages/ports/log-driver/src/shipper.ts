import type { LogEntry } from './index.ts'

/** An entry as it is sent. */
export interface ShippedEntry extends Pick<LogEntry, 'stream' | 'time'> {
  /** Content without the newline that ended it. */
  text: Uint8Array
  /** Of a line that was too long for one entry: the same ID for all its parts, their number from 1, and whether it is the last. */
  partial?: { id: string; ordinal: number; last: boolean }
}

/** Where the entries of one container go. It connects when it has something to send, and again when its peer is back. */
export interface Shipper {
  /** In order. Settles when the peer has them, as far as its protocol can tell; fails when it does not have all of them: then they are brought again, from the first. */
  send(entries: readonly ShippedEntry[], signal: AbortSignal): Promise<void>
  /** Milliseconds to wait after so many failures in a row, or `give-up` to drop what could not be sent. Without it: twice as long each time, up to 15 seconds. */
  retryDelay?(failures: number): number | 'give-up'
  close(): void
}
