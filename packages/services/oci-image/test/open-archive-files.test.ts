import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { digestOf, mediaTypes } from '@berth/oci'
import { type ImageSource, openArchiveFiles, openImage, openIndex, resolveImage } from '../src/index.ts'
import { Blobs, bytesOf, layerTar, legacyArchive, memoryFiles, partialIndex, sampleImage } from './fixtures.ts'

const layoutFile = { imageLayoutVersion: '1.0.0' }
const path = (digest: string) => `blobs/${digest.replace(':', '/')}`

function legacyFiles({ config, configName, manifest, layers }: ReturnType<typeof legacyArchive>) {
  return { [configName]: config, 'manifest.json': manifest, ...Object.fromEntries(layers.map((layer, index) => [`layer${index}/layer.tar`, layer])) }
}

function blobFiles(blobs: Blobs) {
  return Object.fromEntries([...blobs.map].map(([digest, bytes]) => [path(digest), bytes]))
}

const names = async (source: ImageSource) => (await source.roots()).map((root) => root.names)

describe('files of a docker-archive', () => {
  it('are an image whose manifest is made of its layers as they are', async () => {
    const archive = legacyArchive()
    const source = await openArchiveFiles(memoryFiles(legacyFiles(archive)))
    const [root] = await source.roots()
    expect(root!.names).toEqual(['docker.io/library/demo:latest'])
    const image = openImage(source, root!.descriptor)
    expect(await image.id()).toBe(archive.id)
    expect((await image.manifest()).layers).toEqual(archive.layers.map((layer) => ({ mediaType: mediaTypes.ociLayer, digest: digestOf(layer), size: layer.length })))
    for (const [index, layer] of (await image.layers()).entries()) expect(await bytesOf(layer.uncompressed())).toEqual(archive.layers[index])
    expect(await (await openArchiveFiles(memoryFiles(legacyFiles(archive)))).roots()).toEqual(await source.roots())
  })

  it.each([['gzip', gzipSync, mediaTypes.ociLayerGzip], ['zstd', zstdCompressSync, mediaTypes.ociLayerZstd]] as const)('keep layers compressed by %s', async (_, compress, mediaType) => {
    const archive = legacyArchive()
    const files = legacyFiles(archive)
    const compressed = compress(archive.layers[1]!)
    const source = await openArchiveFiles(memoryFiles({ ...files, 'layer1/layer.tar': compressed }))
    const image = await resolveImage(source, (await source.roots())[0]!.descriptor)
    expect((await image.manifest()).layers[1]).toEqual({ mediaType, digest: digestOf(compressed), size: compressed.length })
    const [, layer] = await image.layers()
    expect(await bytesOf(layer!.compressed())).toEqual(compressed)
    expect(await bytesOf(layer!.uncompressed())).toEqual(archive.layers[1])
  })

  it('are not read for a digest that is known', async () => {
    const archive = legacyArchive()
    const compressed = gzipSync(archive.layers[0]!)
    let read = 0
    const files = memoryFiles({ ...legacyFiles(archive), 'layer0/layer.tar': compressed })
    await openArchiveFiles({
      ...files,
      digest: (name) => (name === 'layer0/layer.tar' ? digestOf(compressed) : undefined),
      async *read(name) {
        for (const byte of await bytesOf(files.read(name))) {
          if (name === 'layer0/layer.tar') read++
          yield Buffer.of(byte)
        }
      },
    })
    expect(read).toBe(4)
  })

  it('are each read once, however often they are named, and closed again', async () => {
    const archive = legacyArchive()
    const compressed = gzipSync(archive.layers[0]!)
    const files = memoryFiles({ ...legacyFiles(archive), 'layer0/layer.tar': compressed, 'manifest.json': Array.from({ length: 5 }, () => archive.manifest[0]!) })
    const events: string[] = []
    const source = await openArchiveFiles({
      ...files,
      async *read(name) {
        events.push(`open ${name}`)
        try {
          yield* files.read(name)
          yield Buffer.alloc(0)
        } finally {
          events.push(`close ${name}`)
        }
      },
    })
    expect(await source.roots()).toHaveLength(1)
    expect(events.toSorted()).toEqual(['manifest.json', archive.configName, 'layer0/layer.tar', 'layer1/layer.tar'].flatMap((name) => [`close ${name}`, `open ${name}`]).toSorted())
  })

  it('may have no tags', async () => {
    expect(await names(await openArchiveFiles(memoryFiles(legacyFiles(legacyArchive({ tags: null })))))).toEqual([[]])
  })

  it('give a name that stands twice to the last', async () => {
    const [one, two] = [legacyArchive(), legacyArchive({ layers: [layerTar('other')] })]
    const files = { ...legacyFiles(two), ...legacyFiles(one), [two.configName]: two.config, 'other.tar': two.layers[0]!, 'manifest.json': [...one.manifest, { ...two.manifest[0]!, Layers: ['other.tar'] }] }
    expect(await names(await openArchiveFiles(memoryFiles(files)))).toEqual([[], ['docker.io/library/demo:latest']])
  })

  const good = legacyArchive()
  const entry = good.manifest[0]!
  it.each([
    ['no list', {}, 'manifest.json: must be a list'],
    ['no object', ['x'], 'manifest.json[0]: must be an object'],
    ['no config', [{ ...entry, Config: undefined }], 'manifest.json[0].Config: must be the name of a file'],
    ['a config that is missing', [{ ...entry, Config: 'x.json' }], 'manifest.json[0].Config: the archive has no file "x.json"'],
    ['a layer that is missing', [{ ...entry, Layers: ['layer0/layer.tar', 'x'] }], 'manifest.json[0].Layers[1]: the archive has no file "x"'],
    ['layers that are no list', [{ ...entry, Layers: 'x' }], 'manifest.json[0].Layers: must be a list of strings'],
    ['tags that are no strings', [{ ...entry, RepoTags: [1] }], 'manifest.json[0].RepoTags: must be a list of strings'],
    ['fewer layers than the config', [{ ...entry, Layers: ['layer0/layer.tar'] }], 'invalid manifest, layers length mismatch: expected 2, got 1'],
    ['a tag that is none', [{ ...entry, RepoTags: ['../x:y'] }], 'invalid reference format'],
    ['a name without a tag', [{ ...entry, RepoTags: ['busybox'] }], 'invalid tag "busybox"'],
    ['a config that is none', [{ ...entry, Config: 'layer0/layer.tar' }], 'layer0/layer.tar: config: is not JSON'],
  ])('are refused with %s', async (_, manifest, message) => {
    await expect(openArchiveFiles(memoryFiles({ ...legacyFiles(good), 'manifest.json': manifest }))).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining(message) as string })
  })

  it('are refused when they are too large, no JSON, or nothing at all', async () => {
    const refused = async (files: Record<string, string | Uint8Array>) => expect(openArchiveFiles(memoryFiles(files))).rejects.toMatchObject({ kind: 'invalid-argument' })
    await refused({ 'manifest.json': Buffer.alloc(4 * 1024 * 1024 + 1, ' ') })
    await refused({ 'manifest.json': '[' })
    await refused({ 'manifest.json': Buffer.from([0x22, 0xff, 0x22]) })
    await refused({})
    await refused({ 'index.json': '{}' })
  })

  it('with layers that are not what the config says fail when they are read, before the end', async () => {
    const archive = legacyArchive()
    const lie = Buffer.from(archive.layers[0]!)
    lie[600] = 0xff
    const source = await openArchiveFiles(memoryFiles({ ...legacyFiles(archive), 'layer0/layer.tar': lie }))
    const [layer] = await (await resolveImage(source, (await source.roots())[0]!.descriptor)).layers()
    await expect(bytesOf(layer!.compressed())).rejects.toMatchObject({ kind: 'data-loss' })
  })
})

