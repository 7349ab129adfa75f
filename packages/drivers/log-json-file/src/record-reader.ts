import { closeSync, fstatSync, read as readCallback, readSync } from 'node:fs'
import { promisify } from 'node:util'

const readFd = promisify(readCallback)
const blockSize = 64 * 1024
const newline = 0x0a

/** Where the last `count` records of some open files (oldest first) begin. Reads backward from the end, no more than it must. */
export function findTail(files: readonly number[], count: number): { file: number; offset: number } {
  const block = Buffer.alloc(blockSize)
  let missing = count
  for (let file = files.length - 1; file >= 0; file--) {
    const fd = files[file]!
    let end = fstatSync(fd).size
    if (missing === 0) return { file, offset: end }
    // The newline that ends the last record does not begin another.
    end = Math.max(0, end - 1)
    while (end > 0) {
      const start = Math.max(0, end - blockSize)
      const bytes = block.subarray(0, readSync(fd, block, 0, end - start, start))
      for (let at = bytes.lastIndexOf(newline); at >= 0; at = at === 0 ? -1 : bytes.lastIndexOf(newline, at - 1)) if (--missing === 0) return { file, offset: start + at + 1 }
      end = start
    }
    if (fstatSync(fd).size > 0 && --missing === 0) return { file, offset: 0 }
  }
  return { file: 0, offset: 0 }
}

/** The records of one open file from an offset; asked again, those that came since. */
export class RecordReader {
  readonly fd: number
  #offset: number
  #block = Buffer.alloc(blockSize)

  constructor(fd: number, offset = 0) {
    this.fd = fd
    this.#offset = offset
  }

  /** Some whole records as lines of JSON; none at the end of the file. */
  async next(): Promise<string[]> {
    for (;;) {
      const { bytesRead } = await readFd(this.fd, this.#block, 0, this.#block.length, this.#offset)
      // Cut at a newline, so that no character is cut in two; a record longer than the block needs a longer block.
      const end = this.#block.subarray(0, bytesRead).lastIndexOf(newline) + 1
      if (end > 0) {
        this.#offset += end
        return this.#block.toString('utf8', 0, end - 1).split('\n')
      }
      if (bytesRead < this.#block.length) return []
      this.#block = Buffer.alloc(this.#block.length * 2)
    }
  }

  hasMore(): boolean {
    return fstatSync(this.fd).size > this.#offset
  }

  close(): void {
    closeSync(this.fd)
  }
}
