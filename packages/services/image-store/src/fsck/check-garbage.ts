import { isDigest } from '@berth/oci'
import type { SnapshotInfo, Snapshotter } from '@berth/snapshotter'
import { layersOf } from '../restore.ts'
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
  const used = await usedChains(context, snapshots)
  const recorded = new Set(records.layers.list().map(({ chainId }) => chainId))
  for (const chain of recorded) {
    if (!records.layers.isNeeded(chain) && !used.has(chain)) problems.push(problemOf(context, 'layer-orphan', chain, `nothing needs the layer ${chain}`))
  }
  for (const { name, kind } of snapshots) {
    if (kind === 'committed' && isDigest(name) && !recorded.has(name) && !used.has(name)) {
      problems.push(problemOf(context, 'snapshot-orphan', name, `nothing needs the snapshot ${name}`))
    }
  }
  return problems
}

/** ChainIDs on which snapshots stand, also where those between are lost. */
async function usedChains(context: FsckContext, snapshots: readonly SnapshotInfo[]): Promise<Set<string>> {
  const used = new Set(snapshots.flatMap(({ parent }) => parent ?? []))
  for (const id of context.records.images.gone()) {
    if (!(await context.content.stat(id))) continue
    const chains = (await layersOf(context, id)).map(({ chainId }) => chainId)
    const below = chains.slice(0, chains.findLastIndex((chain) => used.has(chain)) + 1)
    for (const chain of below) used.add(chain)
  }
  return used
}
