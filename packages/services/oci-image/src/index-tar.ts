import { BerthError, messageOf } from '@berth/core'
import { type TarEntry, TarReader } from '@berth/layer-tar'
import { ArchiveNames, type ArchiveNamesOptions } from './archive-names.ts'

const blockSize = 512
/** Headers come in windows of this many bytes, so that many small files cost few reads. */
const windowSize = 64 * 1024

/** Bytes of a file from a position on, at most as many as are asked for. */
export type ReadAt = (position: number, length: number) => Promise<Buffer>

export interface FileExtent {
  /** Byte of the archive at which the content begins. */
  offset: number
  size: number
}

/**
 * Finds what is where in a tar of this size, reading the headers only.
 * @throws `data-loss` for what is no tar, or is cut short; what {@link ArchiveNames} refuses.
 */
export async function indexTar(readAt: ReadAt, size: number, { signal, ...limits }: ArchiveNamesOptions & { signal?: AbortSignal | undefined } = {}): Promise<ArchiveNames<FileExtent>> {
  const names = new ArchiveNames<FileExtent>(limits)
  const blocks = new Blocks(readAt, size)
  let position = 0
  while (position < size) {
    signal?.throwIfAborted()
    const block = await blocks.at(position)
    if (block.every((byte) => byte === 0)) return names
    const { entry, offset } = await readEntry(blocks, position)
    position = offset + Math.ceil(entry.size / blockSize) * blockSize
    if (offset + entry.size > size) throw broken(`${JSON.stringify(entry.name.slice(0, 200))} is cut short`)
    names.add(entry, { offset, size: entry.size })
  }
  return names
}

/** Reads an entry's header with the extended ones before it. A reader of its own, which never sees the content, as contents are skipped. */
async function readEntry(blocks: Blocks, position: number): Promise<{ entry: TarEntry; offset: number }> {
  let entry: TarEntry | undefined
  const reader = new TarReader({ entry: (found) => (entry = found), data: () => {}, end: () => {} })
  let offset = position
  while (entry === undefined) {
    const block = await blocks.at(offset)
    try {
      reader.push(block)
    } catch (error) {
      throw broken(messageOf(error), error)
    }
    offset += blockSize
  }
  return { entry, offset }
}

class Blocks {
  readonly #readAt: ReadAt
  readonly #size: number
  #start = 0
  #window: Buffer = Buffer.alloc(0)

  constructor(readAt: ReadAt, size: number) {
    this.#readAt = readAt
    this.#size = size
  }

  async at(position: number): Promise<Buffer> {
    if (position + blockSize > this.#size) throw broken('it ends too early')
    if (position < this.#start || position + blockSize > this.#start + this.#window.length) {
      this.#window = await this.#readAt(position, Math.min(windowSize, this.#size - position))
      this.#start = position
      if (this.#window.length < blockSize) throw broken('it ends too early')
    }
    return this.#window.subarray(position - this.#start, position - this.#start + blockSize)
  }
}

function broken(what: string, cause?: unknown): BerthError {
  return new BerthError('data-loss', 'ARCHIVE_BROKEN', `the archive of images is broken: ${what}`, { cause })
}
