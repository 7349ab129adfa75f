import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { type Descriptor, digestOf, type ImageConfig, type ImageManifest, mediaTypes } from '@berth/oci'
import { openImage, openIndex, type ProblemCode, validate } from '../src/index.ts'
import { Blobs, layerTar, partialIndex, sampleImage } from './fixtures.ts'

/** A sound image whose documents and blobs a test can spoil before they are stored. */
async function spoiled(spoil: (parts: { manifest: ImageManifest; config: ImageConfig; blobs: Blobs }) => void) {
  const blobs = new Blobs()
  const image = await sampleImage()
  await blobs.copy(image)
  const parts = { manifest: await image.manifest(), config: await image.config(), blobs }
  const before = JSON.stringify(parts.config)
  spoil(parts)
  if (JSON.stringify(parts.config) !== before) parts.manifest.config = blobs.put(mediaTypes.ociConfig, parts.config)
  const problems = await validate(openImage(blobs, blobs.put(mediaTypes.ociManifest, parts.manifest)))
  return problems.map(({ code, digest }) => [code, digest])
}

const flipped = (blobs: Blobs, { digest }: Descriptor, at: number) => {
  const bytes = Buffer.from(blobs.map.get(digest)!)
  bytes[at]! ^= 0xff
  blobs.map.set(digest, bytes)
}

describe('validation', () => {
  it('finds nothing wrong with a sound image', async () => {
    expect(await spoiled(() => {})).toEqual([])
  })

  it.each<[string, ProblemCode[], Parameters<typeof spoiled>[0]]>([
    ['a layer with another byte', ['digest'], ({ manifest, blobs }) => flipped(blobs, manifest.layers[1]!, 600)],
    ['a compressed layer with another byte', ['compression'], ({ manifest, blobs }) => flipped(blobs, manifest.layers[0]!, 20)],
    ['a layer that is longer', ['size'], ({ manifest, blobs }) => blobs.map.set(manifest.layers[1]!.digest, Buffer.alloc(manifest.layers[1]!.size + 1))],
    ['a layer that is cut', ['size'], ({ manifest, blobs }) => blobs.map.set(manifest.layers[1]!.digest, blobs.map.get(manifest.layers[1]!.digest)!.subarray(1))],
    ['a layer whose size is another one', ['size'], ({ manifest }) => (manifest.layers[1]!.size += 1)],
    ['a layer that is missing', ['missing'], ({ manifest, blobs }) => blobs.map.delete(manifest.layers[0]!.digest)],
    ['two layers that are missing', ['missing', 'missing'], ({ manifest, blobs }) => manifest.layers.forEach(({ digest }) => blobs.map.delete(digest))],
    ['a layer that the config does not know', ['layers', 'layers'], ({ config }) => config.rootfs.diff_ids.pop()],
    ['a layer that is another tar', ['diff-id'], ({ config }) => (config.rootfs.diff_ids[0] = digestOf('other'))],
    ['a layer that is labelled wrongly', ['compression'], ({ manifest }) => (manifest.layers[0]!.mediaType = mediaTypes.ociLayerZstd)],
    ['a layer that is none', ['malformed'], ({ manifest }) => (manifest.layers[0]!.mediaType = 'text/plain')],
    ['a history of other layers', ['layers'], ({ config }) => config.history!.push({ created_by: 'more' })],
    ['a config that is missing', ['missing'], ({ manifest, blobs }) => blobs.map.delete(manifest.config.digest)],
    ['a config with another byte', ['digest'], ({ manifest, blobs }) => flipped(blobs, manifest.config, 3)],
    ['a config that is none', ['malformed'], ({ manifest, blobs }) => (manifest.config = blobs.put(mediaTypes.ociConfig, []))],
    ['a config that is too large', ['malformed'], ({ manifest }) => (manifest.config.size = 5 << 20)],
  ])('finds %s', async (_, codes, spoil) => {
    const found = await spoiled(spoil)
    expect(found.map(([code]) => code)).toEqual(codes)
  })

  it('says which blob it is about, and goes on', async () => {
    let layers: Descriptor[] = []
    const found = await spoiled(({ manifest, blobs, config }) => {
      layers = manifest.layers
      flipped(blobs, layers[1]!, 600)
      config.rootfs.diff_ids[0] = digestOf('other')
    })
    expect(found).toEqual([['diff-id', layers[0]!.digest], ['digest', layers[1]!.digest]])
  })

  it('does not miss a foreign layer that is elsewhere, and an empty layer in the history', async () => {
    expect(await spoiled(({ manifest, config, blobs }) => {
      config.history!.push({ created_by: 'ENV', empty_layer: true })
      manifest.layers[0]!.mediaType = mediaTypes.ociForeignLayerGzip
      blobs.map.delete(manifest.layers[0]!.digest)
    })).toEqual([])
  })

  it('looks at what is there of an index, attestations too', async () => {
    const blobs = new Blobs()
    const { descriptor, here } = await partialIndex(blobs)
    expect(await validate(openIndex(blobs, descriptor))).toEqual([])
    const statement = blobs.put('application/vnd.in-toto+json', { says: 'something' })
    const config = blobs.put(mediaTypes.ociConfig, { os: 'unknown', architecture: 'unknown', rootfs: { type: 'layers', diff_ids: [statement.digest] } })
    const attestation = blobs.put(mediaTypes.ociManifest, { schemaVersion: 2, config, layers: [statement] }, { platform: { os: 'unknown', architecture: 'unknown' } })
    const mislabelled = { ...here, platform: { os: 'linux', architecture: 'arm64' } }
    const codes = async (manifests: Descriptor[]) => (await validate(openIndex(blobs, blobs.put(mediaTypes.ociIndex, { schemaVersion: 2, manifests })))).map(({ code }) => code)
    expect(await codes([here, attestation])).toEqual([])
    expect(await codes([mislabelled, attestation])).toEqual(['platform'])
    blobs.map.set(statement.digest, Buffer.alloc(statement.size))
    expect(await codes([here, attestation])).toEqual(['digest'])
  })

  it('is not a finding when it is cancelled', async () => {
    const image = await sampleImage()
    const abort = new AbortController()
    const reader = { has: image.has.bind(image), async *blob() { abort.abort(); abort.signal.throwIfAborted(); yield Buffer.of() } }
    await expect(validate(openImage(reader, image.descriptor), { signal: abort.signal })).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('reads a layer that inflates to very much piece by piece (gzip bombs)', async () => {
    const blobs = new Blobs()
    const bomb = blobs.put(mediaTypes.ociLayerGzip, gzipSync(Buffer.concat([layerTar('x'), Buffer.alloc(300 << 20)])))
    const config = blobs.put(mediaTypes.ociConfig, { os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [digestOf('x')] } })
    const before = process.memoryUsage().arrayBuffers
    const problems = await validate(openImage(blobs, blobs.put(mediaTypes.ociManifest, { schemaVersion: 2, config, layers: [bomb] })))
    expect(problems.map(({ code }) => code)).toEqual(['diff-id'])
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 << 20)
  })
})
