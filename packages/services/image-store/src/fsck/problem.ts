import type { ContentStore } from '@berth/content-store'
import type { StoreRecords } from '../records/open-image-records.ts'

/**
 * - `blob-damaged`: the disk has changed a blob
 * - `blob-missing`: a blob that an image or a name needs is not here
 * - `layer-mismatch`: a layer's blob is not the tar that the config names
 * - `image-inconsistent`: the config, the manifest and the records of an image do not go together
 * - `snapshot-missing`: a layer is not unpacked
 * - `blob-orphan`, `layer-orphan`, `snapshot-orphan`: nothing needs it; no loss
 */
export type FsckProblemKind =
  | 'blob-damaged'
  | 'blob-missing'
  | 'layer-mismatch'
  | 'image-inconsistent'
  | 'snapshot-missing'
  | 'blob-orphan'
  | 'layer-orphan'
  | 'snapshot-orphan'

export interface FsckProblem {
  kind: FsckProblemKind
  /** A digest, a chainID or an image's ID. */
  item: string
  /** A sentence for people. */
  message: string
  /** IDs of the images that it hits, and their names. */
  images: string[]
  names: string[]
  isRepaired: boolean
}

export interface FsckReport {
  /** Images that are recorded, after a repair those that are left. */
  images: number
  blobs: number
  /** Of all blobs. */
  bytes: number
  problems: FsckProblem[]
}

export interface FsckContext {
  records: StoreRecords
  content: ContentStore
  signal: AbortSignal | undefined
  onProgress: ((bytes: number) => void) | undefined
}

/** A blob that is here, and whether it is what its digest says. */
export interface CheckedBlob {
  size: number
  isWhole: boolean
}

export function problemOf({ records }: Pick<FsckContext, 'records'>, kind: FsckProblemKind, item: string, message: string, images: Iterable<string> = []): FsckProblem {
  const ids = [...new Set(images)]
  return { kind, item, message, images: ids, names: [...new Set(ids.flatMap((id) => records.names.of(id)))].toSorted(), isRepaired: false }
}
