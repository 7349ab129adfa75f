import type { Row, Statements } from './statements.ts'

export interface ImageRecord {
  /** Digest of the config. */
  id: string
  /** Digest of the manifest by which it came or will go. */
  manifest: string
  /** The image that it was made of here by a commit. That one may be gone. */
  parent?: string | undefined
  os: string
  architecture: string
  variant: string | undefined
  /** Milliseconds since the epoch. */
  createdMs: number | undefined
  labels: Record<string, string>
  lastTagMs: number | undefined
}

/** The images that are here, by ID. */
export class ImageRecords {
  readonly #sql: Statements

  constructor(sql: Statements) {
    this.#sql = sql
  }

  get(id: string): ImageRecord | undefined {
    const row = this.#sql.get('SELECT * FROM images WHERE id = ?', id)
    return row && imageOf(row)
  }

  /** Newest first. */
  list(): ImageRecord[] {
    return this.#sql.all('SELECT * FROM images ORDER BY created_ms DESC, id').map(imageOf)
  }

  /** IDs that begin with a prefix of hexadecimal digits, two at most: enough to tell one from many. */
  idsByPrefix(prefix: string): string[] {
    return this.#sql.column('SELECT id FROM images WHERE id >= ? AND id < ? LIMIT 2', `sha256:${prefix}`, `sha256:${prefix}g`)
  }

  count(): number {
    return this.#sql.number('SELECT count(*) FROM images')
  }

  hasChildren(id: string): boolean {
    return this.#sql.number('SELECT EXISTS (SELECT 1 FROM images WHERE parent = ?)', id) === 1
  }

  /** Records an image over layers that are recorded, lowest first. One that is here already stays as it is. */
  add(image: ImageRecord, chainIds: readonly string[]): void {
    this.#sql.transact(() => {
      this.#sql.run('DELETE FROM gone_images WHERE id = ?', image.id)
      this.#sql.run(
        `INSERT INTO images (id, manifest, parent, os, architecture, variant, created_ms, labels, last_tag_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING`,
        image.id,
        image.manifest,
        image.parent ?? null,
        image.os,
        image.architecture,
        image.variant ?? null,
        image.createdMs ?? null,
        JSON.stringify(image.labels),
        image.lastTagMs ?? null,
      )
      for (const [position, chainId] of chainIds.entries()) {
        this.#sql.run('INSERT INTO image_layers (image_id, position, chain_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING', image.id, position, chainId)
      }
    })
  }

  touchTag(id: string, nowMs: number): void {
    this.#sql.run('UPDATE images SET last_tag_ms = ? WHERE id = ?', nowMs, id)
  }

  /** IDs of images that are gone, and whose configs stay for what is made of the containers on them. */
  gone(): string[] {
    return this.#sql.column('SELECT id FROM gone_images')
  }

  /** Forgets an image, and the names that no other image has; its layers stay until they are collected, and with `keepConfig` its config as long as they do. */
  remove(id: string, { keepConfig = false }: { keepConfig?: boolean } = {}): void {
    this.#sql.transact(() => {
      this.#sql.run('DELETE FROM gone_images WHERE id = ?', id)
      if (keepConfig) this.#sql.run('INSERT INTO gone_images SELECT image_id, chain_id FROM image_layers WHERE image_id = ? ORDER BY position DESC LIMIT 1', id)
      this.#sql.run('DELETE FROM images WHERE id = ?', id)
      this.#sql.run('DELETE FROM names WHERE target NOT IN (SELECT target FROM target_images)')
    })
  }
}

function imageOf(row: Row): ImageRecord {
  return {
    id: String(row['id']),
    manifest: String(row['manifest']),
    parent: row['parent'] === null ? undefined : String(row['parent']),
    os: String(row['os']),
    architecture: String(row['architecture']),
    variant: row['variant'] === null ? undefined : String(row['variant']),
    createdMs: row['created_ms'] === null ? undefined : Number(row['created_ms']),
    labels: JSON.parse(String(row['labels'])) as Record<string, string>,
    lastTagMs: row['last_tag_ms'] === null ? undefined : Number(row['last_tag_ms']),
  }
}
