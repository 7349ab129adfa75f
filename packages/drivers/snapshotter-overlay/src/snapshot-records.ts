import { openRecords, transact } from '@berth/core'
import type { SnapshotInfo } from '@berth/snapshotter'

/** A snapshot and the number that names its directory. */
export interface SnapshotRecord extends SnapshotInfo {
  id: number
  /** What {@link SnapshotRecords.setUsage} noted. */
  usage: { bytes: number; inodes: number } | undefined
}

interface Row {
  id: number
  name: string
  kind: 'committed' | 'active'
  parent: string | null
  created: number
  bytes: number | null
  inodes: number | null
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
]

const select = 'SELECT s.id, s.name, s.kind, p.name AS parent, s.created, s.bytes, s.inodes FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent'

/** Which snapshots there are. */
export class SnapshotRecords implements Disposable {
  readonly #db: ReturnType<typeof openRecords>
  readonly #statements

  constructor(path: string) {
    const db = openRecords({ path, migrations })
    this.#db = db
    this.#statements = {
      all: db.prepare(`${select} ORDER BY s.id`),
      byName: db.prepare(`${select} WHERE s.name = ?`),
      child: db.prepare('SELECT name FROM snapshots WHERE parent = ? LIMIT 1'),
      // The snapshot itself first, then its parent, and so on.
      chain: db.prepare(`WITH RECURSIVE chain (id, parent, depth) AS (
          SELECT id, parent, 0 FROM snapshots WHERE id = ? UNION ALL SELECT s.id, s.parent, depth + 1 FROM snapshots s JOIN chain ON s.id = chain.parent
        ) SELECT id FROM chain ORDER BY depth`),
      insert: db.prepare('INSERT INTO snapshots (id, name, kind, parent, created) VALUES (?, ?, ?, (SELECT id FROM snapshots WHERE name = ?), ?)'),
      usage: db.prepare('UPDATE snapshots SET bytes = ?, inodes = ? WHERE id = ?'),
      delete: db.prepare('DELETE FROM snapshots WHERE id = ?'),
    }
  }

  list(): SnapshotRecord[] {
    return (this.#statements.all.all() as unknown as Row[]).map(recordOf)
  }

  find(name: string): SnapshotRecord | undefined {
    const row = this.#statements.byName.get(name) as unknown as Row | undefined
    return row && recordOf(row)
  }

  childOf({ id }: SnapshotRecord): string | undefined {
    return (this.#statements.child.get(id) as { name: string } | undefined)?.name
  }

  /** Numbers of the snapshot, its parent, its parent's parent and so on. */
  chain({ id }: SnapshotRecord): number[] {
    return (this.#statements.chain.all(id) as { id: number }[]).map((row) => row.id)
  }

  /** @param durable Whether the record is on disk when this returns; else it outlives the process only. */
  insert({ id, name, kind, parent, createdAt }: SnapshotInfo & { id: number }, { durable }: { durable: boolean }): void {
    if (durable) this.#db.exec('PRAGMA synchronous = FULL')
    try {
      transact(this.#db, () => this.#statements.insert.run(id, name, kind, parent ?? null, createdAt.getTime()))
    } finally {
      if (durable) this.#db.exec('PRAGMA synchronous = NORMAL')
    }
  }

  setUsage({ id }: SnapshotRecord, { bytes, inodes }: { bytes: number; inodes: number }): void {
    this.#statements.usage.run(bytes, inodes, id)
  }

  delete({ id }: SnapshotRecord): void {
    this.#statements.delete.run(id)
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }
}

function recordOf({ id, name, kind, parent, created, bytes, inodes }: Row): SnapshotRecord {
  const usage = bytes === null || inodes === null ? undefined : { bytes, inodes }
  return { id, name, kind, parent: parent ?? undefined, createdAt: new Date(created), usage }
}
