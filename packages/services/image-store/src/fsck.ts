import { join } from 'node:path'
import { type ContentStore, openContentStore } from '@berth/content-store'
import { KeyedMutex, type Logger, messageOf, silent } from '@berth/core'
import type { Snapshotter } from '@berth/snapshotter'
import { collect } from './collect.ts'
import { checkBlobs } from './fsck/check-blobs.ts'
import { checkGarbage } from './fsck/check-garbage.ts'
import { checkImages } from './fsck/check-images.ts'
import { checkSnapshots } from './fsck/check-snapshots.ts'
import type { FsckProblem, FsckReport } from './fsck/problem.ts'
import { noRegistry } from './image-registry.ts'
import { Limiter } from './limiter.ts'
import { openImageRecords, type StoreRecords } from './records/open-image-records.ts'
import { restoreSnapshots } from './restore.ts'

export interface FsckOptions {
  /** Drops blobs that are damaged, images that cannot be saved and garbage; unpacks again what can be. */
  repair?: boolean | undefined
  /** Where the store's layers are unpacked; without it, snapshots and garbage among them are not looked at. */
  snapshotter?: Snapshotter | undefined
  logger?: Logger | undefined
  signal?: AbortSignal | undefined
  /** Bytes read so far. */
  onProgress?: ((bytes: number) => void) | undefined
}

/**
 * Checks a store that no process has open: the digest of each blob, the diffID of each layer, the chain of each image, and that everything that is needed
 * is here and nothing else. Says of each loss what it hits.
 * @param root The store's directory.
 */
export async function fsck(root: string, options: FsckOptions = {}): Promise<FsckReport> {
  const { repair = false, snapshotter, logger = silent, signal, onProgress } = options
  await using opened = new AsyncDisposableStack()
  const content = opened.use(await openContentStore({ root, logger }))
  const records = opened.use(openImageRecords(join(root, 'images.db')))
  // Nobody works here: what a killed process held is garbage, or was recorded.
  records.leases.endAll()
  const context = { records, content, signal, onProgress }
  const { problems: blobProblems, blobs } = await checkBlobs(context)
  const imageProblems = await checkImages(context, blobs)
  const snapshotProblems = snapshotter ? await checkSnapshots(context, snapshotter, blobs) : []
  const garbage = await checkGarbage(context, snapshotter)
  const problems = [...blobProblems, ...imageProblems, ...snapshotProblems, ...garbage]
  if (repair && problems.length > 0) await repairStore({ records, content, snapshotter, logger }, problems)
  const sizes = [...blobs.values()]
  return { images: records.images.count(), blobs: sizes.length, bytes: sizes.reduce((sum, { size }) => sum + size, 0), problems }
}

interface RepairContext {
  records: StoreRecords
  content: ContentStore
  snapshotter: Snapshotter | undefined
  logger: Logger
}

async function repairStore({ records, content, snapshotter, logger }: RepairContext, problems: FsckProblem[]): Promise<void> {
  for (const problem of problems) {
    if (problem.kind === 'blob-damaged') await content.remove(problem.item)
    const isLoss = problem.kind === 'blob-damaged' || problem.kind === 'blob-missing' || problem.kind === 'layer-mismatch' || problem.kind === 'image-inconsistent'
    if (isLoss) for (const id of problem.images) records.images.remove(id)
    if (isLoss) problem.isRepaired = true
  }
  if (!snapshotter) return
  const store = {
    records, content, snapshotter, logger,
    registry: noRegistry, layerLocks: new KeyedMutex(), sweepLock: new KeyedMutex(), downloads: new Limiter(1), uploads: new Limiter(1), usage: () => [], emit: () => {}, failPoint: () => {},
  } // prettier-ignore
  await restoreSnapshots(store)
  for (const problem of problems) {
    if (problem.kind !== 'snapshot-orphan') continue
    try {
      await snapshotter.remove(problem.item)
    } catch (error) {
      logger.warn('a snapshot could not be removed', { snapshot: problem.item, error: messageOf(error) })
    }
  }
  await collect(store, { keepBlobs: false })
  for (const problem of problems) problem.isRepaired = true
}
