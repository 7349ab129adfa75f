/** The most bytes of one line that an entry holds. */
export const maxEntryBytes = 16 * 1024

const newline = 0x0a

/** Makes entries of chunks: lines with their newline, cut where they are too long. What is left waits for the next chunk. */
export class LineSplitter {
  /** The beginning of a line that has no end yet. */
  pending: Buffer = Buffer.alloc(0)

  /** Whole entries of a chunk as one run of bytes, if none of its lines is too long; undefined else. Faster than `split`. */
  takeLines(chunk: Uint8Array): Buffer | undefined {
    const bytes = this.#withPending(chunk)
    const end = bytes.lastIndexOf(newline) + 1
    if (end === 0 || bytes.length - end >= maxEntryBytes) return undefined
    for (let start = 0; start < end; ) {
      const next = bytes.indexOf(newline, start) + 1
      if (next - start > maxEntryBytes) return undefined
      start = next
    }
    this.pending = Buffer.from(bytes.subarray(end))
    return bytes.subarray(0, end)
  }

  split(chunk: Uint8Array): Buffer[] {
    const bytes = this.#withPending(chunk)
    const entries: Buffer[] = []
    let start = 0
    for (;;) {
      const end = bytes.indexOf(newline, start) + 1
      if (end === 0 ? bytes.length - start < maxEntryBytes : end - start <= maxEntryBytes) {
        if (end === 0) break
        entries.push(bytes.subarray(start, end))
        start = end
      } else {
        const cut = characterBoundary(bytes, start + maxEntryBytes)
        entries.push(bytes.subarray(start, cut))
        start = cut
      }
    }
    // A copy: chunks belong to who gave them.
    this.pending = Buffer.from(bytes.subarray(start))
    return entries
  }

  /** The unfinished line, which is taken as it is. */
  flush(): Buffer {
    const rest = this.pending
    this.pending = Buffer.alloc(0)
    return rest
  }

  #withPending(chunk: Uint8Array): Buffer {
    return this.pending.length ? Buffer.concat([this.pending, chunk]) : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
  }
}

/** The last place up to `end` where no UTF-8 character is cut in two. */
function characterBoundary(bytes: Buffer, end: number): number {
  let cut = end
  while (end - cut < 3 && ((bytes[cut] ?? 0) & 0xc0) === 0x80) cut--
  return ((bytes[cut] ?? 0) & 0xc0) === 0x80 ? end : cut
}
