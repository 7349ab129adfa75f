import { expireIngests } from '@berth/content-store'
import { isKind, messageOf } from '@berth/core'
import { isDigest } from '@berth/oci'
import type { Store } from './store.ts'

/** How long a blob that was cut off waits to be gone on with. */
const ingestLifetimeMs = 24 * 60 * 60 * 1000

export interface Collected {
  /** ChainIDs of the layers that are gone, topmost first. */
  layers: string[]
  /** Bytes of disk that came free. */
  bytes: number
}

/**
 * Removes the layers and blobs that neither an image nor a lease needs. A layer under a container stays until a collection after the container is gone.
 * Safe beside pulls, loads and commits: what they lease is checked in the same turn (blobs) or under the same lock (layers) as the removal.
 * @param options.keepBlobs What pulls received becomes the beginning of ingests, so that the next pull goes on from there.
 */
export async function collect(store: Store, { keepBlobs }: { keepBlobs: boolean }): Promise<Collected> {
  const collected: Collected = { layers: [], bytes: 0 }
  let candidates = [...new Set(store.records.layers.unneeded())]
  // A layer can go only after those on top of it, whose order is the snapshotter's to know: round by round, until none goes.
  for (let isMoving = true; isMoving && candidates.length > 0; ) {
    isMoving = false
    const staying: string[] = []
    for (const chain of candidates) {
      if (await removeLayer(store, chain, collected)) isMoving = true
      else staying.push(chain)
    }
    candidates = staying
  }
  await store.sweepLock.run('', async () => {
    const unneeded = await unneededBlobs(store)
    // Nothing is awaited between this look at the records and the removals.
    const resumable = keepBlobs ? store.records.leases.resumable() : new Set<string>()
    // Documents are asked for again anyway.
    for (const { digest } of store.records.documents.list()) resumable.delete(digest)
    const needed = store.records.documents.needed()
    store.records.leases.forgetDead(candidates)
    store.records.documents.forgetAllBut(needed)
    const removals = unneeded
      .filter((digest) => !needed.has(digest))
      .map((digest) => {
        const removal = store.content.remove(digest, { keep: resumable.has(digest) })
        store.failPoint('gc.blob')
        return removal
      })
    for (const bytes of await Promise.all(removals)) collected.bytes += bytes
  })
  await expireIngests(store.content, { olderThan: ingestLifetimeMs })
  return collected
}

/** Blobs that nothing needs any more, also after a loss of power: the records that said otherwise are changed on disk. */
async function unneededBlobs({ content, records }: Store): Promise<string[]> {
  const present = await content.list()
  const needed = records.documents.needed()
  await records.sync()
  return present.flatMap(({ digest }) => (needed.has(digest) ? [] : digest))
}

async function removeLayer(store: Store, chain: string, collected: Collected): Promise<boolean> {
  return store.layerLocks.run(chain, async () => {
    if (store.records.layers.isNeeded(chain)) return false
    const layer = store.records.layers.get(chain)
    try {
      await store.snapshotter.remove(chain)
    } catch (error) {
      if (isKind(error, 'conflict')) return false
      if (!isKind(error, 'not-found')) {
        store.logger.warn('a layer could not be removed', { layer: chain, error: messageOf(error) })
        return false
      }
    }
    store.failPoint('gc.layer')
    store.records.layers.remove(chain)
    store.failPoint('gc.recorded')
    if (layer) {
      collected.layers.push(chain)
      collected.bytes += layer.size
    }
    return true
  })
}

/** Leases layers, after a removal of any of them that has already begun has ended. */
export async function leaseLayers(store: Store, lease: string, chains: readonly string[]): Promise<void> {
  store.records.leases.add(lease, 'layer', chains)
  // From here on no removal begins; one that was past its check ends first.
  for (const chain of chains) await store.layerLocks.run(chain, async () => {})
}

/** Ends the lease of work that failed, and takes away what only it held. */
export async function abandonLease(store: Store, lease: string, { keepBlobs }: { keepBlobs: boolean }): Promise<void> {
  store.records.leases.end(lease)
  await collect(store, { keepBlobs })
}

/** At the start: what no process is writing any more and nobody can go on with, since its key was made up. */
export async function discardAbandoned(store: Store): Promise<void> {
  for (const { key } of await store.content.ingests()) if (!isDigest(key)) await store.content.discard(key)
}
