import { gzipSync, zstdCompressSync } from 'node:zlib'
import { tarOf } from '@berth/layer-tar'
import { chainIds } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { PushResult } from '../src/index.ts'
import { hex, publish, StoreHarness } from './harness.ts'

const busybox = 'registry.test/busybox'
let harness: StoreHarness

beforeEach(async () => {
  harness = await StoreHarness.start()
})
afterEach(() => harness[Symbol.asyncDispose]())

const none = new Map<string, readonly string[]>()
const signal = new AbortController().signal

describe('pull', () => {
  it('tells its progress as Docker does, and stands on the snapshots of its layers', async () => {
    const image = publish(harness.registry, 'busybox', [{ a: '1' }, { b: '2' }])
    const messages = await harness.pull(busybox)
    const [lower, upper] = image.layers.map(({ blob }) => hex(blob).slice(0, 12))
    expect(messages[0]).toEqual({ status: 'Pulling from busybox', id: 'latest' })
    expect(messages.filter(({ id }) => id === lower).map(({ status }) => status)).toEqual(
      expect.arrayContaining(['Pulling fs layer', 'Verifying Checksum', 'Download complete', 'Pull complete']),
    )
    expect(messages.findIndex(({ id, status }) => id === lower && status === 'Pull complete')).toBeLessThan(
      messages.findIndex(({ id, status }) => id === upper && status === 'Pull complete'),
    )
    expect(messages.slice(-2)).toEqual([
      { status: `Digest: ${image.digest}` },
      { status: `Status: Downloaded newer image for ${busybox}:latest` },
    ])
    const { id, chainId, config } = await harness.store.resolve(busybox)
    expect(id).toBe(image.id)
    expect(chainId).toBe(chainIds(image.config.rootfs.diff_ids).at(-1))
    expect(config.config?.Cmd).toEqual(['sh'])
    expect(harness.snapshotter.read(chainId!)).toEqual({ a: '1', b: '2' })
    expect(harness.events).toMatchObject([{ type: 'image', action: 'pull', id: `${busybox}:latest`, attributes: { name: busybox, color: 'blue' } }])
  })

  it('asks for nothing twice, and says what is up to date', async () => {
    publish(harness.registry, 'busybox', [{ a: '1' }])
    await harness.pull(busybox)
    const reads = harness.registry.reads.length
    expect((await harness.pull(busybox)).at(-1)).toEqual({ status: `Status: Image is up to date for ${busybox}:latest` })
    expect(harness.registry.reads.length).toBe(reads)
    const shared = publish(harness.registry, 'busybox', [{ a: '1' }, { c: '3' }], { tag: 'two' })
    const messages = await harness.pull(busybox, { tag: 'two' })
    expect(messages).toContainEqual({ status: 'Already exists', progressDetail: {}, id: hex(shared.layers[0]!.blob).slice(0, 12) })
    expect(harness.registry.reads.filter((read) => read.startsWith(shared.layers[0]!.blob))).toHaveLength(1)
  })

  it('takes the platform that suits from an index, and names the digest of the index', async () => {
    const arm = publish(harness.registry, 'multi', [{ arch: 'arm' }], { tag: undefined, change: { architecture: 'arm64' } })
    const amd = publish(harness.registry, 'multi', [{ arch: 'amd' }], { tag: undefined })
    const entry = ({ digest, manifest }: typeof arm, architecture: string) => ({
      mediaType: manifest.mediaType,
      digest,
      size: 100,
      platform: { os: 'linux', architecture },
    })
    const index = harness.registry.addManifest('multi', 'latest', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [entry(arm, 'arm64'), entry(amd, 'amd64')],
    })
    await harness.pull('registry.test/multi', { platform: 'linux/amd64' })
    expect((await harness.store.inspect('registry.test/multi')).RepoDigests).toEqual([`registry.test/multi@${index}`])
    expect((await harness.store.resolve(`registry.test/multi@${index}`)).id).toBe(amd.id)
    await harness.pull('registry.test/multi', { platform: 'linux/arm64' })
    expect((await harness.store.resolve('registry.test/multi')).id).toBe(amd.id)
    expect((await harness.store.resolve('registry.test/multi', { platform: 'linux/arm64' })).id).toBe(arm.id)
    expect((await harness.store.list({ filters: none })).map(({ Id, RepoTags }) => [Id, RepoTags])).toEqual([amd.id, arm.id].map((id) => [id, ['registry.test/multi:latest']]))
    await expect(harness.store.resolve('registry.test/multi', { platform: 'linux/s390x' })).rejects.toMatchObject({ kind: 'not-found' })
    await expect(harness.pull('registry.test/multi', { platform: 'linux/s390x' })).rejects.toThrow('no matching manifest for linux/s390x in the manifest list entries')
  })

  it('downloads a blob once for two that ask at once, and goes on for the one that stays', async () => {
    const image = publish(harness.registry, 'busybox', [{ a: '1'.repeat(10_000) }])
    const other = publish(harness.registry, 'busybox', [{ a: '1'.repeat(10_000) }, { b: '2' }], { tag: 'other' })
    const blob = image.layers[0]!.blob
    const held = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    harness.registry.intercept = async function* (digest, content) {
      if (digest === blob) {
        reached.resolve()
        await held.promise
      }
      yield* content
    }
    const leaving = new AbortController()
    const first = harness.pull(busybox, { signal: leaving.signal })
    await reached.promise
    const second = harness.pull(busybox, { tag: 'other' })
    await waitFor(() => harness.registry.reads.some((read) => read.startsWith(other.layers[1]!.blob)))
    leaving.abort()
    await expect(first).rejects.toMatchObject({ name: 'AbortError' })
    held.resolve()
    await second
    expect(harness.registry.reads.filter((read) => read.startsWith(blob))).toHaveLength(1)
    expect(await harness.store.list({ filters: none })).toHaveLength(1)
  })

  it('takes all tags of a repository when none is named', async () => {
    publish(harness.registry, 'busybox', [{ a: '1' }], { tag: 'one' })
    publish(harness.registry, 'busybox', [{ a: '2' }], { tag: 'two' })
    await harness.pull(busybox, { tag: undefined })
    expect((await harness.store.list({ filters: none })).flatMap(({ RepoTags }) => RepoTags).toSorted()).toEqual([`${busybox}:one`, `${busybox}:two`])
  })
})

