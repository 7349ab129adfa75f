import type { Statements } from './statements.ts'

/** What a name is for: a manifest or an index, by digest. */
export interface NamedTarget {
  /** Canonical, with tag or digest: `docker.io/library/busybox:latest`. */
  name: string
  target: string
}

/** An image of a target, and the manifest by which the target leads to it. */
export interface TargetImage {
  imageId: string
  manifest: string
}

/** Names, their targets, and which images of a target are here: of an index one a platform, in the order in which they came. */
export class NameRecords {
  readonly #sql: Statements

  constructor(sql: Statements) {
    this.#sql = sql
  }

  targetOf(name: string): string | undefined {
    return this.#sql.column('SELECT target FROM names WHERE name = ?', name)[0]
  }

  imagesOf(target: string): TargetImage[] {
    return this.#sql
      .all('SELECT image_id, manifest FROM target_images WHERE target = ? ORDER BY rowid', target)
      .map((row) => ({ imageId: String(row['image_id']), manifest: String(row['manifest']) }))
  }

  /** Names of an image. */
  of(imageId: string): string[] {
    return this.#sql.column('SELECT DISTINCT name FROM names JOIN target_images USING (target) WHERE image_id = ? ORDER BY name', imageId)
  }

  /** Names of all images, by their IDs. */
  byImage(): Map<string, string[]> {
    const names = new Map<string, string[]>()
    for (const row of this.#sql.all('SELECT DISTINCT name, image_id FROM names JOIN target_images USING (target) ORDER BY name')) {
      const id = String(row['image_id'])
      const own = names.get(id)
      if (own) own.push(String(row['name']))
      else names.set(id, [String(row['name'])])
    }
    return names
  }

  list(): NamedTarget[] {
    return this.#sql.all('SELECT name, target FROM names ORDER BY name').map((row) => ({ name: String(row['name']), target: String(row['target']) }))
  }

  /** Names in a repository (`docker.io/library/busybox`). */
  in(repository: string): NamedTarget[] {
    return this.#sql
      .all(`SELECT name, target FROM names WHERE substr(name, 1, ?2 + 1) IN (?1 || ':', ?1 || '@') ORDER BY name`, repository, repository.length)
      .map((row) => ({ name: String(row['name']), target: String(row['target']) }))
  }

  /** Names of the images with a layer that came from this blob. */
  withBlob(blob: string): string[] {
    return this.#sql.column(
      `SELECT DISTINCT name FROM names JOIN target_images USING (target) JOIN image_layers USING (image_id) JOIN layers USING (chain_id)
       WHERE blob = ? ORDER BY name`,
      blob,
    )
  }

  /** Gives names to a target, taking them from what has them, and adds images to those of the target that are here. */
  add(names: readonly string[], target: string, images: readonly TargetImage[]): void {
    this.#sql.transact(() => {
      for (const name of names) {
        this.#sql.run('INSERT INTO names (name, target) VALUES (?, ?) ON CONFLICT DO UPDATE SET target = excluded.target', name, target)
      }
      for (const { imageId, manifest } of images) {
        this.#sql.run('INSERT INTO target_images (target, image_id, manifest) VALUES (?, ?, ?) ON CONFLICT DO NOTHING', target, imageId, manifest)
      }
      this.#forgetNameless()
    })
  }

  remove(name: string): void {
    this.#sql.transact(() => {
      this.#sql.run('DELETE FROM names WHERE name = ?', name)
      this.#forgetNameless()
    })
  }

  #forgetNameless(): void {
    this.#sql.run('DELETE FROM target_images WHERE target NOT IN (SELECT target FROM names)')
  }
}
