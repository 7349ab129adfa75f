import { describe, expect, it } from 'vitest'
import { TarReader } from '@berth/layer-tar'
import { type Descriptor, digestOf, mediaTypes } from '@berth/oci'
import { archiveOf, type ArchiveOptions, type BlobReader, type Root } from '../src/index.ts'
import { Blobs, bytesOf, partialIndex, sampleImage } from './fixtures.ts'

async function pack(roots: readonly Root[], reader: BlobReader, options?: ArchiveOptions) {
  const bytes = await bytesOf(archiveOf(roots, reader, options))
  const names: string[] = []
  const files = new Map<string, Buffer>()
  let content: Buffer[] = []
  let name = ''
  const tar = new TarReader({
    entry: (entry) => {
      expect(entry).toMatchObject({ mtime: 0n, uid: 0, gid: 0, mode: entry.type === 'directory' ? 0o755 : 0o644 })
      names.push((name = entry.name))
      content = []
    },
    data: (piece) => content.push(Buffer.from(piece)),
    end: () => files.set(name, Buffer.concat(content)),
  })
  tar.push(bytes)
  tar.finish()
  const json = (file: string) => JSON.parse(files.get(file)!.toString()) as never
  return { bytes, names, files, index: json('index.json') as { manifests: Descriptor[] }, manifest: json('manifest.json') as { RepoTags: string[] | null; Layers: string[]; Config: string }[], json }
}

const path = ({ digest }: Descriptor) => `blobs/${digest.replace(':', '/')}`

