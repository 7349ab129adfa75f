import { openSync, read as readCallback } from 'node:fs'
import { promisify } from 'node:util'
import type { LogEntry } from '../index.ts'
import { LineCounter } from '../line-counter.ts'
import { LogSource } from './log-source.ts'
import type { RecordFormat } from './record-format.ts'

const readFd = promisify(readCallback)
const firstBlock = 16 * 1024
const largestBlock = 2 * 1024 * 1024

/** Where the last lines of a log begin: entries before `skip` of the source at `index` are left out. `offset` is where reading can begin in a plain one. */
export interface Tail {
  index: number
  offset: number
  skip: number
}

/**
 * Finds the beginning of the last `count` lines of some files, oldest first. Reads backward from the end, no more than it must, but of compressed files all
 * that it comes to. A line counts as a whole, however many entries it was cut into.
 */
export async function findTail(sources: readonly LogSource[], format: RecordFormat, count: number): Promise<Tail> {
  const counter = new LineCounter(count)
  for (let index = sources.length - 1; index >= 0; index--) {
    const source = sources[index]!
    if (source.isCompressed) {
      const skip = await skipInCompressed(source, format, counter)
      if (counter.isFull) return { index, offset: 0, skip }
    } else {
      const offset = await offsetInPlain(source, format, counter)
      if (counter.isFull) return { index, offset, skip: 0 }
    }
  }
  return { index: 0, offset: 0, skip: 0 }
}

async function offsetInPlain({ fd, end }: LogSource, format: RecordFormat, counter: LineCounter): Promise<number> {
  let blockSize = firstBlock
  for (let blockEnd = end.size; blockEnd > 0; ) {
    const start = Math.max(0, blockEnd - blockSize)
    const block = Buffer.allocUnsafeSlow(blockEnd - start)
    await readFd(fd, block, 0, block.length, start)
    let recordEnd = block.length
    for (;;) {
      const recordStart = format.startOfRecord(block, recordEnd) ?? (start === 0 ? 0 : undefined)
      if (recordStart === undefined || recordEnd === 0) break
      const entries: LogEntry[] = []
      format.decode(Buffer.from(block.subarray(recordStart, recordEnd)), entries)
      if (entries[0] && !counter.takes(entries[0])) return start + recordEnd
      recordEnd = recordStart
    }
    if (recordEnd === block.length && start > 0 && blockSize >= largestBlock) return blockEnd // No record ends here.
    blockEnd = start + recordEnd
    blockSize = Math.min(largestBlock, blockSize * 4)
  }
  return 0
}

/** How many entries of a compressed file come before the lines that are wanted. */
async function skipInCompressed({ fd, isCompressed }: LogSource, format: RecordFormat, counter: LineCounter): Promise<number> {
  const source = new LogSource({ fd: openSync(`/proc/self/fd/${fd}`, 'r'), isCompressed }, format)
  try {
    // Of each entry, its stream and whether it ends its line is all that counts.
    const kinds: number[] = []
    for (let entries = await source.next(); entries; entries = await source.next()) {
      for (const { stream, line } of entries) kinds.push((stream === 'stderr' ? 2 : 0) + (line.at(-1) === 0x0a ? 1 : 0))
    }
    for (let index = kinds.length - 1; index >= 0; index--) {
      const kind = kinds[index]!
      if (!counter.takes({ stream: kind & 2 ? 'stderr' : 'stdout', time: 0n, line: kind & 1 ? ended : unended })) return index + 1
    }
    return 0
  } finally {
    source.close()
  }
}

const ended = Buffer.from('\n')
const unended = Buffer.from('x')
