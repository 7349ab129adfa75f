import { createHash, type Hash } from 'node:crypto'
import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import type { BlobInfo, Ingest } from '@berth/content-store'
import { BerthError, isKind, messageOf, newId } from '@berth/core'
import { createZstdFramesDecompress } from '@berth/layer-tar'
import { mediaTypes } from '@berth/oci'
import { openStart } from './open-start.ts'
import type { Store } from './store.ts'

export interface StoredLayer {
  blob: string
  /** Bytes of the blob. */
  blobSize: number
  mediaType: string
  /** Digest of the uncompressed tar. */
  diffId: string
}

/** DiffID of a tar without members, which is no layer to Docker. */
export const emptyDiffId = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef'

/**
 * Stores a layer's tar as a blob that the lease holds. A plain one is compressed, since registries expect that and half the disk is saved; by the quickest gzip,
 * since most are never pushed. What is compressed already stays as it is.
 * @throws `invalid-argument` when it is no whole archive.
 */
export async function storeLayer(store: Store, source: AsyncIterable<Uint8Array>, lease: string, signal: AbortSignal): Promise<StoredLayer> {
  await using ingest = await store.content.ingest(`layer-${newId()}`)
  try {
    const { compression, stream } = await openStart(source)
    if (compression === 'xz' || compression === 'bzip2') throw unreadable(`it is compressed with ${compression}, which is not supported: use gzip or zstd`)
    const diffId = compression === 'none' ? await compressInto(ingest, stream, signal) : await copyInto(ingest, stream, compression, signal)
    const { digest, size } = await commitUnknown(store, ingest, lease)
    return { blob: digest, blobSize: size, mediaType: compression === 'zstd' ? mediaTypes.ociLayerZstd : mediaTypes.ociLayerGzip, diffId }
  } catch (error) {
    await ingest.discard().catch(() => {})
    if (signal.aborted) throw signal.reason
    if (isKind(error, 'internal') && !(error instanceof BerthError)) throw unreadable(messageOf(error), error)
    throw error
  }
}

/** Makes a blob of an ingest whose digest nobody knew before; no collection comes between its coming and its lease. */
export function commitUnknown(store: Store, ingest: Ingest, lease: string, expected?: { digest: string }): Promise<BlobInfo> {
  return store.sweepLock.run('', async () => {
    const blob = await ingest.commit(expected)
    store.records.leases.add(lease, 'blob', [blob.digest])
    return blob
  })
}

async function compressInto(ingest: Ingest, stream: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(stream, hashing(hash), createGzip({ level: 1, chunkSize: 128 * 1024 }), writingTo(ingest), { signal })
  return `sha256:${hash.digest('hex')}`
}

async function copyInto(ingest: Ingest, stream: AsyncIterable<Uint8Array>, compression: 'gzip' | 'zstd', signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  const inflate = compression === 'gzip' ? createGunzip() : createZstdFramesDecompress()
  const inflating = pipeline(
    inflate,
    async (chunks: AsyncIterable<Uint8Array>) => {
      for await (const chunk of chunks) hash.update(chunk)
    },
    { signal },
  )
  const storing = pipeline(
    stream,
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        if (inflate.destroyed) throw new Error('the compressed data ended early')
        if (!inflate.write(chunk)) await once(inflate, 'drain', { signal })
        yield chunk
      }
      inflate.end()
    },
    writingTo(ingest),
    { signal },
  )
  storing.catch((error: Error) => inflate.destroy(error))
  await Promise.all([inflating, storing])
  return `sha256:${hash.digest('hex')}`
}

function hashing(hash: Hash) {
  return async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      hash.update(chunk)
      yield chunk
    }
  }
}

function writingTo(ingest: Ingest) {
  return async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) await ingest.write(chunk)
  }
}

function unreadable(why: string, cause?: unknown): BerthError {
  return new BerthError('invalid-argument', 'INVALID_ARCHIVE', `the archive could not be read: ${why}`, { cause })
}
