import { digestOf, type ImageIndex } from '@berth/oci'
import { validate } from '@berth/oci-image'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hex, type MadeImage, publish, publishIndex, StoreHarness } from './harness.ts'

const multi = 'registry.test/multi'
const none = new Map<string, readonly string[]>()
const signal = new AbortController().signal
const empty = { content: [], ingest: [], snapshots: [] }
let harness: StoreHarness
let arm: MadeImage
let amd: MadeImage
let index: string

beforeEach(async () => {
  harness = await StoreHarness.start()
  arm = publish(harness.registry, 'multi', [{ base: '1' }, { arch: 'arm' }], { tag: undefined, change: { architecture: 'arm64' } })
  amd = publish(harness.registry, 'multi', [{ base: '1' }, { arch: 'amd' }], { tag: undefined })
  index = publishIndex(harness.registry, 'multi', [arm, amd])
})
afterEach(() => harness[Symbol.asyncDispose]())

const pullBoth = async () => {
  await harness.pull(multi, { platform: 'linux/arm64' })
  await harness.pull(multi, { platform: 'linux/amd64' })
}
const push = (options: { platform?: string } = {}) => Array.fromAsync(harness.store.push({ image: multi, tag: 'latest', signal, ...options }))

describe('an image of several platforms', () => {
  it('is one name for each that was pulled, the one for the host by default', async () => {
    await harness.pull(multi, { platform: 'linux/arm64' })
    expect((await harness.store.resolve(multi)).id).toBe(arm.id)
    await harness.pull(multi)
    expect((await harness.store.resolve(multi)).id).toBe(amd.id)
    expect((await harness.store.resolve(`${multi}@${index}`, { platform: 'linux/arm64/v8' })).id).toBe(arm.id)
    expect((await harness.store.inspect(multi, { platform: 'linux/arm64' })).Architecture).toBe('arm64')
    expect((await harness.store.history(multi, { platform: 'linux/arm64' }))[0]).toMatchObject({ Id: arm.id, Tags: [`${multi}:latest`] })
    expect((await harness.store.list({ filters: none })).map(({ Id, RepoTags }) => [Id, RepoTags])).toEqual([amd.id, arm.id].map((id) => [id, [`${multi}:latest`]]))
    await expect(harness.store.inspect(multi, { platform: 'linux/s390x' })).rejects.toMatchObject({
      kind: 'not-found',
      message: `image with reference ${multi} was found but does not provide the specified platform (linux/s390x)`,
    })
    await expect(harness.store.inspect(amd.id, { platform: 'linux/arm64' })).rejects.toThrow('wanted linux/arm64, actual: linux/amd64')
    expect(await harness.fsck()).toEqual([])
  })

  it('says of each manifest whether it is here, as API 1.47', async () => {
    await harness.pull(multi)
    const { Manifests } = await harness.store.inspect(multi, { manifests: true })
    expect(Manifests).toMatchObject([
      { ID: arm.digest, Available: false, Kind: 'image', Size: { Content: 0, Total: 0 }, ImageData: { Platform: { architecture: 'arm64', os: 'linux' }, Size: { Unpacked: 0 } } },
      { ID: amd.digest, Available: true, Kind: 'image', ImageData: { Platform: { architecture: 'amd64' }, Containers: [], Size: { Unpacked: 4 } } },
    ])
    expect(Manifests![1]!.Size.Content).toBeGreaterThan(amd.layers.reduce((sum, { bytes }) => sum + bytes.length, 0))
    const [summary] = await harness.store.list({ filters: none, manifests: true })
    expect(summary!.Manifests).toEqual(Manifests)
    expect((await harness.store.list({ filters: none }))[0]).not.toHaveProperty('Manifests')
  })

  it('gives all its platforms on by tag, and the one of an ID', async () => {
    await pullBoth()
    await harness.store.tag(multi, { repo: 'other' })
    await harness.store.tag(arm.id, { repo: 'just-arm' })
    expect((await harness.store.resolve('other', { platform: 'linux/arm64' })).id).toBe(arm.id)
    expect((await harness.store.resolve('other')).id).toBe(amd.id)
    expect((await harness.store.resolve('just-arm')).id).toBe(arm.id)
  })

  it('is replaced whole when the tag moves', async () => {
    await pullBoth()
    const newer = publish(harness.registry, 'multi', [{ base: '2' }], { tag: undefined })
    publishIndex(harness.registry, 'multi', [newer])
    await harness.pull(multi)
    expect((await harness.store.resolve(multi)).id).toBe(newer.id)
    await expect(harness.store.resolve(multi, { platform: 'linux/arm64' })).rejects.toMatchObject({ kind: 'not-found' })
    expect((await harness.store.resolve(`${multi}@${index}`, { platform: 'linux/arm64' })).id).toBe(arm.id)
    expect((await harness.store.prune(none)).ImagesDeleted.filter(({ Deleted }) => [arm.id, amd.id].includes(Deleted ?? ''))).toHaveLength(2)
    expect(harness.store.count()).toBe(1)
    expect(await harness.fsck()).toEqual([])
  })

  it('goes with its name, by ID, or platform by platform', async () => {
    await pullBoth()
    expect(await harness.store.remove(multi, { force: false })).toEqual(
      expect.arrayContaining([{ Untagged: `${multi}:latest` }, { Untagged: `${multi}@${index}` }, { Deleted: arm.id }, { Deleted: amd.id }]),
    )
    expect(await harness.contents()).toEqual(empty)

    await pullBoth()
    const removed = await harness.store.remove(multi, { force: false, platforms: ['linux/arm64'] })
    expect(removed).toContainEqual({ Deleted: arm.id })
    expect(removed.filter(({ Untagged }) => Untagged)).toEqual([])
    expect((await harness.store.resolve(multi)).id).toBe(amd.id)
    await expect(harness.store.remove(multi, { force: false, platforms: ['linux/s390x'] })).rejects.toMatchObject({ kind: 'not-found' })
    expect(await harness.fsck()).toEqual([])
    await harness.store.remove(hex(amd.id), { force: false })
    expect(await harness.contents()).toEqual(empty)
  })

  it('is not removed when a container stands on one of its platforms', async () => {
    await pullBoth()
    harness.users.set(arm.id, [{ id: 'c'.repeat(64), running: true }])
    await expect(harness.store.remove(multi, { force: false })).rejects.toMatchObject({ kind: 'conflict' })
    await expect(harness.store.remove(multi, { force: true, platforms: ['linux/arm64'] })).rejects.toMatchObject({ kind: 'conflict' })
    await harness.store.remove(multi, { force: false, platforms: ['linux/amd64'] })
    expect((await harness.store.resolve(multi)).id).toBe(arm.id)
  })
})

