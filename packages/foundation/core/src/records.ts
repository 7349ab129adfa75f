import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export interface OpenRecordsOptions {
  /** Path of the database file; its directory is made, 0700. `:memory:` for tests. */
  path: string
  /** SQL scripts, oldest first; each runs once, in a transaction. Never edit one that was released: append. */
  migrations: readonly string[]
  /**
   * `process`: a committed transaction survives kill -9 (the default, no fsync a commit).
   * `power`: it survives power loss too, at the cost of an fsync a commit.
   */
  durability?: 'process' | 'power'
}

/** Pages of the log after which it is written back to the database. It is made to hold more than that, so that it never has to grow. */
const checkpointPages = 500
const reservedBytes = 400_000

/**
 * Opens a service's own SQLite records in WAL mode and brings their schema up to date.
 *
 * Room for changes is taken now, about 3 MB a database: on a disk that is full, what exists can still be changed and removed, and 400 KB of new records fit in.
 */
export function openRecords({ path, migrations, durability = 'process' }: OpenRecordsOptions): DatabaseSync {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const db = new DatabaseSync(path, { timeout: 5000 })
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${durability === 'power' ? 'FULL' : 'NORMAL'}; PRAGMA foreign_keys = ON; PRAGMA cache_size = -512`)
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0)
  for (const [index, migration] of migrations.entries()) {
    if (index < version) continue
    transact(db, () => db.exec(`${migration}; PRAGMA user_version = ${index + 1}`))
  }
  if (path !== ':memory:') reserve(db)
  return db
}

/** Makes free pages in the database and, as each round is appended to it, a log that is overwritten from its beginning from then on. */
function reserve(db: DatabaseSync): void {
  db.exec('PRAGMA wal_autocheckpoint = 0')
  try {
    transact(db, () => db.exec('CREATE TABLE reserve (room BLOB)'))
    for (let pages = 0; pages < checkpointPages; pages += reservedBytes / 4096) {
      transact(db, () => db.exec(`DELETE FROM reserve; INSERT INTO reserve VALUES (zeroblob(${reservedBytes}))`))
    }
  } catch {
    // The disk is full already: what was reserved before has to do.
  }
  try {
    db.exec('DROP TABLE IF EXISTS reserve; PRAGMA wal_checkpoint(PASSIVE)')
  } catch {
    // The next checkpoint will do.
  }
  db.exec(`PRAGMA wal_autocheckpoint = ${checkpointPages}`)
}

/** Runs `work` in one transaction: all of it is recorded, or none. */
export function transact<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    db.exec('COMMIT')
    return result
  } catch (error) {
    db.exec('ROLLBACK')
    throw error
  }
}