describe('files of an OCI layout', () => {
  const named = (descriptor: object, annotations: Record<string, string>) => ({ ...descriptor, annotations })

  it('are roots, named by whole names, or by names where tags stand', async () => {
    const blobs = new Blobs()
    const all = await Promise.all(['a', 'b', 'c', 'd', 'e'].map(async (seed) => blobs.copy(await sampleImage(seed))))
    const files = memoryFiles({
      ...blobFiles(blobs),
      'oci-layout': layoutFile,
      'index.json': {
        schemaVersion: 2,
        manifests: [
          named(all[0]!, { 'io.containerd.image.name': 'docker.io/library/a:1', 'org.opencontainers.image.ref.name': '1' }),
          named(all[1]!, { 'org.opencontainers.image.ref.name': 'example.org/b' }),
          named(all[2]!, { 'org.opencontainers.image.ref.name': 'latest' }),
          named(all[3]!, { 'io.containerd.image.name': 'NOT A NAME' }),
          all[4]!,
          named(all[0]!, { 'io.containerd.image.name': 'docker.io/library/a:2' }),
          { ...all[4]!, digest: digestOf('sbom'), mediaType: 'application/spdx+json' },
        ],
      },
    })
    const source = await openArchiveFiles(files)
    expect(await names(source)).toEqual([['docker.io/library/a:1', 'docker.io/library/a:2'], ['example.org/b:latest'], [], [], []])
    expect((await source.roots())[2]!.descriptor.annotations).toEqual({ 'org.opencontainers.image.ref.name': 'latest' })
    expect(await (await resolveImage(source, all[1]!)).id()).toBe(await (await sampleImage('b')).id())
  })

  it('may have an index of which parts are missing', async () => {
    const blobs = new Blobs()
    const { descriptor, here } = await partialIndex(blobs)
    const source = await openArchiveFiles(memoryFiles({ ...blobFiles(blobs), 'oci-layout': layoutFile, 'index.json': { schemaVersion: 2, manifests: [descriptor] } }))
    const index = openIndex(source, (await source.roots())[0]!.descriptor)
    expect((await index.images()).map((image) => image.descriptor.digest)).toEqual([here.digest])
    expect((await index.image({ os: 'linux', architecture: 'amd64' })).descriptor.digest).toBe(here.digest)
    await expect(index.image({ os: 'linux', architecture: 'riscv64' })).rejects.toMatchObject({ kind: 'not-found' })
    await expect((await index.image({ os: 'linux', architecture: 's390x' })).config()).rejects.toMatchObject({ kind: 'not-found' })
  })

  it('are not gone through again for each of many indexes that name the same (indexes in indexes)', async () => {
    const blobs = new Blobs()
    const image = await sampleImage()
    const child = await blobs.copy(image)
    const shared = blobs.put(mediaTypes.ociIndex, { schemaVersion: 2, manifests: [child] })
    const roots = Array.from({ length: 50 }, (_, at) => blobs.put(mediaTypes.ociIndex, { schemaVersion: 2, manifests: [shared], annotations: { at: String(at) } }))
    const files = memoryFiles({ ...blobFiles(blobs), 'oci-layout': layoutFile, 'index.json': { schemaVersion: 2, manifests: roots }, 'manifest.json': [] })
    const reads: string[] = []
    const source = await openArchiveFiles({ ...files, read: (name, options) => (reads.push(name), files.read(name, options)) })
    expect(await source.roots()).toHaveLength(50)
    for (const { digest } of [shared, child]) expect(reads.filter((name) => name === path(digest))).toHaveLength(1)
  })

  it.each([
    ['of another version', { 'oci-layout': { imageLayoutVersion: '2.0.0' } }, 'oci-layout: version "2.0.0" is not supported'],
    ['with a marker that is none', { 'oci-layout': '[]' }, 'oci-layout: version undefined'],
    ['with an index that is none', { 'index.json': '{}' }, 'index.json: index.schemaVersion: is missing'],
    ['with an index that is a manifest too (CVE-2021-41190)', { 'index.json': { schemaVersion: 2, manifests: [], layers: [] } }, 'must not stand beside'],
    ['with digests that lead elsewhere', { 'index.json': { schemaVersion: 2, manifests: [{ mediaType: mediaTypes.ociManifest, digest: 'sha256:../../../etc/passwd', size: 1 }] } }, 'must be a digest'],
  ])('are refused %s', async (_, files, message) => {
    await expect(openArchiveFiles(memoryFiles({ 'oci-layout': layoutFile, 'index.json': { schemaVersion: 2, manifests: [] }, ...files }))).rejects.toMatchObject({
      kind: 'invalid-argument', message: expect.stringContaining(message) as string,
    })
  })

  it('whose digests lie fail when they are read', async () => {
    const blobs = new Blobs()
    const image = await sampleImage()
    const descriptor = await blobs.copy(image)
    const { config, layers } = await image.manifest()
    for (const { digest } of [descriptor, config, layers[0]!]) {
      const files = { ...blobFiles(blobs), 'oci-layout': layoutFile, 'index.json': { schemaVersion: 2, manifests: [descriptor] }, [path(digest)]: Buffer.from(blobs.map.get(digest)!).fill(' ', 0, 1) }
      const source = await openArchiveFiles(memoryFiles(files))
      const reading = async () => {
        for (const layer of await openImage(source, descriptor).layers()) await bytesOf(layer.compressed())
      }
      await expect(reading()).rejects.toMatchObject({ kind: 'data-loss' })
    }
  })

  it('with a manifest that is an index too are refused (CVE-2021-41190)', async () => {
    const blobs = new Blobs()
    const image = await sampleImage()
    await blobs.copy(image)
    const both = blobs.put(mediaTypes.ociManifest, { ...(await image.manifest()), mediaType: undefined, manifests: [] })
    const source = await openArchiveFiles(memoryFiles({ ...blobFiles(blobs), 'oci-layout': layoutFile, 'index.json': { schemaVersion: 2, manifests: [both] } }))
    await expect(openImage(source, both).manifest()).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining('must not stand beside') as string })
  })
})