describe('an archive', () => {
  it('is an OCI layout and a docker-archive, of the same bytes each time', async () => {
    const image = await sampleImage()
    const roots = [{ names: ['docker.io/library/demo:latest', 'localhost:5000/a/demo:v1'], descriptor: image.descriptor }]
    const archive = await pack(roots, image)
    const { config, layers } = await image.manifest()
    const blobs = [image.descriptor, config, ...layers].map(path).toSorted()
    expect(archive.names).toEqual(['oci-layout', 'index.json', 'manifest.json', 'repositories', 'blobs/', 'blobs/sha256/', ...blobs])
    expect(archive.json('oci-layout')).toEqual({ imageLayoutVersion: '1.0.0' })
    expect(archive.index).toEqual({
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [
        { ...image.descriptor, annotations: { 'io.containerd.image.name': 'docker.io/library/demo:latest', 'org.opencontainers.image.ref.name': 'latest' } },
        { ...image.descriptor, annotations: { 'io.containerd.image.name': 'localhost:5000/a/demo:v1', 'org.opencontainers.image.ref.name': 'v1' } },
      ],
    })
    expect(archive.manifest).toEqual([{ Config: path(config), RepoTags: ['demo:latest', 'localhost:5000/a/demo:v1'], Layers: layers.map(path) }])
    expect(archive.json('repositories')).toEqual({ demo: { latest: layers[1]!.digest.slice(7) }, 'localhost:5000/a/demo': { v1: layers[1]!.digest.slice(7) } })
    for (const descriptor of [image.descriptor, config, ...layers]) expect(archive.files.get(path(descriptor))).toEqual(await bytesOf(image.blob(descriptor)))
    expect(archive.bytes.equals((await pack(roots, await sampleImage())).bytes)).toBe(true)
  })

  it('has a blob once that several images share', async () => {
    const blobs = new Blobs()
    const [one, two] = [await sampleImage('one'), await sampleImage('two')]
    const roots = [{ names: [], descriptor: await blobs.copy(one) }, { names: ['docker.io/library/two:latest'], descriptor: await blobs.copy(two) }]
    const archive = await pack(roots, blobs)
    expect(new Set(archive.names).size).toBe(archive.names.length)
    expect(archive.names.filter((name) => /^blobs\/sha256\/./.test(name))).toHaveLength(7)
    expect(archive.manifest.map(({ RepoTags }) => RepoTags)).toEqual([null, ['two:latest']])
  })

  it('joins the names of one digest, and keeps a digest beside a tag out of manifest.json', async () => {
    const image = await sampleImage()
    const { digest } = image.descriptor
    const archive = await pack([{ names: ['docker.io/library/a:1'], descriptor: image.descriptor }, { names: [`docker.io/library/a@${digest}`], descriptor: image.descriptor }], image)
    expect(archive.manifest.map(({ RepoTags }) => RepoTags)).toEqual([['a:1']])
    expect(archive.index.manifests.map(({ annotations }) => annotations)).toEqual([
      { 'io.containerd.image.name': 'docker.io/library/a:1', 'org.opencontainers.image.ref.name': '1' },
      { 'io.containerd.image.name': `docker.io/library/a@${digest}` },
    ])
  })

  it('leaves out what an index names and is not there, and keeps the index as it is', async () => {
    const blobs = new Blobs()
    const { descriptor, here, elsewhere, attestation } = await partialIndex(blobs)
    const archive = await pack([{ names: ['docker.io/library/multi:latest'], descriptor }], blobs)
    expect(archive.index.manifests[0]).toMatchObject({ digest: descriptor.digest, mediaType: mediaTypes.ociIndex })
    expect(archive.files.get(path(descriptor))).toEqual(blobs.map.get(descriptor.digest))
    expect(archive.names).toContain(path(here))
    for (const absent of [elsewhere, attestation]) expect(archive.names).not.toContain(path(absent))
    expect(archive.manifest).toHaveLength(1)
  })

  it('has of an index the platforms that were asked for, with what is attested of them', async () => {
    const blobs = new Blobs()
    const platforms = { amd: { os: 'linux', architecture: 'amd64' }, s390x: { os: 'linux', architecture: 's390x' } }
    const [amd, s390x] = [await blobs.copy(await sampleImage('amd', platforms.amd), { platform: platforms.amd }), await blobs.copy(await sampleImage('s390x', platforms.s390x), { platform: platforms.s390x })]
    const attest = (of: Descriptor) => {
      const layer = blobs.put('application/vnd.in-toto+json', { of: of.digest })
      const config = blobs.put(mediaTypes.ociConfig, { of: of.digest })
      const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] }
      return blobs.put(mediaTypes.ociManifest, manifest, {
        platform: { os: 'unknown', architecture: 'unknown' }, annotations: { 'vnd.docker.reference.type': 'attestation-manifest', 'vnd.docker.reference.digest': of.digest },
      })
    }
    const [ofAmd, ofS390x] = [attest(amd), attest(s390x)]
    const descriptor = blobs.put(mediaTypes.ociIndex, { schemaVersion: 2, manifests: [amd, s390x, ofAmd, ofS390x] })
    const roots = [{ names: [], descriptor }]
    const all = await pack(roots, blobs)
    for (const each of [amd, s390x, ofAmd, ofS390x]) expect(all.names).toContain(path(each))
    const one = await pack(roots, blobs, { platforms: [platforms.s390x] })
    for (const each of [descriptor, s390x, ofS390x]) expect(one.names).toContain(path(each))
    for (const each of [amd, ofAmd]) expect(one.names).not.toContain(path(each))
    expect(one.manifest).toHaveLength(1)
    await expect(pack(roots, blobs, { platforms: [{ os: 'linux', architecture: 'riscv64' }] })).rejects.toMatchObject({ kind: 'not-found' })
  })

  it('has blobs of other digest algorithms where a layout has them', async () => {
    const blobs = new Blobs()
    const bytes = Buffer.from('{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}')
    const digest = digestOf(bytes, 'sha512')
    blobs.map.set(digest, bytes)
    const descriptor = blobs.put(mediaTypes.ociManifest, { schemaVersion: 2, config: { mediaType: mediaTypes.ociConfig, digest, size: bytes.length }, layers: [] })
    const archive = await pack([{ names: [], descriptor }], blobs)
    expect(archive.files.get(`blobs/sha512/${digest.slice(7)}`)).toEqual(bytes)
    expect(archive.names).toContain('blobs/sha512/')
    expect(archive.manifest[0]!.Config).toBe(`blobs/sha512/${digest.slice(7)}`)
  })

  it('keeps a manifest of something else than an image in the layout alone', async () => {
    const blobs = new Blobs()
    const empty = blobs.put('application/vnd.oci.empty.v1+json', {})
    const descriptor = blobs.put(mediaTypes.ociManifest, { schemaVersion: 2, mediaType: mediaTypes.ociManifest, artifactType: 'application/x.thing', config: empty, layers: [empty] })
    const archive = await pack([{ names: [], descriptor }], blobs)
    expect(archive.manifest).toEqual([])
    expect(archive.names).toContain(path(empty))
  })

  it('fails before its first byte for a root that is not there, or is not whole', async () => {
    const blobs = new Blobs()
    const image = await sampleImage()
    const roots = [{ names: [], descriptor: image.descriptor }]
    await expect(archiveOf(roots, blobs).next()).rejects.toMatchObject({ kind: 'not-found' })
    await blobs.copy(image)
    blobs.map.delete((await image.manifest()).layers[0]!.digest)
    await expect(archiveOf(roots, blobs).next()).rejects.toMatchObject({ kind: 'not-found', code: 'IMAGE_INCOMPLETE' })
  })

  it('breaks off when a blob is not as long as it should be', async () => {
    const blobs = new Blobs()
    const image = await sampleImage()
    await blobs.copy(image)
    const layer = (await image.manifest()).layers[0]!
    for (const bytes of [Buffer.alloc(layer.size + 1), Buffer.alloc(layer.size - 1)]) {
      blobs.map.set(layer.digest, bytes)
      await expect(pack([{ names: [], descriptor: image.descriptor }], blobs)).rejects.toMatchObject({ kind: 'data-loss' })
    }
  })

  it('ends when it is cancelled, and closes what it was reading', async () => {
    const image = await sampleImage('x'.repeat(1000))
    const abort = new AbortController()
    let closed = false
    const slow: BlobReader = {
      has: (descriptor) => image.has(descriptor),
      async *blob(descriptor, options) {
        try {
          if (descriptor.size > 1000) abort.abort()
          yield* image.blob(descriptor, options)
        } finally {
          if (descriptor.size > 1000) closed = true
        }
      },
    }
    await expect(bytesOf(archiveOf([{ names: [], descriptor: image.descriptor }], slow, { signal: abort.signal }))).rejects.toMatchObject({ name: 'AbortError' })
    expect(closed).toBe(true)
  })
})
