import type { SQLOutputValue } from 'node:sqlite'
import { openRecords, transact } from '@berth/core'
import type { Descriptor } from '@berth/oci'

export interface StoredManifest {
  mediaType: string
  bytes: Uint8Array
}

export interface NewManifest extends StoredManifest {
  repository: string
  digest: string
  tag: string | undefined
  /** The digest of the manifest that this one says something about. */
  subject: string | undefined
  artifactType: string | undefined
  annotations: Record<string, string> | undefined
}

/** A part of a sorted list. */
export interface Page {
  /** At most so many. */
  count: number
  /** Only what sorts behind this. */
  after: string
}

export interface RegistryRecords extends Disposable {
  hasBlob(repository: string, digest: string): boolean
  /** Whether any repository has it. */
  isBlobNeeded(digest: string): boolean
  /** Gives the repository the blob, or says that it is used once more. */
  addBlob(repository: string, digest: string): void
  removeBlob(repository: string, digest: string): void
  /** Somebody has asked for the blob. Cheap when that was so a short while ago, too. */
  useBlob(repository: string, digest: string): void
  blobsUnusedSince(repository: string, timeMs: number): string[]
  /** False if the blob was used meanwhile. */
  removeBlobUnusedSince(repository: string, digest: string, timeMs: number): boolean
  repositoriesWithBlobs(): string[]
  manifestDigests(repository: string): string[]
  manifest(repository: string, digest: string): StoredManifest | undefined
  digestOfTag(repository: string, tag: string): string | undefined
  putManifest(manifest: NewManifest): void
  /** Takes the manifest away with its tags; false if there is none. */
  removeManifest(repository: string, digest: string): boolean
  removeTag(repository: string, tag: string): boolean
  hasRepository(repository: string): boolean
  tags(repository: string, page: Page): string[]
  repositories(page: Page): string[]
  /** Descriptors of the manifests whose subject this is. */
  referrers(repository: string, subject: string): Descriptor[]
  addUpload(id: string, repository: string): void
  uploadRepository(id: string): string | undefined
  removeUpload(id: string): void
  /** Uploads that were begun before a time. */
  uploadsBefore(timeMs: number): string[]
}

