import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { readContent } from '@berth/content-store'
import { BerthError, RecordsLog } from '@berth/core'
import type { ImageSource } from '@berth/oci-image'
import { recordsOver } from './records/open-image-records.ts'
import { migrations } from './records/schema.ts'
import { Statements } from './records/statements.ts'
import { storeSource } from './store-source.ts'

/**
 * Opens the images of a store to be read, also beside the process that owns it: takes no lock, writes nothing, and needs no right but that of reading its files.
 * What the owner removes meanwhile is `not-found` when it is read.
 * @param root The store's directory.
 * @throws `not-found` when there is no store; `invalid-argument` for one that another version of this package wrote.
 */
export async function openImages(root: string): Promise<ImageSource> {
  const path = join(root, 'images.db')
  if (!existsSync(path)) throw new BerthError('not-found', 'NO_IMAGE_STORE', `there is no image store in ${root}`)
  const db = openForReading(path)
  const records = recordsOver(new Statements(db), new RecordsLog(path))
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'])
  if (version !== migrations.length) {
    records[Symbol.dispose]()
    throw new BerthError('invalid-argument', 'IMAGE_STORE_VERSION', `the image store in ${root} is of version ${version}, this is for version ${migrations.length}`)
  }
  return {
    ...storeSource({ records, content: readContent(root) }),
    async [Symbol.asyncDispose]() {
      records[Symbol.dispose]()
    },
  }
}

/**
 * While an owner is there, or was killed, its log and shared memory file let readers see a whole state. Without them all is in the database, which is read as it
 * lies there, so that no such file is made.
 */
function openForReading(path: string): DatabaseSync {
  if (existsSync(`${path}-wal`)) return new DatabaseSync(path, { readOnly: true, timeout: 5000 })
  const url = pathToFileURL(path)
  url.searchParams.set('immutable', '1')
  return new DatabaseSync(url, { readOnly: true })
}
