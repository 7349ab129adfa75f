import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import { newId, openRecords, transact } from '@berth/core'

const migrations = [
  `
  CREATE TABLE images (
    id TEXT PRIMARY KEY,
    manifest TEXT NOT NULL,
    os TEXT NOT NULL,
    architecture TEXT NOT NULL,
    variant TEXT,
    created_ms INTEGER,
    labels TEXT NOT NULL,
    last_tag_ms INTEGER
  ) STRICT;
  CREATE TABLE layers (
    chain_id TEXT PRIMARY KEY,
    diff_id TEXT NOT NULL,
    blob TEXT NOT NULL,
    blob_size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE image_layers (
    image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
    position INTEGER NOT NULL,
    chain_id TEXT NOT NULL REFERENCES layers,
    PRIMARY KEY (image_id, position)
  ) STRICT;
  CREATE INDEX image_layers_chain ON image_layers (chain_id);
  CREATE TABLE names (name TEXT PRIMARY KEY, image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE) STRICT;
  CREATE INDEX names_image ON names (image_id);
  CREATE TABLE leases (id TEXT PRIMARY KEY, purpose TEXT NOT NULL, started_ms INTEGER NOT NULL, is_alive INTEGER NOT NULL) STRICT;
  CREATE VIEW leased AS SELECT kind, item FROM lease_items JOIN leases ON leases.id = lease_id WHERE is_alive = 1;
  CREATE TABLE lease_items (
    lease_id TEXT NOT NULL REFERENCES leases ON DELETE CASCADE,
    kind TEXT NOT NULL,
    item TEXT NOT NULL,
    PRIMARY KEY (lease_id, kind, item)
  ) STRICT;
  CREATE INDEX lease_items_item ON lease_items (item);
  `,
]

export interface ImageRecord {
  /** Digest of the config. */
  id: string
  /** Digest of the manifest by which it came or will go. */
  manifest: string
  os: string
  architecture: string
  variant: string | undefined
  /** Milliseconds since the epoch. */
  createdMs: number | undefined
  labels: Record<string, string>
  lastTagMs: number | undefined
}

/** An unpacked layer and the blob that it came from. */
export interface LayerRecord {
  chainId: string
  diffId: string
  blob: string
  blobSize: number
  mediaType: string
  /** Bytes on disk, unpacked. */
  size: number
}

export type LeaseKind = 'blob' | 'layer'

type Row = Record<string, SQLOutputValue>

/** Images, their layers, their names and the leases of work in progress. Every method is one transaction. */
export class ImageRecords implements Disposable {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  constructor(path: string) {
    this.#db = openRecords({ path, migrations, durability: 'power' })
  }

  [Symbol.dispose](): void {
    this.#statements.clear()
    this.#db.close()
  }

  image(id: string): ImageRecord | undefined {
    const row = this.#sql('SELECT * FROM images WHERE id = ?').get(id)
    return row && imageOf(row)
  }

  images(): ImageRecord[] {
    return this.#sql('SELECT * FROM images ORDER BY created_ms DESC, id').all().map(imageOf)
  }

  /** IDs that begin with a prefix of hexadecimal digits, two at most: enough to tell one from many. */
  idsByPrefix(prefix: string): string[] {
    return this.#column('SELECT id FROM images WHERE id >= ? AND id < ? LIMIT 2', `sha256:${prefix}`, `sha256:${prefix}g`)
  }

  count(): number {
    return Number(this.#sql('SELECT count(*) AS n FROM images').get()?.['n'])
  }

  /** The layers of an image, lowest first. */
  layersOf(imageId: string): LayerRecord[] {
    return this.#sql('SELECT layers.* FROM image_layers JOIN layers USING (chain_id) WHERE image_id = ? ORDER BY position').all(imageId).map(layerOf)
  }

  layer(chainId: string): LayerRecord | undefined {
    const row = this.#sql('SELECT * FROM layers WHERE chain_id = ?').get(chainId)
    return row && layerOf(row)
  }

  layers(): LayerRecord[] {
    return this.#sql('SELECT * FROM layers').all().map(layerOf)
  }

  /** Of an image's layers, the bytes that other images have too. */
  sharedSize(imageId: string): number {
    const row = this.#sql(
      `SELECT coalesce(sum(size), 0) AS n FROM layers WHERE chain_id IN (SELECT chain_id FROM image_layers WHERE image_id = ?1)
       AND chain_id IN (SELECT chain_id FROM image_layers WHERE image_id <> ?1)`,
    ).get(imageId)
    return Number(row?.['n'])
  }

