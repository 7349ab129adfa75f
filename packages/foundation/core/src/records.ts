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

/** Opens a service's own SQLite records in WAL mode and brings their schema up to date. */
export function openRecords({ path, migrations, durability = 'process' }: OpenRecordsOptions): DatabaseSync {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const db = new DatabaseSync(path, { timeout: 5000 })
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${durability === 'power' ? 'FULL' : 'NORMAL'}; PRAGMA foreign_keys = ON; PRAGMA cache_size = -512`)
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0)
  for (const [index, migration] of migrations.entries()) {
    if (index < version) continue
    transact(db, () => db.exec(`${migration}; PRAGMA user_version = ${index + 1}`))
  }
  return db
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
