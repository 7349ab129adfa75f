import type { Statements } from './statements.ts'

export interface DocumentRecord {
  digest: string
  mediaType: string
  /** Bytes. */
  size: number
}

/** Manifests and indexes in the content store, and the blobs that they keep there. */
export class DocumentRecords {
  readonly #sql: Statements

  constructor(sql: Statements) {
    this.#sql = sql
  }

  get(digest: string): DocumentRecord | undefined {
    const row = this.#sql.get('SELECT * FROM documents WHERE digest = ?', digest)
    return row && { digest, mediaType: String(row['media_type']), size: Number(row['size']) }
  }

  list(): DocumentRecord[] {
    return this.#sql
      .all('SELECT * FROM documents')
      .map((row) => ({ digest: String(row['digest']), mediaType: String(row['media_type']), size: Number(row['size']) }))
  }

  /** Records a document with the blobs that are to stay as long as it does. */
  add({ digest, mediaType, size }: DocumentRecord, children: readonly string[]): void {
    this.#sql.transact(() => {
      this.#sql.run('INSERT INTO documents (digest, media_type, size) VALUES (?, ?, ?) ON CONFLICT DO NOTHING', digest, mediaType, size)
      for (const child of children) this.#sql.run('INSERT INTO content_refs (parent, child) VALUES (?, ?) ON CONFLICT DO NOTHING', digest, child)
    })
  }

  childrenOf(digest: string): string[] {
    return this.#sql.column('SELECT child FROM content_refs WHERE parent = ?', digest)
  }

  forgetAllBut(needed: ReadonlySet<string>): void {
    for (const { digest } of this.list()) if (!needed.has(digest)) this.#sql.run('DELETE FROM documents WHERE digest = ?', digest)
  }

  /** Manifests that images came by and that are not recorded as documents: those of older stores. */
  missing(): string[] {
    return this.#sql.column('SELECT DISTINCT manifest FROM images WHERE manifest NOT IN (SELECT digest FROM documents)')
  }

  /** Marks: every blob that a name, an image (or the containers on one that is gone), a layer or a living lease needs, and what documents among these keep. */
  needed(): Set<string> {
    return new Set(
      this.#sql.column(
        `WITH RECURSIVE live (digest) AS (
           SELECT target FROM names UNION SELECT manifest FROM target_images UNION SELECT manifest FROM images UNION SELECT id FROM images
           UNION SELECT id FROM gone_images UNION SELECT blob FROM layers UNION SELECT item FROM leased WHERE kind = 'blob'
           UNION SELECT child FROM content_refs JOIN live ON parent = digest)
         SELECT digest FROM live`,
      ),
    )
  }
}