describe('push', () => {
  const forget = () => {
    harness.registry.blobs.clear()
    harness.registry.manifests.clear()
    harness.registry.tagged.clear()
  }

  it('sends the index when all of it is here', async () => {
    await pullBoth()
    forget()
    const messages = await push()
    expect(messages.at(-1)).toMatchObject({ aux: { Tag: 'latest', Digest: index } })
    const stored = harness.registry.manifests.get(`multi@${index}`)!
    expect((JSON.parse(Buffer.from(stored.bytes).toString()) as ImageIndex).manifests.map(({ digest }) => digest)).toEqual([arm.digest, amd.digest])
    for (const { digest, layers, id } of [arm, amd]) {
      expect(digestOf(harness.registry.manifests.get(`multi@${digest}`)!.bytes)).toBe(digest)
      for (const blob of [id, ...layers.map((layer) => layer.blob)]) expect(harness.registry.blobs.has(`multi@${blob}`)).toBe(true)
    }
  })

  it('sends the one platform that is here, and says so', async () => {
    await harness.pull(multi)
    forget()
    const messages = await push()
    expect(messages.at(-2)).toMatchObject({ aux: { Tag: 'latest', Digest: amd.digest } })
    expect(messages.at(-1)).toMatchObject({ aux: { manifestPushedInsteadOfIndex: true, originalIndex: { digest: index }, selectedManifest: { digest: amd.digest } } })
    expect([...harness.registry.manifests.keys()]).toEqual([`multi@${amd.digest}`])
  })

  it('sends the platform that is asked for', async () => {
    await pullBoth()
    forget()
    expect((await push({ platform: 'linux/arm64' })).at(-1)).toMatchObject({ aux: { Digest: arm.digest } })
    expect([...harness.registry.manifests.keys()]).toEqual([`multi@${arm.digest}`])
    await expect(push({ platform: 'linux/s390x' })).rejects.toMatchObject({ kind: 'not-found', message: expect.stringContaining('does not provide the specified platform (linux/s390x)') })
  })

  it('does not guess among several of which none is for the host', async () => {
    const mips = publish(harness.registry, 'odd', [{ arch: 'mips' }], { tag: undefined, change: { architecture: 'mips64le' } })
    const z = publish(harness.registry, 'odd', [{ arch: 'z' }], { tag: undefined, change: { architecture: 's390x' } })
    publishIndex(harness.registry, 'odd', [mips, z, publish(harness.registry, 'odd', [{ arch: 'ppc' }], { tag: undefined, change: { architecture: 'ppc64le' } })])
    for (const platform of ['linux/mips64le', 'linux/s390x']) await harness.pull('registry.test/odd', { platform })
    await expect(Array.fromAsync(harness.store.push({ image: 'registry.test/odd', tag: 'latest', signal }))).rejects.toMatchObject({
      kind: 'conflict',
      message: 'multiple matching manifests found but no specific platform requested',
    })
  })
})

describe('images as values', () => {
  it('are read from the store and are whole', async () => {
    await pullBoth()
    const image = await harness.store.image(multi, { platform: 'linux/arm64' })
    expect(image.descriptor.digest).toBe(arm.digest)
    expect(await validate(image)).toEqual([])
    const roots = await harness.store.source().roots()
    expect(roots).toMatchObject([{ names: [`${multi}:latest`, `${multi}@${index}`], descriptor: { digest: index } }])
  })
})
