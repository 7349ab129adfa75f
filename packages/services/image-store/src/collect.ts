import { isKind, messageOf } from '@berth/core'
import type { Store } from './store.ts'

export interface Collected {
  /** ChainIDs of the layers that are gone, topmost first. */
  layers: string[]
  /** Bytes of disk that came free. */
  bytes: number
}

/**
 * Removes the layers and blobs that neither an image nor a lease needs. A layer under a container stays until a collection after the container is gone.
 * Safe beside running pulls: what they lease is checked in the same turn (blobs) or under the same lock (layers) as the removal.
 * @param options.keepBlobs Blobs become partial downloads, so that a pull that was cut off goes on where it was.
 */
export async function collect(store: Store, { keepBlobs }: { keepBlobs: boolean }): Promise<Collected> {
  const collected: Collected = { layers: [], bytes: 0 }
  let candidates = [...new Set(store.records.unneededLayers())]
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
  store.records.forgetDeadLeases(candidates)
  const present = await store.content.list()
  const needed = store.records.neededBlobs()
  // Nothing is awaited between the look at the records and the removals.
  const removals = present.filter((digest) => !needed.has(digest)).map((digest) => store.content.remove(digest, { keep: keepBlobs }))
  for (const bytes of await Promise.all(removals)) collected.bytes += bytes
  await store.content.expire({ atStart: false })
  return collected
}

async function removeLayer(store: Store, chain: string, collected: Collected): Promise<boolean> {
  return store.layerLocks.run(chain, async () => {
    if (store.records.isLayerNeeded(chain)) return false
    const layer = store.records.layer(chain)
    try {
      await store.snapshotter.remove(chain)
    } catch (error) {
      if (isKind(error, 'conflict')) return false
      if (!isKind(error, 'not-found')) {
        store.logger.warn('a layer could not be removed', { layer: chain, error: messageOf(error) })
        return false
      }
    }
    store.records.removeLayer(chain)
    if (layer) {
      collected.layers.push(chain)
      collected.bytes += layer.size
    }
    return true
  })
}

/** Leases layers, after a removal of any of them that has already begun has ended. */
export async function leaseLayers(store: Store, lease: string, chains: readonly string[]): Promise<void> {
  store.records.addToLease(lease, 'layer', chains)
  // From here on no removal begins; one that was past its check ends first.
  for (const chain of chains) await store.layerLocks.run(chain, async () => {})
}

/** Ends the lease of work that failed, and takes away what only it held. */
export async function abandonLease(store: Store, lease: string, { keepBlobs }: { keepBlobs: boolean }): Promise<void> {
  store.records.endLease(lease)
  await collect(store, { keepBlobs })
}
