import { isKind } from '@berth/core'
import type { ContentStore } from './content-store.ts'

/** Drops the ingests that nobody has gone on with for `olderThan` milliseconds. Those that are being written stay. */
export async function expireIngests(store: Pick<ContentStore, 'ingests' | 'discard'>, { olderThan }: { olderThan: number }): Promise<void> {
  const limit = Date.now() - olderThan
  for (const { key, updatedAt } of await store.ingests()) {
    if (updatedAt.getTime() >= limit) continue
    await store.discard(key).catch((error: unknown) => {
      if (!isKind(error, 'conflict')) throw error
    })
  }
}
