import { isDigest } from '@berth/oci'
import type { Snapshotter } from '@berth/snapshotter'
import { type FsckContext, type FsckProblem, problemOf } from './problem.ts'

/** Finds what nothing needs: blobs, layers that are recorded, and snapshots of layers that are not. Layers under containers are needed by these. */
export async function checkGarbage(context: FsckContext, snapshotter: Snapshotter | undefined): Promise<FsckProblem[]> {
  const { records, content } = context
  const problems: FsckProblem[] = []
  const needed = records.documents.needed()
  for (const { digest } of await content.list()) {
    if (!needed.has(digest)) problems.push(problemOf(context, 'blob-orphan', digest, `nothing needs ${digest}`))
  }
  if (!snapshotter) return problems
  const snapshots = await snapshotter.list()
  const isUsed = (chain: string) => snapshots.some(({ parent }) => parent === chain)
  const recorded = new Set(records.layers.list().map(({ chainId }) => chainId))
  for (const chain of recorded) {
    if (!records.layers.isNeeded(chain) && !isUsed(chain)) problems.push(problemOf(context, 'layer-orphan', chain, `nothing needs the layer ${chain}`))
  }
  for (const { name, kind } of snapshots) {
    if (kind === 'committed' && isDigest(name) && !recorded.has(name) && !isUsed(name)) {
      problems.push(problemOf(context, 'snapshot-orphan', name, `nothing needs the snapshot ${name}`))
    }
  }
  return problems
}
