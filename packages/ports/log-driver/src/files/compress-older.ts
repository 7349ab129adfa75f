import { closeSync, createReadStream, createWriteStream, fstatSync, futimesSync, openSync, renameSync, rmSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { constants, createGzip } from 'node:zlib'
import { newId } from '@berth/core'
import type { FileSet } from './file-set.ts'

/**
 * Compresses older files one after the other until none is left or one could not be; then it stays as it is, and readable. Works in Node's thread pool, while
 * the log goes on: files may be rotated, dropped and deleted meanwhile.
 */
export async function compressOlder(files: FileSet): Promise<void> {
  for (let path = files.uncompressed(); path !== undefined; path = files.uncompressed()) {
    const source = openSync(path, 'r')
    const half = `${files.path}.${newId()}.tmp`
    try {
      const { atime, mtime } = fstatSync(source)
      const target = openSync(half, 'wx', 0o640)
      try {
        await pipeline(
          createReadStream('', { fd: source, autoClose: false, start: 0, highWaterMark: 256 * 1024 }),
          createGzip({ level: constants.Z_BEST_SPEED, chunkSize: 128 * 1024 }),
          createWriteStream('', { fd: target, autoClose: false }),
        )
        futimesSync(target, atime, mtime)
      } finally {
        closeSync(target)
      }
      const name = files.nameOfOlder(source)
      if (name === undefined) continue
      renameSync(half, `${name}.gz`)
      rmSync(name)
    } finally {
      rmSync(half, { force: true })
      closeSync(source)
    }
  }
}
