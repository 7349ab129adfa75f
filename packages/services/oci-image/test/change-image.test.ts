import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tarOf } from '@berth/layer-tar'
import { digestOf, type ImageManifest, mediaTypes } from '@berth/oci'
import { appendLayer, imageOf, layerFromTar, openImage, validate, withConfig } from '../src/index.ts'
import { Blobs, bytesOf, layerTar, sampleImage } from './fixtures.ts'

const platform = { os: 'linux', architecture: 'amd64' }

describe('a layer made of a tar', () => {
  it.each([['none', mediaTypes.ociLayer, mediaTypes.dockerLayer], ['gzip', mediaTypes.ociLayerGzip, mediaTypes.dockerLayerGzip], ['zstd', mediaTypes.ociLayerZstd, mediaTypes.dockerLayerZstd]] as const)(
    'is stored as %s', async (compression, oci, docker) => {
      const tar = layerTar('content')
      const layer = await layerFromTar(tar, { compression })
      expect(layer).toMatchObject({ diffId: digestOf(tar), descriptor: { mediaType: oci } })
      const stored = await bytesOf(layer.compressed())
      expect(layer.descriptor).toMatchObject({ digest: digestOf(stored), size: stored.length })
      expect(await bytesOf(layer.uncompressed())).toEqual(tar)
      expect((await layerFromTar(tar, { compression, docker: true })).descriptor.mediaType).toBe(docker)
    })

  it('stays as it is when it is compressed already', async () => {
    const tar = layerTar('content')
    const stored = gzipSync(tar, { level: 1 })
    const layer = await layerFromTar(() => (async function* () { yield stored })(), { compression: 'zstd' })
    expect(layer).toMatchObject({ diffId: digestOf(tar), descriptor: { mediaType: mediaTypes.ociLayerGzip, digest: digestOf(stored), size: stored.length } })
    expect(await bytesOf(layer.compressed())).toEqual(stored)
  })

  it('has the same bytes however the tar comes in pieces', async () => {
    const tar = tarOf(Array.from({ length: 60 }, (_, index) => ({ name: `file-${index}`, content: Buffer.from(Array.from({ length: 5000 }, (__, at) => (at * index) % 251)) })))
    const digests = Object.fromEntries(await Promise.all((['gzip', 'zstd'] as const).map(async (compression) => [compression, (await layerFromTar(tar, { compression })).descriptor.digest] as const)))
    await fc.assert(fc.asyncProperty(fc.array(fc.integer({ min: 700, max: 100_000 }), { minLength: 1, maxLength: 8 }), fc.constantFrom('gzip', 'zstd'), async (sizes, compression) => {
      const open = async function* () {
        for (let offset = 0, turn = 0; offset < tar.length; turn++) {
          const size = sizes[turn % sizes.length]!
          yield tar.subarray(offset, offset + size)
          offset += size
        }
      }
      expect((await layerFromTar(open, { compression })).descriptor.digest).toBe(digests[compression])
    }), { numRuns: 30 })
  })

  it('is compressed as hard as it was asked to be, and says no time', async () => {
    const tar = tarOf([{ name: 'x', content: 'abc'.repeat(10_000) }])
    const [fast, hard] = [await layerFromTar(tar, { level: 1 }), await layerFromTar(tar, { level: 9 })]
    expect(fast.descriptor.size).toBeGreaterThan(hard.descriptor.size)
    expect((await bytesOf(fast.compressed())).subarray(4, 8)).toEqual(Buffer.alloc(4))
  })

  it('that is another one by the time it is read fails', async () => {
    let content = 'before'
    const layer = await layerFromTar(async function* () { yield layerTar(content) })
    content = 'behind'
    await expect(bytesOf(layer.compressed())).rejects.toMatchObject({ kind: 'data-loss' })
    await expect(bytesOf(layer.uncompressed())).rejects.toMatchObject({ kind: 'data-loss' })
  })

  it('fails with what its source throws, or when its compression is broken', async () => {
    await expect(layerFromTar(async function* () { yield Buffer.from('abcd'); throw new Error('unplugged') })).rejects.toThrow('unplugged')
    await expect(layerFromTar(gzipSync(layerTar('x')).subarray(0, 30))).rejects.toMatchObject({ kind: 'data-loss', code: 'COMPRESSION_BROKEN' })
    await expect(layerFromTar(layerTar('x'), { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
  })
})

describe('an image from nothing', () => {
  it('is sound, and may have no layer', async () => {
    expect(await validate(await sampleImage())).toEqual([])
    const empty = imageOf({ config: platform })
    expect(await empty.config()).toEqual({ ...platform, rootfs: { type: 'layers', diff_ids: [] } })
    expect(await empty.layers()).toEqual([])
    expect(await validate(empty)).toEqual([])
  })

  it('is refused with a config that is none', () => {
    expect(() => imageOf({ config: { ...platform, config: { Env: 'x' as never } } })).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
  })

  it('cannot be changed through what it answers', async () => {
    const image = await sampleImage()
    const config = await image.config()
    config.os = 'plan9'
    ;(await image.manifest()).layers.length = 0
    expect((await image.config()).os).toBe('linux')
    expect(await image.layers()).toHaveLength(2)
  })
})

describe('a layer more', () => {
  it('lies on top of an image that stays as it was', async () => {
    const image = await sampleImage()
    const tar = layerTar('more')
    const grown = await appendLayer(image, tar, { history: { created_by: 'more' } })
    expect(await validate(grown)).toEqual([])
    expect((await grown.config()).rootfs.diff_ids).toEqual([...(await image.config()).rootfs.diff_ids, digestOf(tar)])
    expect((await grown.config()).history).toEqual([{ created_by: 'lower' }, { created_by: 'upper' }, { created_by: 'more' }])
    expect(await bytesOf((await grown.layers())[2]!.uncompressed())).toEqual(tar)
    expect(await image.layers()).toHaveLength(2)
    expect(await validate(await appendLayer(image, await layerFromTar(tar, { compression: 'zstd' })))).toEqual([])
    expect((await appendLayer(image, tar)).descriptor).toEqual((await appendLayer(await sampleImage(), tar)).descriptor)
  })

  it('is of Docker’s types on an image of Docker’s', async () => {
    const blobs = new Blobs()
    const image = await sampleImage()
    await blobs.copy(image)
    const manifest: ImageManifest = await image.manifest()
    const docker = blobs.put(mediaTypes.dockerManifest, { ...manifest, mediaType: mediaTypes.dockerManifest, config: { ...manifest.config, mediaType: mediaTypes.dockerConfig } })
    const grown = await appendLayer(openImage(blobs, docker), layerTar('more'))
    expect(await grown.manifest()).toMatchObject({ mediaType: mediaTypes.dockerManifest, config: { mediaType: mediaTypes.dockerConfig }, layers: [{}, {}, { mediaType: mediaTypes.dockerLayerGzip }] })
  })

  it('has a history on an image that had none', async () => {
    const image = imageOf({ config: platform, layers: [await layerFromTar(layerTar('one'))] })
    const grown = await appendLayer(image, layerTar('two'), { history: { comment: 'two' } })
    expect((await grown.config()).history).toEqual([{}, { comment: 'two' }])
    expect(await validate(grown)).toEqual([])
  })
})

describe('another config', () => {
  it('changes what it changes and keeps what is not known here', async () => {
    const blobs = new Blobs()
    const image = await sampleImage()
    await blobs.copy(image)
    const raw = { ...(await image.config()), config: { Cmd: ['a'], Env: ['A=b'], 'x-inner': 1 }, 'moby.buildkit.cache.v0': 'kept', author: 'gone' }
    const config = blobs.put(mediaTypes.ociConfig, raw)
    const descriptor = blobs.put(mediaTypes.ociManifest, { ...(await image.manifest()), config, annotations: { a: 'b' }, 'x-outer': [1] })
    const changed = await withConfig(openImage(blobs, descriptor), ({ author: _, ...rest }) => ({ ...rest, config: { Cmd: ['b'], User: '1' }, rootfs: { type: 'layers', diff_ids: [] } }))
    const { author: __, ...expected } = raw
    expect(JSON.parse((await bytesOf(changed.blob((await changed.manifest()).config))).toString())).toEqual({ ...expected, config: { 'x-inner': 1, Cmd: ['b'], User: '1' } })
    expect(JSON.parse((await bytesOf(changed.blob(changed.descriptor))).toString())).toMatchObject({ 'x-outer': [1], annotations: { a: 'b' } })
    expect(await validate(changed)).toEqual([])
    expect((await openImage(blobs, descriptor).config()).author).toBe('gone')
  })

  it('may take the run config away', async () => {
    const bare = await withConfig(await sampleImage(), ({ config: _, ...rest }) => rest)
    expect((await bare.config()).config).toBeUndefined()
  })

  it('is refused when it is none', async () => {
    await expect(withConfig(await sampleImage(), (config) => ({ ...config, os: 1 as never }))).rejects.toMatchObject({ kind: 'invalid-argument' })
  })
})
