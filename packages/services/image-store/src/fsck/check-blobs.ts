import { isKind } from '@berth/core'
import { verified } from '@berth/oci'
import { blobsOfImages } from './needs.ts'
import { type CheckedBlob, type FsckContext, type FsckProblem, problemOf } from './problem.ts'

/** Reads every blob and recomputes its digest, and finds those that images need and that are not here. */
export async function checkBlobs(context: FsckContext): Promise<{ problems: FsckProblem[]; blobs: Map<string, CheckedBlob> }> {
  const { records, content, signal, onProgress } = context
  const needed = blobsOfImages(records)
  const blobs = new Map<string, CheckedBlob>()
  const problems: FsckProblem[] = []
  let bytes = 0
  for (const { digest, size } of await content.list()) {
    let isWhole = true
    try {
      for await (const chunk of verified(content.read(digest, { signal }), { digest, size })) onProgress?.((bytes += chunk.length))
    } catch (error) {
      if (!isKind(error, 'data-loss')) throw error
      isWhole = false
      problems.push(problemOf(context, 'blob-damaged', digest, `the content of ${digest} has another digest`, needed.get(digest)))
    }
    blobs.set(digest, { size, isWhole })
  }
  for (const [digest, images] of needed) {
    if (!blobs.has(digest)) problems.push(problemOf(context, 'blob-missing', digest, `${digest} is needed and not here`, images))
  }
  return { problems, blobs }
}
