import { readdir, readFile, stat } from 'node:fs/promises'
import { BerthError, isErrno } from '@berth/core'
import { digestOf, isDigest, maxDocumentSize, parseDigest } from '@berth/oci'
import { contentNotFound, digestMismatch } from './content-errors.ts'
import { algorithms, ContentPaths } from './content-paths.ts'
import type { BlobInfo, ContentStore } from './content-store.ts'
import { readBlobFile } from './read-file.ts'

/** The part of a store that changes nothing. */
export type ContentReader = Pick<ContentStore, 'path' | 'stat' | 'list' | 'read' | 'readDocument'>

/** The blobs of a store for who may only read: takes no lock, makes no file, needs no right but that of reading. May stand beside the store's owner. */
export function readContent(root: string): ContentReader {
  const paths = new ContentPaths(root)
  const sizeOf = async (digest: string): Promise<BlobInfo | undefined> => {
    try {
      return { digest, size: (await stat(paths.blob(digest))).size }
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined
      throw error
    }
  }
  return {
    path: (digest) => paths.blob(digest),
    stat: sizeOf,
    async list() {
      const digests = await Promise.all(
        paths.contentDirectories().map(async (directory, index) => (await namesIn(directory)).map((name) => `${algorithms[index]}:${name}`).filter(isDigest)),
      )
      const found = await Promise.all(digests.flat().map(sizeOf))
      return found.filter((blob) => blob !== undefined)
    },
    read: (digest, options = {}) => readBlobFile(paths.blob(digest), digest, options),
    async readDocument(digest) {
      const blob = await sizeOf(digest)
      if (!blob) throw contentNotFound(digest)
      if (blob.size > maxDocumentSize) throw new BerthError('invalid-argument', 'CONTENT_TOO_LARGE', `content ${digest} is no document: ${blob.size} bytes`)
      const bytes = await readFile(paths.blob(digest)).catch((error: unknown) => {
        throw isErrno(error, 'ENOENT') ? contentNotFound(digest) : error
      })
      if (digestOf(bytes, parseDigest(digest).algorithm) !== digest) throw digestMismatch(digest)
      return bytes
    },
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return []
    throw error
  }
}
