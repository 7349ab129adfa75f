/**
 * The snapshotter port: what an image store asks of whatever holds layers as file systems.
 *
 * Vocabulary. A *committed* snapshot is an immutable layer chain, named by its chainID; an *active* snapshot is writable,
 * named by a container's ID, and stands on a committed parent (or on nothing). Names and keys share one space of names.
 *
 * Life cycle. `apply` unpacks one layer over its parent and commits the result; `prepare` makes an active snapshot;
 * `mounts` says how to mount it; `remove` deletes a snapshot that nothing stands on. Everything is recorded: after
 * kill -9 a new instance over the same directory knows each snapshot that was acknowledged, and removes what was not.
 *
 * Loss of power. A committed snapshot that was acknowledged may be gone when the machine is up again: `stat` then says `not-found`, and
 * so does what needs it, or `unavailable`. What stands on it is still there, and can be used when `apply` has made the one of that name again. Whoever has the
 * layers' blobs on disk does that before anything else.
 *
 * Must fail: an unknown name (`not-found`); a name that exists, for `prepare` (`already-exists`); removing a snapshot that has children
 * (`conflict`); a layer whose content is not its diffId (`data-loss`), which leaves nothing behind.
 */
export interface Snapshotter extends AsyncDisposable {
  /** `overlay`, `erofs`, …; shown as the storage driver. */
  readonly name: string
  /**
   * Unpacks a layer over `parent` and commits it as `name`. A name that exists is answered at once; calls for one name join. The parent may be one
   * whose own `apply` was called and is under way: both are unpacked side by side, this one is committed after it, and fails as it fails.
   */
  apply(name: string, layer: LayerBlob, options?: ApplyOptions): Promise<SnapshotInfo>
  prepare(key: string, options?: { parent?: string | undefined; signal?: AbortSignal }): Promise<SnapshotInfo>
  /** The mounts, in order, that make the snapshot visible; committed ones read-only. */
  mounts(key: string): Promise<Mount[]>
  stat(key: string): Promise<SnapshotInfo>
  /** Bytes and inodes of this snapshot alone, without its parents. */
  usage(key: string): Promise<{ bytes: number; inodes: number }>
  /** The changes of a snapshot against its parent as an uncompressed OCI layer tar. */
  diff(key: string, options?: { signal?: AbortSignal }): AsyncIterable<Uint8Array>
  /**
   * The same changes by name, as `docker diff` tells them: in the order of names, a directory before what is in it, and as `modified` also when only
   * something in it changed. What lay in a deleted directory is not told of.
   */
  changes(key: string, options?: { signal?: AbortSignal }): AsyncIterable<SnapshotChange>
  list(): Promise<SnapshotInfo[]>
  remove(key: string): Promise<void>
}

export interface SnapshotInfo {
  name: string
  kind: 'committed' | 'active'
  parent: string | undefined
  createdAt: Date
}

/** A layer on local disk; checked against `diffId` while it is unpacked. */
export interface LayerBlob {
  /** The file. It is opened before `apply` gives control back, and may be renamed or deleted then. */
  path: string
  /** Found from the first bytes when absent. */
  compression?: 'none' | 'gzip' | 'zstd' | undefined
  /** Digest of the uncompressed tar, `sha256:…`. */
  diffId: string
  /**
   * The file is still being written: how many bytes may be read so far, in growing numbers, the last one its size. It throws when the rest will not come, and
   * `apply` fails of that. Absent, the file is whole.
   */
  growth?: AsyncIterable<number> | undefined
}

export interface SnapshotChange {
  /** From the root, with a slash at its beginning. */
  path: string
  kind: 'modified' | 'added' | 'deleted'
}

export interface ApplyOptions {
  parent?: string | undefined
  signal?: AbortSignal
  /** Uncompressed bytes unpacked so far. */
  onProgress?: (bytes: number) => void
}

/** As mount(2) takes it; `options` as in fstab, one an element. */
export interface Mount {
  type: string
  source: string
  /** Path inside the mounted root, where a snapshot needs several; the root itself when absent. */
  target?: string
  options: string[]
}
