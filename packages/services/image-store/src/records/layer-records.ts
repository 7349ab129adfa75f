import type { Row, Statements } from './statements.ts'

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

/** Layers by chainID, shared by the images that stand on them. */
export class LayerRecords {
  readonly #sql: Statements

  constructor(sql: Statements) {
    this.#sql = sql
  }

  get(chainId: string): LayerRecord | undefined {
    const row = this.#sql.get('SELECT * FROM layers WHERE chain_id = ?', chainId)
    return row && layerOf(row)
  }

  /** In the order in which they were recorded. */
  list(): LayerRecord[] {
    return this.#sql.all('SELECT * FROM layers ORDER BY rowid').map(layerOf)
  }

  /** The layers of an image, lowest first. */
  of(imageId: string): LayerRecord[] {
    return this.#sql.all('SELECT layers.* FROM image_layers JOIN layers USING (chain_id) WHERE image_id = ? ORDER BY position', imageId).map(layerOf)
  }

  /** Records a layer, or another blob that one came from, which is known to be here. */
  add({ chainId, diffId, blob, blobSize, mediaType, size }: LayerRecord): void {
    this.#sql.run(
      'INSERT INTO layers (chain_id, diff_id, blob, blob_size, media_type, size) VALUES (?, ?, ?, ?, ?, ?) ' +
        'ON CONFLICT DO UPDATE SET blob = excluded.blob, blob_size = excluded.blob_size, media_type = excluded.media_type',
      chainId, diffId, blob, blobSize, mediaType, size,
    ) // prettier-ignore
  }

  remove(chainId: string): void {
    this.#sql.run('DELETE FROM layers WHERE chain_id = ?', chainId)
  }

  /** Bytes of an image's layers, unpacked. */
  size(imageId: string): number {
    return this.#sql.number('SELECT coalesce(sum(size), 0) FROM image_layers JOIN layers USING (chain_id) WHERE image_id = ?', imageId)
  }

  /** Of an image's layers, the bytes that other images have too. */
  sharedSize(imageId: string): number {
    return this.#sql.number(
      `SELECT coalesce(sum(size), 0) FROM layers WHERE chain_id IN (SELECT chain_id FROM image_layers WHERE image_id = ?1)
       AND chain_id IN (SELECT chain_id FROM image_layers WHERE image_id <> ?1)`,
      imageId,
    )
  }

  /** Bytes of the layers of some images, each layer once. */
  sizeOfAll(imageIds: readonly string[]): number {
    return this.#sql.number(
      `SELECT coalesce(sum(size), 0) FROM layers WHERE chain_id IN
         (SELECT chain_id FROM image_layers WHERE image_id IN (SELECT value FROM json_each(?)))`,
      JSON.stringify(imageIds),
    )
  }

  /** Whether an image or a living lease needs the layer. */
  isNeeded(chainId: string): boolean {
    return (
      this.#sql.number(
        `SELECT EXISTS (SELECT 1 FROM image_layers WHERE chain_id = ?1) OR EXISTS (SELECT 1 FROM leased WHERE item = ?1 AND kind = 'layer')`,
        chainId,
      ) === 1
    )
  }

  /** Layers, recorded or held by a dead lease, that nothing needs; the newest first, which are the upper ones. */
  unneeded(): string[] {
    return this.#sql.column(
      `SELECT chain_id FROM (SELECT chain_id, rowid AS age, 0 AS source FROM layers
         UNION ALL SELECT item, lease_items.rowid, 1 FROM lease_items JOIN leases ON leases.id = lease_id WHERE kind = 'layer' AND is_alive = 0)
       WHERE chain_id NOT IN (SELECT chain_id FROM image_layers) AND chain_id NOT IN (SELECT item FROM leased WHERE kind = 'layer')
       ORDER BY source DESC, age DESC`,
    )
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