const migrations = [
  `CREATE TABLE blobs (repository TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (repository, digest)) STRICT, WITHOUT ROWID;
   CREATE INDEX blobs_by_digest ON blobs (digest);
   CREATE TABLE manifests (
     repository TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, bytes BLOB NOT NULL,
     subject TEXT, artifact_type TEXT, annotations TEXT, PRIMARY KEY (repository, digest)) STRICT;
   CREATE INDEX manifests_by_subject ON manifests (repository, subject);
   CREATE TABLE tags (
     repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (repository, tag),
     FOREIGN KEY (repository, digest) REFERENCES manifests ON DELETE CASCADE) STRICT, WITHOUT ROWID;
   CREATE INDEX tags_by_digest ON tags (repository, digest);
   CREATE TABLE uploads (id TEXT PRIMARY KEY, repository TEXT NOT NULL, started INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
  `ALTER TABLE blobs ADD COLUMN used INTEGER NOT NULL DEFAULT 0`,
]

/** Milliseconds within which a second use of a blob is not recorded. */
const usePrecision = 60_000

/** What the registry knows of repositories, tags, manifests and uploads. What was acknowledged survives a loss of power. */
export function openRegistryRecords(path: string): RegistryRecords {
  const db = openRecords({ path, migrations, durability: 'power' })
  const sql = {
    blob: db.prepare('SELECT 1 FROM blobs WHERE repository = ? AND digest = ?'),
    anyBlob: db.prepare('SELECT 1 FROM blobs WHERE digest = ? LIMIT 1'),
    addBlob: db.prepare('INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)'),
    useBlob: db.prepare('UPDATE blobs SET used = ? WHERE repository = ? AND digest = ? AND used < ?'),
    unusedBlobs: db.prepare('SELECT digest FROM blobs WHERE repository = ? AND used <= ?'),
    removeUnusedBlob: db.prepare('DELETE FROM blobs WHERE repository = ? AND digest = ? AND used <= ?'),
    repositoriesWithBlobs: db.prepare('SELECT DISTINCT repository FROM blobs'),
    manifestDigests: db.prepare('SELECT digest FROM manifests WHERE repository = ?'),
    removeBlob: db.prepare('DELETE FROM blobs WHERE repository = ? AND digest = ?'),
    manifest: db.prepare('SELECT media_type, bytes FROM manifests WHERE repository = ? AND digest = ?'),
    tag: db.prepare('SELECT digest FROM tags WHERE repository = ? AND tag = ?'),
    putManifest: db.prepare(
      `INSERT INTO manifests VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
       SET media_type = excluded.media_type, subject = excluded.subject, artifact_type = excluded.artifact_type, annotations = excluded.annotations`,
    ),
    putTag: db.prepare('INSERT OR REPLACE INTO tags VALUES (?, ?, ?)'),
    removeManifest: db.prepare('DELETE FROM manifests WHERE repository = ? AND digest = ?'),
    removeTag: db.prepare('DELETE FROM tags WHERE repository = ? AND tag = ?'),
    repository: db.prepare('SELECT 1 FROM manifests WHERE repository = ? LIMIT 1'),
    tags: db.prepare('SELECT tag FROM tags WHERE repository = ? AND tag > ? ORDER BY tag LIMIT ?'),
    repositories: db.prepare('SELECT DISTINCT repository FROM manifests WHERE repository > ? ORDER BY repository LIMIT ?'),
    referrers: db.prepare(
      `SELECT media_type, digest, length(bytes) AS size, artifact_type, annotations FROM manifests WHERE repository = ? AND subject = ? ORDER BY digest LIMIT 1000`,
    ),
    addUpload: db.prepare('INSERT INTO uploads VALUES (?, ?, ?)'),
    upload: db.prepare('SELECT repository FROM uploads WHERE id = ?'),
    removeUpload: db.prepare('DELETE FROM uploads WHERE id = ?'),
    uploadsBefore: db.prepare('SELECT id FROM uploads WHERE started < ?'),
  }
  const text = (value: SQLOutputValue | undefined) => (typeof value === 'string' ? value : undefined)
  return {
    hasBlob: (repository, digest) => sql.blob.get(repository, digest) !== undefined,
    isBlobNeeded: (digest) => sql.anyBlob.get(digest) !== undefined,
    addBlob: (repository, digest) => void sql.addBlob.run(repository, digest, Date.now()),
    removeBlob: (repository, digest) => void sql.removeBlob.run(repository, digest),
    useBlob: (repository, digest) => void sql.useBlob.run(Date.now(), repository, digest, Date.now() - usePrecision),
    blobsUnusedSince: (repository, timeMs) => sql.unusedBlobs.all(repository, timeMs).map((row) => String(row['digest'])),
    removeBlobUnusedSince: (repository, digest, timeMs) => sql.removeUnusedBlob.run(repository, digest, timeMs).changes > 0,
    repositoriesWithBlobs: () => sql.repositoriesWithBlobs.all().map((row) => String(row['repository'])),
    manifestDigests: (repository) => sql.manifestDigests.all(repository).map((row) => String(row['digest'])),
    manifest(repository, digest) {
      const row = sql.manifest.get(repository, digest)
      return row && { mediaType: String(row['media_type']), bytes: row['bytes'] as Uint8Array }
    },
    digestOfTag: (repository, tag) => text(sql.tag.get(repository, tag)?.['digest']),
    putManifest({ repository, digest, mediaType, bytes, tag, subject, artifactType, annotations }) {
      transact(db, () => {
        sql.putManifest.run(repository, digest, mediaType, bytes, subject ?? null, artifactType ?? null, annotations ? JSON.stringify(annotations) : null)
        if (tag !== undefined) sql.putTag.run(repository, tag, digest)
      })
    },
    removeManifest: (repository, digest) => sql.removeManifest.run(repository, digest).changes > 0,
    removeTag: (repository, tag) => sql.removeTag.run(repository, tag).changes > 0,
    hasRepository: (repository) => sql.repository.get(repository) !== undefined,
    tags: (repository, { count, after }) => sql.tags.all(repository, after, count).map((row) => String(row['tag'])),
    repositories: ({ count, after }) => sql.repositories.all(after, count).map((row) => String(row['repository'])),
    referrers: (repository, subject) =>
      sql.referrers.all(repository, subject).map((row) => ({
        mediaType: String(row['media_type']),
        digest: String(row['digest']),
        size: Number(row['size']),
        artifactType: text(row['artifact_type']),
        annotations: row['annotations'] === null ? undefined : (JSON.parse(String(row['annotations'])) as Record<string, string>),
      })),
    addUpload: (id, repository) => void sql.addUpload.run(id, repository, Date.now()),
    uploadRepository: (id) => text(sql.upload.get(id)?.['repository']),
    removeUpload: (id) => void sql.removeUpload.run(id),
    uploadsBefore: (timeMs) => sql.uploadsBefore.all(timeMs).map((row) => String(row['id'])),
    [Symbol.dispose]: () => db.close(),
  }
}
