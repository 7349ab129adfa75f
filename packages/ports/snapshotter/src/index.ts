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
 * Must fail: an unknown name (`not-found`); a name that exists, for `prepare` (`already-exists`); removing a snapshot that has children
 * (`conflict`); a layer whose content is not its diffId (`data-loss`), which leaves nothing behind.
 */
export interface Snapshotter extends AsyncDisposable {
  /** `overlay`, `erofs`, …; shown as the storage driver. */
  readonly name: string
  /** Unpacks a layer over `parent` and commits it as `name`. A name that exists is answered at once; calls for one name join. */
  apply(name: string, layer: LayerBlob, options?: ApplyOptions): Promise<SnapshotInfo>
  prepare(key: string, options?: { parent?: string | undefined; signal?: AbortSignal }): Promise<SnapshotInfo>
  /** The mounts, in order, that make the snapshot visible; committed ones read-only. */
  mounts(key: string): Promise<Mount[]>
  stat(key: string): Promise<SnapshotInfo>
  /** Bytes and inodes of this snapshot alone, without its parents. */
  usage(key: string): Promise<{ bytes: number; inodes: number }>
  /** The changes of a snapshot against its parent as an uncompressed OCI layer tar. */
  diff(key: string, options?: { signal?: AbortSignal }): AsyncIterable<Uint8Array>
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
  path: string
  compression: 'none' | 'gzip' | 'zstd'
  /** Digest of the uncompressed tar, `sha256:…`. */
  diffId: string
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
