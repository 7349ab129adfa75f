import { fork } from 'node:child_process'
import { once } from 'node:events'
import { stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BerthError } from '@berth/core'
import { chainIds, digestOf } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hex, publish, StoreHarness } from './harness.ts'
import { publishTwoLayers } from './two-layers.ts'

const busybox = 'registry.test/busybox'
const empty = { content: [], ingest: [], snapshots: [] }
let harness: StoreHarness

beforeEach(async () => {
  harness = await StoreHarness.start()
})
afterEach(() => harness[Symbol.asyncDispose]())

const noise = (length: number) => Array.from({ length }, (_, index) => digestOf(String(index))).join('')

describe('a registry that', () => {
  const failing = async (kind: string) => {
    await expect(harness.pull(busybox)).rejects.toMatchObject({ kind })
    expect(harness.store.count()).toBe(0)
    expect(harness.events).toEqual([])
    const contents = await harness.contents()
    expect(contents.content).toEqual([])
    expect(contents.snapshots).toEqual([])
    return contents
  }

  it('knows no such image is refused before any progress', async () => {
    await expect(harness.pull(busybox)).rejects.toMatchObject({ kind: 'not-found' })
    expect(await harness.contents()).toEqual(empty)
  })

  it('lies about a layer leaves nothing', async () => {
    const { layers } = publish(harness.registry, 'busybox', [{ a: noise(2000) }, { b: '2' }])
    harness.registry.intercept = async function* (digest, content) {
      for await (const chunk of content) yield digest === layers[0]!.blob ? Buffer.from(chunk).reverse() : chunk
    }
    expect((await failing('data-loss')).ingest).not.toContain(`sha256-${hex(layers[0]!.blob)}`)
  })

  it('sends more than it said is cut off', async () => {
    publish(harness.registry, 'busybox', [{ a: '1' }])
    harness.registry.intercept = async function* (_, content) {
      yield* content
      for (;;) yield Buffer.alloc(1024)
    }
    expect((await failing('data-loss')).ingest).toEqual([])
  })

  it('truncates leaves what the next pull goes on from', async () => {
    const { layers } = publish(harness.registry, 'busybox', [{ a: noise(20_000) }])
    const blob = layers[0]!
    harness.registry.intercept = async function* (digest, content) {
      for await (const chunk of content) {
        yield chunk
        if (digest === blob.blob) return
      }
    }
    const { ingest } = await failing('unavailable')
    const partial = `sha256-${hex(blob.blob)}`
    expect(ingest).toContain(partial)
    const { size } = await stat(join(harness.root, 'ingest', partial))
    expect(size).toBeGreaterThan(0)
    expect(size).toBeLessThan(blob.bytes.length)
    harness.registry.intercept = undefined
    await harness.restart()
    await harness.pull(busybox)
    expect(harness.registry.reads.at(-1)).toBe(`${blob.blob}+${size}`)
    expect((await harness.contents()).ingest).toEqual([])
  })

  it('gave bytes before that were wrong is asked again from the start', async () => {
    const { layers } = publish(harness.registry, 'busybox', [{ a: noise(2000) }])
    await writeFile(join(harness.root, 'ingest', `sha256-${hex(layers[0]!.blob)}`), 'something else')
    await harness.pull(busybox)
    expect(harness.registry.reads.filter((read) => read.startsWith(layers[0]!.blob))).toEqual([`${layers[0]!.blob}+14`, `${layers[0]!.blob}+0`])
  })

  it('never answers is left when the client goes, and the client need not abort to go', async () => {
    publish(harness.registry, 'busybox', [{ a: noise(2000) }])
    const reached = Promise.withResolvers<void>()
    harness.registry.intercept = async function* (digest, content, signal) {
      const [config] = [...harness.registry.blobs.values()].slice(-1)
      if (digest === digestOf(config!)) return yield* content
      reached.resolve()
      await once(signal, 'abort')
      throw signal.reason
    }
    const iterator = harness.store.pull({ image: busybox, tag: 'latest', signal: new AbortController().signal })[Symbol.asyncIterator]()
    await iterator.next()
    await reached.promise
    await iterator.return!()
    expect(harness.store.count()).toBe(0)
    expect((await harness.contents()).content).toEqual([])
  })

  it('fails in one layer stops the others', async () => {
    const { layers } = publish(harness.registry, 'busybox', [{ a: '1' }, { b: '2' }, { c: '3' }, { d: '4' }, { e: '5' }])
    let aborted = 0
    harness.registry.intercept = async function* (digest, content, signal) {
      const layer = layers.findIndex(({ blob }) => blob === digest)
      if (layer === 1) throw new BerthError('permission-denied', 'DENIED', 'denied')
      if (layer >= 2) {
        if (!signal.aborted) await once(signal, 'abort')
        aborted++
        throw signal.reason
      }
      yield* content
    }
    await failing('permission-denied')
    expect(aborted).toBeGreaterThan(0)
  })

  it.each([
    ['a config that is no image', (manifest: Record<string, unknown>) => ({ ...manifest, config: { ...(manifest['config'] as object), mediaType: 'application/vnd.cncf.helm.config.v1+json' } })],
    ['a layer that is none', (manifest: Record<string, unknown>) => ({ ...manifest, layers: [{ mediaType: 'text/plain', digest: digestOf('x'), size: 1 }] })],
    ['more layers than the config has', (manifest: Record<string, unknown>) => ({ ...manifest, layers: [...(manifest['layers'] as object[]), ...(manifest['layers'] as object[])] })],
    ['layers beyond number', (manifest: Record<string, unknown>) => ({ ...manifest, layers: Array.from({ length: 5000 }, () => (manifest['layers'] as object[])[0]) })],
    ['a config of a terabyte', (manifest: Record<string, unknown>) => ({ ...manifest, config: { ...(manifest['config'] as object), size: 1e12 } })],
    ['a digest that leads elsewhere', (manifest: Record<string, unknown>) => ({ ...manifest, config: { ...(manifest['config'] as object), digest: 'sha256:../../etc/passwd' } })],
  ])('serves a manifest with %s is refused', async (_, change) => {
    const { manifest } = publish(harness.registry, 'busybox', [{ a: '1' }])
    harness.registry.addManifest('busybox', 'latest', change({ ...manifest }) as unknown as typeof manifest)
    expect((await failing('invalid-argument')).ingest).toEqual([])
  })

  it('serves a config with diffIds that the layers have not leaves nothing', async () => {
    publish(harness.registry, 'busybox', [{ a: '1' }], { change: { rootfs: { type: 'layers', diff_ids: [digestOf('another')] } } })
    expect((await failing('data-loss')).ingest).toEqual([])
  })

  it('serves a Windows image is refused', async () => {
    publish(harness.registry, 'busybox', [{ a: '1' }], { change: { os: 'windows' } })
    expect((await failing('invalid-argument')).snapshots).toEqual([])
  })
})

