import { randomBytes } from 'node:crypto'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { type BerthError, kindOf } from '@berth/core'
import { type TarMember, tarOf } from '@berth/layer-tar'
import { type Descriptor, digestOf, mediaTypes } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hex, publish, publishIndex, StoreHarness } from './harness.ts'

const busybox = 'registry.test/busybox'
const none = new Map<string, readonly string[]>()
const { signal } = new AbortController()
const empty = { content: [], ingest: [], snapshots: [] }
let harness: StoreHarness
let other: StoreHarness

beforeEach(async () => {
  harness = await StoreHarness.start()
  other = await StoreHarness.start()
})
afterEach(async () => {
  await harness[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
})

const save = async (refs: string[], platforms?: string[]) => Buffer.concat(await Array.fromAsync(await harness.store.save(refs, { platforms, signal })))
const load = (archive: Uint8Array, options: { platforms?: string[]; quiet?: boolean; piece?: number; to?: StoreHarness } = {}) =>
  Array.fromAsync((options.to ?? other).store.load({ source: pieces(archive, options.piece ?? 64 * 1024), quiet: true, signal, ...options }))
const lines = (messages: { stream?: string }[]) => messages.flatMap(({ stream }) => stream ?? [])

async function* pieces(bytes: Uint8Array, size: number) {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size)
}

/** An archive as docker wrote it before it knew OCI layouts: layers are plain tars in directories, one linked to another. */
function dockerArchive(layers: Record<string, string>[], tags: string[] | null = ['registry.test/old:1'], change: object = {}): { archive: Buffer; id: string } {
  const tars = layers.map((files) => tarOf(Object.entries(files).map(([name, content]) => ({ name, content }))))
  const config = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', config: { Cmd: ['sh'] }, rootfs: { type: 'layers', diff_ids: tars.map((tar) => digestOf(tar)) }, ...change }),
  )
  const id = digestOf(config)
  const firstOf = (tar: Buffer) => tars.findIndex((each) => each.equals(tar))
  const members: TarMember[] = tars.map((tar, index) =>
    firstOf(tar) === index
      ? { name: `layer${index}/layer.tar`, content: tar }
      : { name: `layer${index}/layer.tar`, type: 'symlink', linkname: `../layer${firstOf(tar)}/layer.tar` },
  )
  const manifest = [{ Config: `${hex(id)}.json`, RepoTags: tags, Layers: tars.map((_, index) => `layer${index}/layer.tar`) }]
  return { id, archive: tarOf([...members, { name: `${hex(id)}.json`, content: config }, { name: 'manifest.json', content: JSON.stringify(manifest) }]) }
}

