import { openRecords, RecordsLog, transact } from '@berth/core'
import type { SnapshotInfo } from '@berth/snapshotter'

/** A snapshot and the number that names its directory. */
export interface SnapshotRecord extends SnapshotInfo {
  id: number
  /** What {@link SnapshotRecords.setUsage} noted. */
  usage: { bytes: number; inodes: number } | undefined
  /** The machine went down before the layer was on disk: what its directory holds is not known. */
  isLost: boolean
}

export interface SnapshotRecordsOptions {
  path: string
  /** Of the running kernel, which another start of the machine changes. */
  bootId: string
}

interface Row {
  id: number
  name: string
  kind: 'committed' | 'active'
  parent: string | null
  created: number
  bytes: number | null
  inodes: number | null
  unwritten: string | null
}

const migrations = [
  `CREATE TABLE snapshots (
     id INTEGER PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     kind TEXT NOT NULL,
     parent INTEGER REFERENCES snapshots ON DELETE RESTRICT,
     created INTEGER NOT NULL,
     bytes INTEGER,
     inodes INTEGER
   ) STRICT;
   CREATE INDEX snapshots_by_parent ON snapshots (parent)`,
  // The boot in which a committed snapshot was made, until all of it is on disk.
  'ALTER TABLE snapshots ADD COLUMN unwritten TEXT',
]

const select = 'SELECT s.id, s.name, s.kind, p.name AS parent, s.created, s.bytes, s.inodes, s.unwritten FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent'

/** Which snapshots there are, and which of them are on disk. A record outlives the process; it is on disk after {@link flush}. */
export class SnapshotRecords implements Disposable {
  readonly #db: ReturnType<typeof openRecords>
  readonly #log: RecordsLog
  readonly #bootId: string
  readonly #statements

  constructor({ path, bootId }: SnapshotRecordsOptions) {
    const db = openRecords({ path, migrations })
    this.#db = db
    this.#log = new RecordsLog(path)
    this.#bootId = bootId
    this.#statements = {
      all: db.prepare(`${select} ORDER BY s.id`),
      byName: db.prepare(`${select} WHERE s.name = ?`),
      child: db.prepare('SELECT name FROM snapshots WHERE parent = ? LIMIT 1'),
      // The snapshot itself first, then its parent, and so on.
      chain: db.prepare(`WITH RECURSIVE chain (id, parent, depth) AS (
          SELECT id, parent, 0 FROM snapshots WHERE id = ? UNION ALL SELECT s.id, s.parent, depth + 1 FROM snapshots s JOIN chain ON s.id = chain.parent
        ) ${select.replace('FROM snapshots s', 'FROM chain JOIN snapshots s USING (id)')} ORDER BY depth`),
      insert: db.prepare('INSERT INTO snapshots (id, name, kind, parent, created, unwritten) VALUES (?, ?, ?, (SELECT id FROM snapshots WHERE name = ?), ?, ?)'),
      renew: db.prepare('UPDATE snapshots SET created = ?, bytes = NULL, inodes = NULL, unwritten = ? WHERE id = ?'),
      usage: db.prepare('UPDATE snapshots SET bytes = ?, inodes = ? WHERE id = ?'),
      unwritten: db.prepare('SELECT id FROM snapshots WHERE unwritten = ?'),
      written: db.prepare('UPDATE snapshots SET unwritten = NULL WHERE id = ?'),
      delete: db.prepare('DELETE FROM snapshots WHERE id = ?'),
      prune: db.prepare('DELETE FROM snapshots WHERE unwritten <> ? AND id NOT IN (SELECT parent FROM snapshots WHERE parent IS NOT NULL) RETURNING id'),
    }
  }

  list(): SnapshotRecord[] {
    return (this.#statements.all.all() as unknown as Row[]).map((row) => this.#recordOf(row))
  }

  find(name: string): SnapshotRecord | undefined {
    const row = this.#statements.byName.get(name) as unknown as Row | undefined
    return row && this.#recordOf(row)
  }

  childOf({ id }: SnapshotRecord): string | undefined {
    return (this.#statements.child.get(id) as { name: string } | undefined)?.name
  }

  /** The snapshot, its parent, its parent's parent and so on. */
  chain({ id }: SnapshotRecord): SnapshotRecord[] {
    return (this.#statements.chain.all(id) as unknown as Row[]).map((row) => this.#recordOf(row))
  }

  /** Records a snapshot, or that one that was lost is there again. A committed one counts as not on disk until {@link setWritten}. */
  put({ id, name, kind, parent, createdAt }: SnapshotInfo & { id: number }): void {
    const unwritten = kind === 'committed' ? this.#bootId : null
    transact(this.#db, () => {
      if (this.find(name)) this.#statements.renew.run(createdAt.getTime(), unwritten, id)
      else this.#statements.insert.run(id, name, kind, parent ?? null, createdAt.getTime(), unwritten)
    })
  }

  setUsage({ id }: SnapshotRecord, { bytes, inodes }: { bytes: number; inodes: number }): void {
    this.#statements.usage.run(bytes, inodes, id)
  }

  /** Numbers of what was committed since this start of the machine and is not known to be on disk. */
  unwritten(): number[] {
    return (this.#statements.unwritten.all(this.#bootId) as { id: number }[]).map((row) => row.id)
  }

  setWritten(ids: readonly number[]): void {
    transact(this.#db, () => {
      for (const id of ids) this.#statements.written.run(id)
    })
  }

  delete({ id }: SnapshotRecord): void {
    this.#statements.delete.run(id)
  }

  /** Forgets lost snapshots that nothing stands on. @returns their numbers */
  prune(): number[] {
    const pruned: number[] = []
    for (let found; (found = this.#statements.prune.all(this.#bootId) as { id: number }[]).length > 0; ) pruned.push(...found.map(({ id }) => id))
    return pruned
  }

  /** Settles when what was recorded is on disk. */
  async flush(): Promise<void> {
    await this.#log.sync()
  }

  [Symbol.dispose](): void {
    this.#log[Symbol.dispose]()
    this.#db.close()
  }

  #recordOf({ id, name, kind, parent, created, bytes, inodes, unwritten }: Row): SnapshotRecord {
    const usage = bytes === null || inodes === null ? undefined : { bytes, inodes }
    return { id, name, kind, parent: parent ?? undefined, createdAt: new Date(created), usage, isLost: unwritten !== null && unwritten !== this.#bootId }
  }
}
