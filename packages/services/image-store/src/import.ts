import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip, createZstdDecompress } from 'node:zlib'
import { BerthError, formatNano, isKind, messageOf, nowNano } from '@berth/core'
import { type Compression, hostPlatform, type ImageConfig, mediaTypes, parsePlatform, sniffCompression } from '@berth/oci'
import { abandonLease, leaseLayers } from './collect.ts'
import { applyChanges } from './config-changes.ts'
import { writeManifest } from './manifest.ts'
import type { Progress } from './progress.ts'
import type { LayerRecord } from './records.ts'
import { storedName } from './resolve.ts'
import { emitImage, type Store } from './store.ts'
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
  const temporary = store.content.temporaryPath()
  const lease = store.records.openLease('import')
  try {
    const { blob, diffId, compression } = await storeLayer(options.source, temporary, signal)
    const blobSize = (await stat(temporary)).size
    await leaseLayers(store, lease, [diffId])
    store.records.addToLease(lease, 'blob', [blob])
    await store.content.adopt(temporary, blob)
    await store.snapshotter.apply(diffId, { path: store.content.path(blob), compression, diffId }, { signal })
    const { bytes } = await store.snapshotter.usage(diffId)

    const now = nowNano()
    const created = formatNano(now)
    const comment = options.message || 'Imported from -'
    const config: ImageConfig = {
      architecture: platform.architecture,
      os: platform.os,
      ...(platform.variant && { variant: platform.variant }),
      created,
      config: runConfig,
      rootfs: { type: 'layers', diff_ids: [diffId] },
      history: [{ created, comment }],
    }
    const layer: LayerRecord = {
      chainId: diffId,
      diffId,
      blob,
      blobSize,
      mediaType: compression === 'zstd' ? mediaTypes.ociLayerZstd : mediaTypes.ociLayerGzip,
      size: bytes,
    }
    const { id, manifest } = await writeManifest(store, config, [layer], lease)
    await store.content.sync([blob, id, manifest])
    signal.throwIfAborted()
    store.records.addImage(
      {
        id,
        manifest,
        os: config.os,
        architecture: config.architecture,
        variant: config.variant,
        createdMs: Number(now / 1_000_000n),
        labels: runConfig.Labels ?? {},
        lastTagMs: name ? Date.now() : undefined,
      },
      [layer],
      name ? [name] : [],
      lease,
    )
    progress.send({ status: id })
    emitImage(store, 'import', id, id, runConfig.Labels)
  } catch (error) {
    await rm(temporary, { force: true })
    await abandonLease(store, lease, { keepBlobs: false })
    throw error
  }
}

/** Writes the layer's blob and computes both its digests. A plain tar is compressed, since registries expect that; the quickest level, since most are never pushed. */
async function storeLayer(
  source: AsyncIterable<Uint8Array>,
  path: string,
  signal: AbortSignal,
): Promise<{ blob: string; diffId: string; compression: Compression }> {
  const { compression, stream } = await sniffed(source)
  const blobHash = createHash('sha256')
  const diffHash = createHash('sha256')
  const file = createWriteStream(path, { mode: 0o600, flags: 'wx' })
  const hashing = (hash: typeof blobHash) =>
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        hash.update(chunk)
        yield chunk
      }
    }
  try {
    if (compression === 'none') {
      await pipeline(stream, hashing(diffHash), createGzip({ level: 1 }), hashing(blobHash), file, { signal })
    } else {
      const inflate = compression === 'gzip' ? createGunzip() : createZstdDecompress()
      const inflating = pipeline(
        inflate,
        async (chunks: AsyncIterable<Uint8Array>) => {
          for await (const chunk of chunks) diffHash.update(chunk)
        },
        { signal },
      )
      const storing = pipeline(
        stream,
        hashing(blobHash),
        async function* (chunks) {
          for await (const chunk of chunks) {
            if (inflate.destroyed) throw new Error('the compressed data ended early')
            if (!inflate.write(chunk)) await once(inflate, 'drain', { signal })
            yield chunk
          }
          inflate.end()
        },
        file,
        { signal },
      )
      storing.catch((error: Error) => inflate.destroy(error))
      await Promise.all([inflating, storing])
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason
    if (isKind(error, 'internal') && !(error instanceof BerthError)) {
      throw new BerthError('invalid-argument', 'INVALID_ARCHIVE', `the archive could not be read: ${messageOf(error)}`, { cause: error })
    }
    throw error
  }
  return {
    blob: `sha256:${blobHash.digest('hex')}`,
    diffId: `sha256:${diffHash.digest('hex')}`,
    compression: compression === 'none' ? 'gzip' : compression,
  }
}

async function sniffed(source: AsyncIterable<Uint8Array>): Promise<{ compression: Compression; stream: AsyncIterable<Uint8Array> }> {
  const iterator = source[Symbol.asyncIterator]()
  let start = Buffer.alloc(0)
  while (start.length < 4) {
    const { value, done } = await iterator.next()
    if (done) break
    start = Buffer.concat([start, value])
  }
  async function* stream() {
    try {
      yield start
      for (let next; !(next = await iterator.next()).done; ) yield next.value
    } finally {
      await iterator.return?.()
    }
  }
  return { compression: sniffCompression(start), stream: stream() }
}