describe('save and load', () => {
  it.each([
    ['plain', (archive: Buffer) => archive],
    ['gzip', (archive: Buffer) => gzipSync(archive)],
    ['zstd', (archive: Buffer) => zstdCompressSync(archive)],
    ['zstd of several frames', (archive: Buffer) => Buffer.concat([zstdCompressSync(archive.subarray(0, 3000)), zstdCompressSync(archive.subarray(3000))])],
  ])('carry an image over, %s', async (_, packed) => {
    const image = publish(harness.registry, 'busybox', [{ a: '1' }, { b: randomBytes(400_000).toString('base64') }])
    await harness.pull(busybox)
    const archive = await save([busybox])
    expect(harness.events.at(-1)).toMatchObject({ action: 'save', id: image.id })
    expect(lines(await load(packed(archive)))).toEqual([`Loaded image: ${busybox}:latest\n`])
    expect(other.events).toMatchObject([{ action: 'load', id: image.id, attributes: { name: image.id } }])
    const { id, chainId } = await other.store.resolve(busybox)
    expect(id).toBe(image.id)
    expect(other.snapshotter.read(chainId!)).toEqual(harness.snapshotter.read(chainId!))
    expect((await other.contents()).content).toEqual((await harness.contents()).content)
    expect(await other.fsck()).toEqual([])
    expect(await harness.fsck()).toEqual([])
    expect((await save([busybox])).equals(archive)).toBe(true)
  })

  it('say the progress of layers unless they are to be quiet', async () => {
    const image = publish(harness.registry, 'busybox', [{ a: randomBytes(2000).toString('hex') }])
    await harness.pull(busybox)
    const messages = await load(await save([busybox]), { quiet: false })
    expect(messages.filter(({ status }) => status)).toContainEqual(
      expect.objectContaining({ id: hex(image.layers[0]!.diffId).slice(0, 12), status: 'Loading layer', progressDetail: expect.objectContaining({ total: image.layers[0]!.bytes.length }) }),
    )
  })

  it('take several images, all tags of a repository, and IDs without names', async () => {
    publish(harness.registry, 'busybox', [{ a: '1' }], { tag: 'one' })
    publish(harness.registry, 'busybox', [{ a: '1' }, { b: '2' }], { tag: 'two' })
    const tools = publish(harness.registry, 'tools', [{ t: '3' }])
    for (const [image, tag] of [[busybox, 'one'], [busybox, 'two'], ['registry.test/tools', 'latest']] as const) await harness.pull(image, { tag })
    expect(lines(await load(await save([busybox, tools.id]))).toSorted()).toEqual([`Loaded image ID: ${tools.id}\n`, `Loaded image: ${busybox}:one\n`, `Loaded image: ${busybox}:two\n`])
    expect((await other.store.inspect(tools.id)).RepoTags).toEqual([])
    expect(other.store.count()).toBe(3)
    expect(await other.fsck()).toEqual([])
  })

  it('take a name from the image that has it, as docker tells', async () => {
    const mine = publish(other.registry, 'busybox', [{ mine: '1' }])
    await other.pull(busybox)
    const theirs = publish(harness.registry, 'busybox', [{ theirs: '1' }])
    await harness.pull(busybox)
    expect(lines(await load(await save([busybox])))).toEqual([
      `The image ${busybox}:latest already exists, renaming the old one with ID ${mine.id} to empty string\n`,
      `Loaded image: ${busybox}:latest\n`,
    ])
    expect((await other.store.resolve(busybox)).id).toBe(theirs.id)
    expect((await other.store.inspect(mine.id)).RepoTags).toEqual([])
  })

  it('carry all platforms, or those that are asked for, with what is attested', async () => {
    const images = ['amd64', 'arm64'].map((architecture) => publish(harness.registry, 'multi', [{ arch: architecture }], { tag: undefined, change: { architecture } }))
    const index = publishIndex(harness.registry, 'multi', images)
    for (const platform of ['linux/amd64', 'linux/arm64']) await harness.pull('registry.test/multi', { platform })
    const both = await save(['registry.test/multi'])
    await load(both)
    for (const [position, platform] of ['linux/amd64', 'linux/arm64'].entries()) expect((await other.store.resolve('registry.test/multi', { platform })).id).toBe(images[position]!.id)
    expect((await other.store.resolve(`registry.test/multi`)).id).toBe(images[0]!.id)
    await other.store.remove('registry.test/multi', { force: false })
    expect(await other.contents()).toEqual(empty)

    await load(both, { platforms: ['linux/arm64'] })
    expect((await other.store.list({ filters: none })).map(({ Id }) => Id)).toEqual([images[1]!.id])
    await expect(load(both, { platforms: ['linux/s390x'] })).rejects.toMatchObject({ kind: 'not-found', message: 'requested platform (linux/s390x) not found' })
    await other.store.remove('registry.test/multi', { force: false })

    await load(await save(['registry.test/multi'], ['linux/arm64']))
    expect((await other.store.list({ filters: none })).map(({ Id }) => Id)).toEqual([images[1]!.id])
    await expect(save(['registry.test/multi'], ['linux/s390x'])).rejects.toThrow('was found but does not provide the specified platform (linux/s390x)')
    expect(index).toMatch(/^sha256:/)
    expect(await other.fsck()).toEqual([])
  })

  it('leave attestations alone, and keep them as long as their index', async () => {
    const image = publish(harness.registry, 'app', [{ a: '1' }], { tag: undefined })
    const statement = Buffer.from('{"_type":"https://in-toto.io/Statement/v0.1"}')
    const config = Buffer.from('{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":[]}}')
    const blob = (bytes: Buffer, mediaType: string): Descriptor => ({ mediaType, digest: digestOf(bytes), size: bytes.length })
    const attestation = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: blob(config, mediaTypes.ociConfig), layers: [blob(statement, 'application/vnd.in-toto+json')] }),
    )
    const described = {
      ...blob(attestation, mediaTypes.ociManifest),
      annotations: { 'vnd.docker.reference.type': 'attestation-manifest', 'vnd.docker.reference.digest': image.digest },
      platform: { os: 'unknown', architecture: 'unknown' },
    }
    const imageManifest = Buffer.from(JSON.stringify(image.manifest))
    const index = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.ociIndex,
        manifests: [{ ...blob(imageManifest, mediaTypes.ociManifest), platform: { os: 'linux', architecture: 'amd64' } }, described],
      }),
    )
    const blobs = [index, imageManifest, attestation, statement, config, Buffer.from(JSON.stringify(image.config)), image.layers[0]!.bytes]
    const archive = tarOf([
      { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
      { name: 'index.json', content: JSON.stringify({ schemaVersion: 2, manifests: [{ ...blob(index, mediaTypes.ociIndex), annotations: { 'io.containerd.image.name': 'registry.test/app:1' } }] }) },
      ...blobs.map((bytes) => ({ name: `blobs/sha256/${hex(digestOf(bytes))}`, content: bytes })),
    ])
    expect(lines(await load(archive))).toEqual(['Loaded image: registry.test/app:1\n'])
    expect((await other.contents()).content).toEqual(blobs.map((bytes) => hex(digestOf(bytes))).toSorted())
    await other.store.collect()
    expect((await other.contents()).content).toHaveLength(7)
    expect((await other.store.inspect('registry.test/app:1', { manifests: true })).Manifests).toMatchObject([
      { Kind: 'image', Available: true },
      { Kind: 'attestation', Available: true, AttestationData: { For: image.digest } },
    ])
    const pushed = await Array.fromAsync(other.store.push({ image: 'registry.test/app', tag: '1', signal }))
    expect(pushed.at(-1)).toMatchObject({ aux: { Digest: digestOf(index) } })
    expect(other.registry.manifests.has(`app@${digestOf(attestation)}`)).toBe(true)
    await other.store.remove('registry.test/app:1', { force: false })
    expect(await other.contents()).toEqual(empty)
  })

  it('understand what docker wrote before, with linked layers and without names', async () => {
    const { archive, id } = dockerArchive([{ a: '1' }, { b: randomBytes(300_000).toString('hex') }, { a: '1' }])
    expect(lines(await load(archive, { piece: 1000 }))).toEqual(['Loaded image: registry.test/old:1\n'])
    const { chainId } = await other.store.resolve('registry.test/old:1')
    expect(Object.keys(other.snapshotter.read(chainId!)).toSorted()).toEqual(['a', 'b'])
    const nameless = dockerArchive([{ c: '1' }], null)
    expect(lines(await load(nameless.archive))).toEqual([`Loaded image ID: ${nameless.id}\n`])
    expect(id).toBe((await other.store.resolve('registry.test/old:1')).id)
    expect(await other.fsck()).toEqual([])
    // What was loaded is saved and pushed as it is.
    const pushed = await Array.fromAsync(other.store.push({ image: 'registry.test/old', tag: '1', signal }))
    expect(pushed.map(({ status }) => status)).toContain('Pushed')
    const again = Buffer.concat(await Array.fromAsync(await other.store.save(['registry.test/old:1'], { signal })))
    expect(lines(await load(again, { to: harness }))).toEqual(['Loaded image: registry.test/old:1\n'])
  })

  it('keep what is saved while it is read, though it is removed meanwhile', async () => {
    publish(harness.registry, 'busybox', [{ a: randomBytes(500_000).toString('base64') }])
    await harness.pull(busybox)
    const chunks: Uint8Array[] = []
    let isRemoved = false
    for await (const chunk of await harness.store.save([busybox], { signal })) {
      chunks.push(chunk)
      if (!isRemoved) await harness.store.remove(busybox, { force: false })
      isRemoved = true
    }
    expect(await harness.contents()).toEqual(empty)
    expect(lines(await load(Buffer.concat(chunks)))).toEqual([`Loaded image: ${busybox}:latest\n`])
  })

  it('reject at once what is not here', async () => {
    await expect(harness.store.save(['nothing'], { signal })).rejects.toMatchObject({ kind: 'not-found', message: 'No such image: nothing:latest' })
  })
})