describe('files that are both', () => {
  async function both(change: { manifest?: object[]; names?: Record<string, string> } = {}) {
    const blobs = new Blobs()
    const { descriptor, here } = await partialIndex(blobs)
    const single = await sampleImage('single')
    const other = await blobs.copy(single)
    const multi = await resolveImage(blobs, here)
    const entryOf = async (image: typeof single, tags: string[]) => {
      const { config, layers } = await image.manifest()
      return { Config: path(config.digest), RepoTags: tags, Layers: layers.map(({ digest }) => path(digest)) }
    }
    const files = {
      ...blobFiles(blobs),
      'oci-layout': layoutFile,
      'index.json': {
        schemaVersion: 2,
        manifests: [
          { ...descriptor, annotations: { 'io.containerd.image.name': change.names?.['multi'] ?? 'docker.io/library/multi:latest' } },
          { ...other, annotations: { 'io.containerd.image.name': change.names?.['single'] ?? 'docker.io/library/single:latest' } },
        ],
      },
      'manifest.json': change.manifest ?? [await entryOf(multi, ['multi:latest']), await entryOf(single, ['single:latest'])],
    }
    return { files, descriptor, other, single, entryOf, multi }
  }

  it('are the images of the layout, each once', async () => {
    const { files, descriptor, other } = await both()
    const source = await openArchiveFiles(memoryFiles(files))
    expect((await source.roots()).map((root) => [root.names, root.descriptor.digest])).toEqual([
      [['docker.io/library/multi:latest'], descriptor.digest],
      [['docker.io/library/single:latest'], other.digest],
    ])
  })

  it('have the names of manifest.json, wherever it differs', async () => {
    const { single, multi, entryOf } = await both()
    const { files } = await both({
      manifest: [await entryOf(multi, ['renamed:1']), await entryOf(single, ['single:latest', 'multi:latest'])],
      names: { single: `docker.io/library/single@${single.descriptor.digest}` },
    })
    expect(await names(await openArchiveFiles(memoryFiles(files)))).toEqual([
      ['docker.io/library/renamed:1'],
      [`docker.io/library/single@${single.descriptor.digest}`, 'docker.io/library/single:latest', 'docker.io/library/multi:latest'],
    ])
  })

  it('have images that only manifest.json knows, too', async () => {
    const { files } = await both()
    const more = legacyArchive({ tags: ['more:1'] })
    const source = await openArchiveFiles(memoryFiles({ ...files, ...legacyFiles(more), 'manifest.json': [...files['manifest.json'], ...more.manifest] }))
    expect(await names(source)).toEqual([['docker.io/library/multi:latest'], ['docker.io/library/single:latest'], ['docker.io/library/more:1']])
    expect(await (await resolveImage(source, (await source.roots())[2]!.descriptor)).id()).toBe(more.id)
  })

  it('are refused when a config is not what its name says', async () => {
    const { files, single } = await both()
    const { config } = await single.manifest()
    const lie = Buffer.from((await bytesOf(single.blob(config))).toString().replace('amd64', 'arm64'))
    await expect(openArchiveFiles(memoryFiles({ ...files, [path(config.digest)]: lie }))).rejects.toMatchObject({ kind: 'data-loss' })
  })
})
