import { createHash } from 'node:crypto'
import { createGunzip } from 'node:zlib'
import { pipeline } from 'node:stream/promises'
import { messageOf } from '@berth/core'
import { createZstdFramesDecompress } from '@berth/layer-tar'
import { chainIds, parseConfig, parseManifest } from '@berth/oci'
import { openStart } from '../open-start.ts'
import type { ImageRecord } from '../records/image-records.ts'
import { type CheckedBlob, type FsckContext, type FsckProblem, problemOf } from './problem.ts'

/** Recomputes the diffID of each layer and the chain of each image whose blobs are whole. */
export async function checkImages(context: FsckContext, blobs: ReadonlyMap<string, CheckedBlob>): Promise<FsckProblem[]> {
  const { records } = context
  const problems: FsckProblem[] = []
  const images = records.images.list()
  for (const image of images) {
    const why = await inconsistency(context, image, blobs)
    if (why) problems.push(problemOf(context, 'image-inconsistent', image.id, `${image.id}: ${why}`, [image.id]))
  }
  for (const { chainId, diffId, blob } of records.layers.list()) {
    if (!blobs.get(blob)?.isWhole) continue
    const actual = await diffIdOf(context, blob)
    if (actual === diffId) continue
    const hit = images.filter(({ id }) => records.layers.of(id).some((layer) => layer.chainId === chainId)).map(({ id }) => id)
    problems.push(problemOf(context, 'layer-mismatch', chainId, `the layer ${blob} is not ${diffId}, but ${actual}`, hit))
  }
  return problems
}

/** What in the documents and the records of an image does not go together; undefined if all does, or the documents are lost. */
async function inconsistency({ records, content }: FsckContext, image: ImageRecord, blobs: ReadonlyMap<string, CheckedBlob>): Promise<string | undefined> {
  if (!blobs.get(image.id)?.isWhole || !blobs.get(image.manifest)?.isWhole) return undefined
  try {
    const { rootfs } = parseConfig(await content.readDocument(image.id))
    const layers = records.layers.of(image.id)
    const chains = chainIds(rootfs.diff_ids)
    if (layers.length !== chains.length || layers.some(({ chainId, diffId }, index) => chainId !== chains[index] || diffId !== rootfs.diff_ids[index])) {
      return 'the layers that are recorded are not those of its config'
    }
    const manifest = parseManifest(await content.readDocument(image.manifest), records.documents.get(image.manifest)?.mediaType)
    if (manifest.config.digest !== image.id) return `its manifest ${image.manifest} is of another config`
    if (manifest.layers.length !== chains.length) return `its manifest ${image.manifest} has another number of layers`
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

async function diffIdOf({ content, signal }: FsckContext, blob: string): Promise<string> {
  const hash = createHash('sha256')
  const sum = async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) hash.update(chunk)
  }
  try {
    const { compression, stream } = await openStart(content.read(blob, { signal }))
    if (compression === 'gzip') await pipeline(stream, createGunzip(), sum, { signal })
    else if (compression === 'zstd') await pipeline(stream, createZstdFramesDecompress(), sum, { signal })
    else await sum(stream)
  } catch (error) {
    signal?.throwIfAborted()
    return `unreadable (${messageOf(error)})`
  }
  return `sha256:${hash.digest('hex')}`
}