describe('an archive that', () => {
  /** Kind and message of the error by which an archive is refused, which leaves nothing. */
  const refusal = async (archive: Uint8Array): Promise<string> => {
    const error = await load(archive).then(() => new Error('it was taken'), (reason: BerthError) => reason) // prettier-ignore
    expect(await other.contents()).toEqual(empty)
    expect(other.store.count()).toBe(0)
    expect(await other.fsck()).toEqual([])
    return `${kindOf(error)}: ${error.message}`
  }
  const good = () => dockerArchive([{ a: randomBytes(400_000).toString('hex') }, { b: '2' }]).archive
  const member = (name: string, rest: Partial<TarMember> = {}) => tarOf([{ name, content: 'x', ...rest }, { name: 'manifest.json', content: '[]' }])

  it('is empty, or no archive, or of no images is refused', async () => {
    expect(await refusal(Buffer.alloc(0))).toMatch(/^invalid-argument: .*unrecognized image format/)
    expect(await refusal(Buffer.from('no tar at all '.repeat(100)))).toMatch(/^invalid-argument: .*could not be read/)
    expect(await refusal(tarOf([{ name: 'etc/passwd', content: 'root' }]))).toMatch(/^invalid-argument: .*unrecognized image format/)
    expect(await refusal(tarOf([{ name: 'manifest.json', content: '[]' }]))).toMatch(/^not-found: .*holds no image/)
  })

  it('is cut off at any place leaves nothing', async () => {
    const archive = good()
    for (const length of [512, 700, 100_000, 401_000, archive.length - 2000]) expect(await refusal(archive.subarray(0, length))).toMatch(/^invalid-argument: .*(?:could not be read|unrecognized|has no file)/)
    expect(await refusal(gzipSync(archive).subarray(0, 200_000))).toMatch(/^invalid-argument: .*could not be read/)
    expect(await refusal(zstdCompressSync(archive).subarray(0, 200_000))).toMatch(/^invalid-argument: .*could not be read/)
  })

  it('needs a decompressor is refused by name: no program is looked for (GHSA-x86f-5xw2-fm2r, decompressor from the container’s PATH)', async () => {
    expect(await refusal(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 4]))).toMatch(/^invalid-argument: .*compressed with xz, which is not supported/)
    expect(await refusal(Buffer.from('BZh91AY&SY'))).toMatch(/^invalid-argument: .*compressed with bzip2, which is not supported/)
  })

  it('names, or links to, what is outside of it is refused (CVE-2026-23745, link chains)', async () => {
    expect(await refusal(member('../../etc/passwd'))).toMatch(/^invalid-argument: .*leads out of it/)
    expect(await refusal(member('/etc/passwd'))).toMatch(/^invalid-argument: .*leads out of it/)
    const manifest = (config: string) => ({ name: 'manifest.json', content: JSON.stringify([{ Config: config, RepoTags: null, Layers: [] }]) })
    expect(await refusal(tarOf([{ name: 'a.json', type: 'symlink', linkname: '../../../etc/passwd' }, manifest('a.json')]))).toMatch(/^invalid-argument: .*leads out of it/)
    expect(await refusal(tarOf([{ name: 'a.json', type: 'symlink', linkname: 'b.json' }, { name: 'b.json', type: 'symlink', linkname: 'a.json' }, manifest('a.json')]))).toMatch(/^invalid-argument: .*leads nowhere/)
    expect(await refusal(tarOf([manifest('../../../../etc/passwd')]))).toMatch(/^invalid-argument: .*leads out of it/)
    expect(await refusal(member('device', { type: 'character-device' }))).toMatch(/^invalid-argument: .*no archive of images has/)
  })

  it('lies about a blob is refused, and so is one whose layers are not its config’s', async () => {
    publish(harness.registry, 'busybox', [{ a: randomBytes(400_000).toString('base64') }])
    await harness.pull(busybox)
    const archive = await save([busybox])
    const position = archive.length - 100_000
    archive[position]! ^= 0xff
    expect(await refusal(archive)).toMatch(/^data-loss: .*(?:verified|digest)/)
    const { archive: wrong } = dockerArchive([{ a: '1' }], ['x:1'], { rootfs: { type: 'layers', diff_ids: [digestOf('another')] } })
    expect(await refusal(wrong)).toMatch(/^data-loss: /)
  })

  it('holds one good image and a bad one loads neither', async () => {
    const bad = dockerArchive([{ b: '1' }], ['bad:1'], { os: 'windows' })
    const one = dockerArchive([{ a: '1' }], ['good:1'])
    const files = [one, bad].flatMap(({ archive, id }, index) => membersOf(archive, `${index}-`, id))
    const manifest = [one, bad].map(({ id }, index) => ({ Config: `${index}-${hex(id)}.json`, RepoTags: [index === 0 ? 'good:1' : 'bad:1'], Layers: [`${index}-layer0/layer.tar`] }))
    expect(await refusal(tarOf([...files, { name: 'manifest.json', content: JSON.stringify(manifest) }]))).toMatch(/^invalid-argument: .*windows/)
  })

  it('is given up by its client leaves nothing', async () => {
    const leaving = new AbortController()
    const source = (async function* () {
      yield good().subarray(0, 300_000)
      leaving.abort(new Error('gone'))
      yield Buffer.alloc(512)
    })()
    await expect(Array.fromAsync(other.store.load({ source, quiet: true, signal: leaving.signal }))).rejects.toThrow('gone')
    expect(await other.contents()).toEqual(empty)
  })
})

/** The first layer and the config of a docker-archive of ours, under other names. */
function membersOf(archive: Buffer, prefix: string, id: string): TarMember[] {
  const content = (offset: number) => archive.subarray(offset + 512, offset + 512 + Number.parseInt(archive.toString('latin1', offset + 124, offset + 135), 8))
  const layer = content(0)
  const next = 512 + Math.ceil(layer.length / 512) * 512
  return [{ name: `${prefix}layer0/layer.tar`, content: layer }, { name: `${prefix}${hex(id)}.json`, content: content(next) }]
}
