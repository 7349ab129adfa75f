import type { ImageManifestSummary } from '@berth/api-types'
import { isKind } from '@berth/core'
import { attestedDigest, type Descriptor, isAttestation, parseManifest, parseManifestOrIndex } from '@berth/oci'
import type { ImageRecord } from './records/image-records.ts'
import { platformOf } from './resolve.ts'
import type { Store } from './store.ts'
import { documentOf, manifestOf } from './store-source.ts'

/** Each manifest of a target, whether it is here and what it takes, as API 1.47 has it. */
export async function manifestSummaries(store: Store, image: ImageRecord, target: string | undefined): Promise<ImageManifestSummary[]> {
  const digest = target ?? image.manifest
  const top = documentOf(store, digest)
  if (!top) return []
  const parsed = parseManifestOrIndex(await store.content.readDocument(digest), top.mediaType)
  const entries = parsed.kind === 'index' ? parsed.index.manifests : [{ ...top, platform: platformOf(image) }]
  return Promise.all(entries.map((entry) => summaryOf(store, entry, digest)))
}

async function summaryOf(store: Store, descriptor: Descriptor, target: string): Promise<ImageManifestSummary> {
  const content = await contentSize(store, descriptor)
  const image = imageOf(store, descriptor.digest, target)
  const unpacked = image ? store.records.layers.size(image.id) : 0
  const summary = {
    ID: descriptor.digest,
    Descriptor: descriptor as ImageManifestSummary['Descriptor'],
    Available: content !== undefined,
    Size: { Content: content ?? 0, Total: (content ?? 0) + unpacked },
  }
  if (isAttestation(descriptor)) return { ...summary, Kind: 'attestation', AttestationData: { For: attestedDigest(descriptor) ?? '' } }
  const platform = image ? platformOf(image) : descriptor.platform
  if (!platform) return { ...summary, Kind: 'unknown' }
  const { os, architecture, variant } = platform
  const containers = image ? store.usage(image.id).map(({ id }) => id) : []
  return { ...summary, Kind: 'image', ImageData: { Platform: { os, architecture, ...(variant && { variant }) }, Containers: containers, Size: { Unpacked: unpacked } } }
}

/** Bytes of a manifest with all that it names; undefined if something of it is not here. */
async function contentSize(store: Store, { digest, mediaType, size }: Descriptor): Promise<number | undefined> {
  try {
    const { config, layers } = parseManifest(await store.content.readDocument(digest), mediaType)
    let total = size
    for (const blob of [config, ...layers]) {
      const found = await store.content.stat(blob.digest)
      if (!found) return undefined
      total += found.size
    }
    return total
  } catch (error) {
    if (isKind(error, 'not-found', 'invalid-argument')) return undefined
    throw error
  }
}

function imageOf(store: Store, manifest: string, target: string): ImageRecord | undefined {
  const among = store.records.names.imagesOf(target).flatMap(({ imageId }) => store.records.images.get(imageId) ?? [])
  return among.find((image) => manifestOf(store, image, target) === manifest) ?? store.records.images.list().find((image) => image.manifest === manifest)
}
