import { type TarEntry, type TarHandler, TarReader, contentPadding, encodeEntry, endOfArchive } from '@berth/layer-tar'
import { isEngineDirectory, isEngineFile } from '../life/engine-files.ts'

/** A layer without what the container's start made in it for the engine. Entries are written as they were read. */
export async function* withoutEngineFiles(layer: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const kept = new KeptEntries()
  const reader = new TarReader(kept)
  for await (const chunk of layer) {
    reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    yield* kept.take()
  }
  reader.finish()
  yield* kept.take()
  yield endOfArchive()
}

class KeptEntries implements TarHandler {
  #parts: Buffer[] = []
  #size: number | undefined

  /** What was kept since the last time. */
  take(): Buffer[] {
    const parts = this.#parts
    this.#parts = []
    return parts.length === 0 ? [] : [Buffer.concat(parts)]
  }

  entry(entry: TarEntry): void {
    this.#size = isOfEngine(entry) ? undefined : entry.size
    if (this.#size !== undefined) this.#parts.push(encodeEntry(entry))
  }

  data(bytes: Buffer): void {
    if (this.#size !== undefined) this.#parts.push(bytes)
  }

  hole(length: number): void {
    if (this.#size !== undefined) this.#parts.push(Buffer.alloc(length))
  }

  end(): void {
    if (this.#size !== undefined) this.#parts.push(contentPadding(this.#size))
  }
}

function isOfEngine({ name, type, size }: TarEntry): boolean {
  const path = `/${name.replace(/\/+$/, '')}`
  if (type === 'file') return size === 0 && isEngineFile(path)
  // A directory is made again by what lies in it, with what it has in the image. One that the container has changed by itself keeps that out of this.
  return type === 'directory' && path !== '/etc' && isEngineDirectory(path)
}
