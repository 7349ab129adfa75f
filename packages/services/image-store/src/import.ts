import { formatNano, nowNano } from '@berth/core'
import { hostPlatform, type ImageConfig, parsePlatform } from '@berth/oci'
import { abandonLease } from './collect.ts'
import { applyChanges } from './config-changes.ts'
import { makeImage } from './make-image.ts'
import type { Progress } from './progress.ts'
import { storedName } from './resolve.ts'
import { emitImage, type Store } from './store.ts'
import { storeLayer } from './store-layer.ts'
import { targetReference } from './tag.ts'

export interface ImportOptions {
  /** A tar of a root file system: plain, gzip or zstd. */
  source: AsyncIterable<Uint8Array>
  repo?: string | undefined
  tag?: string | undefined
  message?: string | undefined
  /** Dockerfile instructions: see `applyChanges`. */
  changes: readonly string[]
  platform?: string | undefined
}

/** Makes an image of one layer. The last message's status is its ID. */
export async function importImage(store: Store, options: ImportOptions, progress: Progress, signal: AbortSignal): Promise<void> {
  const name = options.repo ? storedName(targetReference(options.repo, options.tag)) : undefined
  const platform = options.platform ? parsePlatform(options.platform) : hostPlatform()
  const runConfig = applyChanges({}, options.changes)
  const lease = store.records.leases.open('import')
  try {
    const layer = await storeLayer(store, options.source, lease, signal)
    const created = formatNano(nowNano())
    const config: ImageConfig = {
      architecture: platform.architecture,
      os: platform.os,
      ...(platform.variant && { variant: platform.variant }),
      created,
      config: runConfig,
      rootfs: { type: 'layers', diff_ids: [layer.diffId] },
      history: [{ created, comment: options.message || 'Imported from -' }],
    }
    const id = await makeImage(store, { config, base: [], added: layer, name, step: 'import', signal }, lease)
    progress.send({ status: id })
    emitImage(store, 'import', id, id, runConfig.Labels)
  } catch (error) {
    await abandonLease(store, lease, { keepBlobs: false })
    throw error
  }
}
