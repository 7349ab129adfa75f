import { BerthError, shortId } from '@berth/core'
import { familiarReference, parseReference } from '@berth/oci'
import { openArchiveFiles } from '@berth/oci-image'
import { abandonLease, collect } from './collect.ts'
import { bringRoot, type BroughtRoot } from './bring-root.ts'
import type { LayerReport } from './bring-layers.ts'
import type { Progress } from './progress.ts'
import { recordImages } from './record-image.ts'
import { defaultImage, imagesOfTarget } from './resolve.ts'
import { spoolArchive } from './spool-archive.ts'
import { emitImage, type Store } from './store.ts'

export interface LoadOptions {
  /** A docker-archive or an OCI layout in a tar: plain, gzip or zstd. */
  source: AsyncIterable<Uint8Array>
  /** Of indexes, the images for these alone; all that are there without one. */
  platforms?: readonly string[] | undefined
  /** Without progress. */
  quiet: boolean
}

/**
 * Takes in the images of an archive: all of them, or none if something is wrong with one. Docker's messages say what was loaded, and which names were taken from others.
 * @throws `invalid-argument` for what is no archive of images; `data-loss` for content that is not what it is called; `not-found` if no image is for the platforms.
 */
export async function loadImages(store: Store, { source, platforms = [], quiet }: LoadOptions, progress: Progress, signal: AbortSignal): Promise<void> {
  const lease = store.records.leases.open('load')
  try {
    const files = await spoolArchive(store, source, lease, { signal })
    await using archive = await openArchiveFiles(files, { signal })
    store.failPoint('load.spooled')
    const report = quiet ? {} : loadReport(progress)
    const roots: BroughtRoot[] = []
    for (const root of await archive.roots({ signal })) {
      const brought = await bringRoot(store, archive, root, { platforms, report, lease, signal })
      if (brought) roots.push(brought)
    }
    if (roots.length === 0) {
      const what = platforms.length > 0 ? `requested platform (${platforms.join(', ')}) not found` : 'the archive holds no image'
      throw new BerthError('not-found', 'NO_MATCHING_PLATFORM', what)
    }
    signal.throwIfAborted()
    const taken = takenNames(store, roots)
    store.records.transact(() => {
      for (const { target, names, images } of roots) recordImages(store, images, { target, names }, lease)
    })
    await store.records.sync()
    store.failPoint('load.recorded')
    for (const { name, from } of taken) {
      progress.send({ stream: `The image ${familiarReference(parseReference(name))} already exists, renaming the old one with ID ${from} to empty string\n` })
    }
    for (const { names, images } of roots) {
      for (const name of names) progress.send({ stream: `Loaded image: ${familiarReference(parseReference(name))}\n` })
      if (names.length === 0) for (const { id } of images) progress.send({ stream: `Loaded image ID: ${id}\n` })
      for (const { id, config } of images) emitImage(store, 'load', id, id, config.config?.Labels)
    }
    await collect(store, { keepBlobs: false })
  } catch (error) {
    await abandonLease(store, lease, { keepBlobs: false })
    throw error
  }
}

/** The names that other images have so far. */
function takenNames(store: Store, roots: readonly BroughtRoot[]): { name: string; from: string }[] {
  return roots.flatMap(({ names, images }) =>
    names.flatMap((name) => {
      const target = store.records.names.targetOf(name)
      const from = target === undefined ? undefined : defaultImage(imagesOfTarget(store, target))
      return from && !images.some(({ id }) => id === from.id) ? [{ name, from: from.id }] : []
    }),
  )
}

/** Layers are shown by the beginning of their diffID. */
function loadReport(progress: Progress): LayerReport {
  return {
    unpacked: (layer, bytes) => progress.bytes(shortId(layer.diffId.slice(layer.diffId.indexOf(':') + 1)), 'Loading layer', bytes, layer.size),
  }
}
