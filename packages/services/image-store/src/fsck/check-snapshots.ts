import type { Snapshotter } from '@berth/snapshotter'
import { type CheckedBlob, type FsckContext, type FsckProblem, problemOf } from './problem.ts'

/** Finds layers of images that are not unpacked. With their blobs they can be unpacked again. */
export async function checkSnapshots(context: FsckContext, snapshotter: Snapshotter, blobs: ReadonlyMap<string, CheckedBlob>): Promise<FsckProblem[]> {
  const present = new Set((await snapshotter.list()).map(({ name }) => name))
  const missing = new Map<string, { blob: string; images: string[] }>()
  for (const { id } of context.records.images.list()) {
    for (const { chainId, blob } of context.records.layers.of(id)) {
      if (!present.has(chainId)) missing.set(chainId, { blob, images: [...(missing.get(chainId)?.images ?? []), id] })
    }
  }
  return [...missing].map(([chain, { blob, images }]) => {
    const rest = blobs.get(blob)?.isWhole ? 'its blob is here' : 'its blob is lost too'
    return problemOf(context, 'snapshot-missing', chain, `the layer ${chain} is not unpacked; ${rest}`, images)
  })
}