  size(imageId: string): number {
    return Number(this.#sql('SELECT coalesce(sum(size), 0) AS n FROM image_layers JOIN layers USING (chain_id) WHERE image_id = ?').get(imageId)?.['n'])
  }

  imageOfName(name: string): string | undefined {
    return this.#column('SELECT image_id FROM names WHERE name = ?', name)[0]
  }

  /** Canonical names of an image, with tag or digest. */
  namesOf(imageId: string): string[] {
    return this.#column('SELECT name FROM names WHERE image_id = ? ORDER BY name', imageId)
  }

  /** Names in a repository (`docker.io/library/busybox`) with their images. */
  namesIn(repository: string): { name: string; imageId: string }[] {
    return this.#sql(`SELECT name, image_id FROM names WHERE substr(name, 1, ?2 + 1) IN (?1 || ':', ?1 || '@') ORDER BY name`)
      .all(repository, repository.length)
      .map((row) => ({ name: String(row['name']), imageId: String(row['image_id']) }))
  }

  /** Names of the images with a layer that came from this blob. */
  namesWithBlob(blob: string): string[] {
    return this.#column('SELECT DISTINCT name FROM names JOIN image_layers USING (image_id) JOIN layers USING (chain_id) WHERE blob = ? ORDER BY name', blob)
  }

  allNames(): Map<string, string[]> {
    const names = new Map<string, string[]>()
    for (const row of this.#sql('SELECT name, image_id FROM names ORDER BY name').all()) {
      const id = String(row['image_id'])
      names.set(id, [...(names.get(id) ?? []), String(row['name'])])
    }
    return names
  }

  /** Records an image with its layers, gives it names, and ends the lease under which it was made. */
  addImage(image: ImageRecord, layers: readonly LayerRecord[], names: readonly string[], leaseId: string): void {
    transact(this.#db, () => {
      this.#sql(
        `INSERT INTO images (id, manifest, os, architecture, variant, created_ms, labels, last_tag_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING`,
      ).run(
        image.id,
        image.manifest,
        image.os,
        image.architecture,
        image.variant ?? null,
        image.createdMs ?? null,
        JSON.stringify(image.labels),
        image.lastTagMs ?? null,
      )
      for (const [position, layer] of layers.entries()) {
        this.#sql('INSERT INTO layers (chain_id, diff_id, blob, blob_size, media_type, size) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING').run(
          layer.chainId,
          layer.diffId,
          layer.blob,
          layer.blobSize,
          layer.mediaType,
          layer.size,
        )
        this.#sql('INSERT INTO image_layers (image_id, position, chain_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING').run(image.id, position, layer.chainId)
      }
      for (const name of names) this.#name(name, image.id)
      this.#sql('DELETE FROM leases WHERE id = ?').run(leaseId)
    })
  }

  addNames(names: readonly string[], imageId: string): void {
    transact(this.#db, () => {
      for (const name of names) this.#name(name, imageId)
    })
  }

  touchTag(imageId: string, nowMs: number): void {
    this.#sql('UPDATE images SET last_tag_ms = ? WHERE id = ?').run(nowMs, imageId)
  }

  removeName(name: string): void {
    this.#sql('DELETE FROM names WHERE name = ?').run(name)
  }

  /** Forgets an image with its names; its layers stay until they are collected. */
  removeImage(id: string): void {
    this.#sql('DELETE FROM images WHERE id = ?').run(id)
  }

  removeLayer(chainId: string): void {
    this.#sql('DELETE FROM layers WHERE chain_id = ?').run(chainId)
  }

  openLease(purpose: string): string {
    const id = newId()
    this.#sql('INSERT INTO leases (id, purpose, started_ms, is_alive) VALUES (?, ?, ?, 1)').run(id, purpose, Date.now())
    return id
  }

  addToLease(leaseId: string, kind: LeaseKind, items: readonly string[]): void {
    transact(this.#db, () => {
      for (const item of items) {
        this.#sql('INSERT INTO lease_items (lease_id, kind, item) VALUES (?, ?, ?) ON CONFLICT DO NOTHING').run(leaseId, kind, item)
      }
    })
  }

  /** Lets a lease protect nothing any more. It still names what it held, until {@link forgetDeadLeases}. */
  endLease(leaseId: string): void {
    this.#sql('UPDATE leases SET is_alive = 0 WHERE id = ?').run(leaseId)
  }

  /** At the start: whatever was under way is not any more. */
  endAllLeases(): void {
    this.#sql('UPDATE leases SET is_alive = 0').run()
  }

  /** Forgets dead leases, except those with a layer of `remaining`. */
  forgetDeadLeases(remaining: readonly string[]): void {
    this.#sql(
      `DELETE FROM leases WHERE is_alive = 0 AND NOT EXISTS (
         SELECT 1 FROM lease_items WHERE lease_id = leases.id AND kind = 'layer' AND item IN (SELECT value FROM json_each(?)))`,
    ).run(JSON.stringify(remaining))
  }

  /** Whether an image or a living lease needs the layer. */
  isLayerNeeded(chainId: string): boolean {
    const row = this.#sql(
      `SELECT EXISTS (SELECT 1 FROM image_layers WHERE chain_id = ?1) OR EXISTS (SELECT 1 FROM leased WHERE item = ?1 AND kind = 'layer') AS needed`,
    ).get(chainId)
    return row?.['needed'] === 1
  }

  /** Layers, recorded or held by a dead lease, that nothing needs; the newest first, which are the upper ones. */
  unneededLayers(): string[] {
    return this.#column(
      `SELECT chain_id FROM (SELECT chain_id, rowid AS age, 0 AS source FROM layers
         UNION ALL SELECT item, lease_items.rowid, 1 FROM lease_items JOIN leases ON leases.id = lease_id WHERE kind = 'layer' AND is_alive = 0)
       WHERE chain_id NOT IN (SELECT chain_id FROM image_layers) AND chain_id NOT IN (SELECT item FROM leased WHERE kind = 'layer')
       ORDER BY source DESC, age DESC`,
    )
  }

  /** Every blob that a layer, an image or a lease needs. */
  neededBlobs(): Set<string> {
    return new Set(
      this.#column(`SELECT blob FROM layers UNION SELECT id FROM images UNION SELECT manifest FROM images UNION SELECT item FROM leased WHERE kind = 'blob'`),
    )
  }

  #name(name: string, imageId: string): void {
    this.#sql('INSERT INTO names (name, image_id) VALUES (?, ?) ON CONFLICT DO UPDATE SET image_id = excluded.image_id').run(name, imageId)
  }

  #column(sql: string, ...parameters: (string | number)[]): string[] {
    return this.#sql(sql)
      .all(...parameters)
      .map((row) => String(Object.values(row)[0]))
  }

  #sql(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (!statement) this.#statements.set(sql, (statement = this.#db.prepare(sql)))
    return statement
  }
}

function imageOf(row: Row): ImageRecord {
  return {
    id: String(row['id']),
    manifest: String(row['manifest']),
    os: String(row['os']),
    architecture: String(row['architecture']),
    variant: row['variant'] === null ? undefined : String(row['variant']),
    createdMs: row['created_ms'] === null ? undefined : Number(row['created_ms']),
    labels: JSON.parse(String(row['labels'])) as Record<string, string>,
    lastTagMs: row['last_tag_ms'] === null ? undefined : Number(row['last_tag_ms']),
  }
}

function layerOf(row: Row): LayerRecord {
  return {
    chainId: String(row['chain_id']),
    diffId: String(row['diff_id']),
    blob: String(row['blob']),
    blobSize: Number(row['blob_size']),
    mediaType: String(row['media_type']),
    size: Number(row['size']),
  }
}
