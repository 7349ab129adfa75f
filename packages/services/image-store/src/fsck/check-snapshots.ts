import type { Snapshotter } from '@berth/snapshotter'
import { layersOf } from '../restore.ts'
import { type CheckedBlob, type FsckContext, type FsckProblem, problemOf } from './problem.ts'

/** Finds layers of images, and of those that are gone under containers, that are not unpacked. With their blobs they can be unpacked again. */
export async function checkSnapshots(context: FsckContext, snapshotter: Snapshotter, blobs: ReadonlyMap<string, CheckedBlob>): Promise<FsckProblem[]> {
  const present = new Set((await snapshotter.list()).map(({ name }) => name))
  const missing = new Map<string, { blob: string; images: string[] }>()
  const { images } = context.records
  const gone = images.gone().filter((id) => blobs.get(id)?.isWhole)
  for (const id of [...images.list().map((image) => image.id), ...gone]) {
    for (const { chainId, blob } of await layersOf(context, id)) {
      if (!present.has(chainId)) missing.set(chainId, { blob, images: [...(missing.get(chainId)?.images ?? []), id] })
    }
  }
  return [...missing].map(([chain, { blob, images }]) => {
    const rest = blobs.get(blob)?.isWhole ? 'its blob is here' : 'its blob is lost too'
    return problemOf(context, 'snapshot-missing', chain, `the layer ${chain} is not unpacked; ${rest}`, images)
  })
}