describe('push', () => {
  it('sends an imported image whole, mounts what a sibling has, and gives the digest that a pull gets', async () => {
    const tar = tarOf([{ name: 'hello', content: 'world' }])
    const messages = await Array.fromAsync(
      harness.store.import({ source: chunked(tar), repo: 'registry.test/made', tag: 'v1', changes: ['CMD ["/hello"]', 'ENV A=1 B="2 3"'], signal }),
    )
    const id = messages.at(-1)!.status!
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/)
    const pushed = await Array.fromAsync(harness.store.push({ image: 'registry.test/made', tag: 'v1', signal }))
    expect(pushed[0]).toEqual({ status: 'The push refers to repository [registry.test/made]' })
    expect(pushed.map(({ status }) => status)).toEqual(expect.arrayContaining(['Preparing', 'Pushed']))
    const aux = pushed.at(-1)!.aux as PushResult
    expect(aux).toMatchObject({ Tag: 'v1', Digest: expect.stringMatching(/^sha256:/) })
    expect(pushed.at(-2)!.status).toBe(`v1: digest: ${aux.Digest} size: ${aux.Size}`)
    expect((await Array.fromAsync(harness.store.push({ image: 'registry.test/made', tag: 'v1', signal }))).map(({ status }) => status)).toContain('Layer already exists')
    await harness.store.tag(id, { repo: 'registry.test/sibling' })
    const mounted = await Array.fromAsync(harness.store.push({ image: 'registry.test/sibling', signal }))
    expect(mounted.map(({ status }) => status)).toContain('Mounted from made')

    await harness.store.remove(id, { force: true })
    expect(await harness.contents()).toEqual({ content: [], ingest: [], snapshots: [] })
    expect((await harness.pull('registry.test/made', { tag: 'v1' })).at(-2)).toEqual({ status: `Digest: ${aux.Digest}` })
    const { config } = await harness.store.resolve('registry.test/made:v1')
    expect(config.config).toEqual({ Cmd: ['/hello'], Env: ['A=1', 'B=2 3'] })
  })

  it('says which name is not here', async () => {
    await expect(Array.fromAsync(harness.store.push({ image: 'registry.test/none', tag: 'x', signal }))).rejects.toThrow(
      'An image does not exist locally with the tag: registry.test/none',
    )
    publish(harness.registry, 'busybox', [{ a: '1' }])
    await harness.pull(busybox)
    await expect(Array.fromAsync(harness.store.push({ image: busybox, tag: 'x', signal }))).rejects.toThrow(`tag does not exist: ${busybox}:x`)
  })
})

describe('import', () => {
  it('takes gzip, zstd of several frames and plain alike, with the same layer', async () => {
    const tar = tarOf([{ name: 'hello', content: 'world' }])
    const frames = Buffer.concat([zstdCompressSync(tar.subarray(0, 700)), zstdCompressSync(tar.subarray(700))])
    for (const source of [tar, gzipSync(tar), frames]) {
      await Array.fromAsync(harness.store.import({ source: chunked(source), repo: 'made', changes: [], message: 'by hand', signal }))
    }
    const images = await harness.store.list({ filters: none })
    expect(images.map(({ RepoTags }) => RepoTags)).toContainEqual(['made:latest'])
    expect((await harness.store.inspect('made')).Comment).toBe('by hand')
    expect((await harness.contents()).snapshots).toHaveLength(1)
  })

  it.each([
    ['an archive that is none', { source: Buffer.from('this is no tar, although it is long enough'.repeat(50)) }],
    ['gzip that is cut off', { source: gzipSync(tarOf([{ name: 'a', content: 'b'.repeat(1000) }])).subarray(0, -20) }],
    ['gzip that is none', { source: Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) }],
    ['an instruction that is not allowed', { source: Buffer.from(''), changes: ['RUN rm -rf /'] }],
    ['a name that is none', { source: Buffer.from(''), repo: '../etc' }],
  ])('refuses %s and leaves nothing', async (_, { source, ...options }) => {
    await expect(Array.fromAsync(harness.store.import({ source: chunked(source), changes: [], signal, ...options }))).rejects.toMatchObject({ name: 'BerthError' })
    expect(await harness.contents()).toEqual({ content: [], ingest: [], snapshots: [] })
    expect(harness.store.count()).toBe(0)
  })
})

async function* chunked(bytes: Uint8Array) {
  for (let start = 0; start < bytes.length; start += 100) yield bytes.subarray(start, start + 100)
}

async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
