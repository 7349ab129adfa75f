/** Tags of the fields of a `LogEntry` message: their number, and how their value is written. */
export const field = { source: 0x0a, time: 0x10, line: 0x1a, partial: 0x20, metadata: 0x2a } as const

/** In the metadata of a partial message: it is the last of its line. */
export const isLastField = 0x08

/** Bytes of the length before each message, and of the same after it. */
export const lengthBytes = 4

/** Docker takes no longer message either. */
export const maxMessageBytes = 1_000_000
