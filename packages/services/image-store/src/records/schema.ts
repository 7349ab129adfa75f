/** SQL scripts of the store's records, oldest first. A released one is never edited. */
export const migrations = [
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
  // A name is for a target, a manifest or an index, of which several images may be here, one a platform.
  `
  CREATE TABLE target_images (
    target TEXT NOT NULL,
    image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
    manifest TEXT NOT NULL,
    PRIMARY KEY (target, image_id)
  ) STRICT;
  CREATE INDEX target_images_image ON target_images (image_id);
  CREATE TABLE name_targets (name TEXT PRIMARY KEY, target TEXT NOT NULL) STRICT;
  INSERT INTO name_targets
    SELECT name, CASE instr(name, '@') WHEN 0 THEN manifest ELSE substr(name, instr(name, '@') + 1) END FROM names JOIN images ON images.id = image_id;
  INSERT OR IGNORE INTO target_images SELECT target, image_id, manifest FROM name_targets JOIN names USING (name) JOIN images ON images.id = image_id;
  DROP TABLE names;
  ALTER TABLE name_targets RENAME TO names;
  CREATE INDEX names_target ON names (target);
  ALTER TABLE images ADD COLUMN parent TEXT;
  CREATE TABLE documents (digest TEXT PRIMARY KEY, media_type TEXT NOT NULL, size INTEGER NOT NULL) STRICT;
  CREATE TABLE content_refs (
    parent TEXT NOT NULL REFERENCES documents ON DELETE CASCADE,
    child TEXT NOT NULL,
    PRIMARY KEY (parent, child)
  ) STRICT, WITHOUT ROWID;
  `,
  // Images that are gone while containers stand on them: the config stays as long as the topmost layer.
  `
  CREATE TABLE gone_images (id TEXT PRIMARY KEY, chain_id TEXT NOT NULL REFERENCES layers ON DELETE CASCADE) STRICT;
  CREATE INDEX gone_images_chain ON gone_images (chain_id);
  `,
]
