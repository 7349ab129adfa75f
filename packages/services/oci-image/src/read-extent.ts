import type { FileHandle } from 'node:fs/promises'
import type { ReadOptions } from './image.ts'
import type { FileExtent, ReadAt } from './index-tar.ts'

const pieceSize = 256 * 1024

/** Reads an open file by position, so that any number may read it at once. */
export function fileReader(file: FileHandle): ReadAt {
  return async (position, length) => {
    const buffer = Buffer.allocUnsafeSlow(length)
    const { bytesRead } = await file.read(buffer, 0, length, position)
    return buffer.subarray(0, bytesRead)
  }
}

/** A part of a file, piece by piece. Ends early where the file does. */
export async function* readExtent(readAt: ReadAt, { offset, size }: FileExtent, { signal }: ReadOptions = {}): AsyncGenerator<Buffer, void, undefined> {
  let done = 0
  while (done < size) {
    signal?.throwIfAborted()
    const piece = await readAt(offset + done, Math.min(pieceSize, size - done))
    if (piece.length === 0) return
    done += piece.length
    yield piece
  }
}
