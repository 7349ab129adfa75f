import { BerthError, messageOf } from '@berth/core'
import { maxDocumentSize } from '@berth/oci'
import type { ArchiveFiles } from './archive-files.ts'
import type { ReadOptions } from './image.ts'
import { collect } from './read-document.ts'

/** A small file, whole; undefined when there is none. Throws `invalid-argument` for one that is larger than documents may be. */
export async function readSmallFile(files: ArchiveFiles, name: string, options?: ReadOptions): Promise<Buffer | undefined> {
  const size = await files.size(name)
  if (size === undefined) return undefined
  if (size > maxDocumentSize) throw malformedFile(name, `${size} bytes are more than the limit of ${maxDocumentSize}`)
  return collect(files.read(name, options))
}

/** A JSON file; undefined when there is none. @throws `invalid-argument` */
export async function readJsonFile(files: ArchiveFiles, name: string, options?: ReadOptions): Promise<unknown> {
  const bytes = await readSmallFile(files, name, options)
  if (bytes === undefined) return undefined
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown
  } catch (error) {
    throw new BerthError('invalid-argument', 'ARCHIVE_MALFORMED', `${name}: is not JSON: ${messageOf(error).slice(0, 200)}`, { cause: error })
  }
}

export function malformedFile(name: string, what: string): BerthError {
  return new BerthError('invalid-argument', 'ARCHIVE_MALFORMED', `${name}: ${what}`)
}