describe('at the same time', () => {
  it('images that share layers are pulled, and each is whole', async () => {
    const shared = { base: noise(3000) }
    const tags = Array.from({ length: 8 }, (_, index) => String(index))
    const made = tags.map((tag) => publish(harness.registry, 'busybox', [shared, { common: 'x' }, { own: tag }], { tag }))
    await Promise.all(tags.map((tag) => harness.pull(busybox, { tag })))
    for (const tag of tags) {
      const { chainId } = await harness.store.resolve(`${busybox}:${tag}`)
      expect(harness.snapshotter.read(chainId!)).toEqual({ ...shared, common: 'x', own: tag })
    }
    expect(harness.registry.reads.filter((read) => read.startsWith(made[0]!.layers[0]!.blob))).toHaveLength(1)
    expect((await harness.contents()).snapshots).toHaveLength(10)
    await Promise.all(tags.map((tag) => harness.store.remove(`${busybox}:${tag}`, { force: false })))
    expect(await harness.contents()).toEqual(empty)
  })

  it('an image is removed while another with its layers is pulled, which loses none', async () => {
    publish(harness.registry, 'busybox', [{ a: '1' }, { b: '2' }])
    publish(harness.registry, 'busybox', [{ a: '1' }, { b: '2' }, { c: '3' }], { tag: 'more' })
    for (let round = 0; round < 20; round++) {
      await harness.pull(busybox)
      await Promise.all([harness.pull(busybox, { tag: 'more' }), harness.store.remove(busybox, { force: false })])
      const { chainId } = await harness.store.resolve(`${busybox}:more`)
      expect(harness.snapshotter.read(chainId!)).toEqual({ a: '1', b: '2', c: '3' })
      await harness.store.inspect(`${busybox}:more`)
      await Promise.all([harness.pull(busybox), harness.store.remove(`${busybox}:more`, { force: false })])
      await harness.store.remove(busybox, { force: false })
      expect(await harness.contents()).toEqual(empty)
    }
  })
})

describe('storage that', () => {
  it('fails while a layer is unpacked leaves no image', async () => {
    let applied = 0
    await using broken = await StoreHarness.start({
      before: (operation) => {
        if (operation === 'apply' && ++applied >= 2) throw new BerthError('resource-exhausted', 'NO_SPACE', 'no space left on device')
      },
    })
    publish(broken.registry, 'busybox', [{ a: '1' }, { b: '2' }])
    await expect(broken.pull(busybox)).rejects.toThrow('no space left on device')
    expect(broken.store.count()).toBe(0)
    expect((await broken.contents()).snapshots).toEqual([])
  })

  it('lost a snapshot gets it back by a pull, without a download', async () => {
    publish(harness.registry, 'busybox', [{ a: '1' }])
    await harness.pull(busybox)
    const { chainId } = await harness.store.resolve(busybox)
    await harness.snapshotter.remove(chainId!)
    const reads = harness.registry.reads.length
    await harness.pull(busybox)
    expect(harness.snapshotter.read(chainId!)).toEqual({ a: '1' })
    expect(harness.registry.reads).toHaveLength(reads)
  })

  it('damaged a config says so', async () => {
    const { id } = publish(harness.registry, 'busybox', [{ a: '1' }])
    await harness.pull(busybox)
    await truncate(join(harness.root, 'content/sha256', hex(id)), 3)
    await expect(harness.store.inspect(busybox)).rejects.toMatchObject({ kind: 'data-loss' })
  })
})

describe('after kill -9 in the middle of a pull', () => {
  it('nothing is left but what the next pull goes on from', async () => {
    const { layers, id, config } = publishTwoLayers(harness.registry)
    await harness.store[Symbol.asyncDispose]()
    const child = fork(new URL('./killed-pull.ts', import.meta.url), [harness.root], { execArgv: ['--conditions=@berth/source'] })
    const partial = join(harness.root, 'ingest', `sha256-${hex(layers[1]!.blob)}`)
    await once(child, 'message')
    while (!((await stat(partial).catch(() => undefined))?.size ?? 0)) await new Promise((resolve) => setImmediate(resolve))
    child.kill('SIGKILL')
    await once(child, 'exit')

    // The storage of the killed process, which outlives it: the layer that was unpacked, and somebody else's.
    const lower = { path: join(harness.root, 'content/sha256', hex(layers[0]!.blob)), compression: 'gzip' as const, diffId: layers[0]!.diffId }
    await harness.snapshotter.apply(chainIds(config.rootfs.diff_ids)[0]!, lower)
    await harness.snapshotter.apply('of-somebody-else', lower)

    await harness.open()
    expect(harness.store.count()).toBe(0)
    const { content, ingest, snapshots } = await harness.contents()
    expect(content).toEqual([])
    expect(snapshots).toEqual(['of-somebody-else'])
    expect(ingest).toEqual([id, ...layers.map(({ blob }) => blob)].map((digest) => `sha256-${hex(digest)}`).toSorted())

    const { size } = await stat(partial)
    await harness.pull('registry.test/two')
    expect(harness.registry.reads).toEqual([`${layers[1]!.blob}+${size}`])
    expect((await harness.contents()).ingest).toEqual([])
    expect(Object.keys(harness.snapshotter.read((await harness.store.resolve('registry.test/two')).chainId!))).toEqual(['small', 'large'])
  })
})
