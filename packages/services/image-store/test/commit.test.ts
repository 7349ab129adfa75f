import { tarOf } from '@berth/layer-tar'
import { chainId, digestOf } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CommitOptions } from '../src/index.ts'
import { hex, type MadeImage, publish, StoreHarness } from './harness.ts'

const busybox = 'registry.test/busybox'
const { signal } = new AbortController()
const empty = { content: [], ingest: [], snapshots: [] }
const container = 'c'.repeat(64)
let harness: StoreHarness
let base: MadeImage

beforeEach(async () => {
  harness = await StoreHarness.start()
  base = publish(harness.registry, 'busybox', [{ a: '1' }, { b: '22' }])
  await harness.pull(busybox)
  harness.events.length = 0
})
afterEach(() => harness[Symbol.asyncDispose]())

async function* once(bytes: Uint8Array) {
  yield bytes
}

const commit = (files: Record<string, string>, options: Partial<CommitOptions> = {}) =>
  harness.store.commit({
    parent: base.id,
    layer: once(tarOf(Object.entries(files).map(([name, content]) => ({ name, content })))),
    config: { Cmd: ['sh'], Env: ['A=1'], Labels: { color: 'blue' } },
    changes: [],
    author: 'somebody',
    comment: 'what was done',
    createdBy: '/bin/sh -c touch c',
    container,
    signal,
    ...options,
  })

describe('commit', () => {
  it('makes an image of another and a layer, with what docker records', async () => {
    const { id } = await commit({ c: '333' }, { repo: 'made', tag: 'v1', changes: ['CMD ["/c"]', 'ENV B=2'] })
    const { config, chainId: top } = await harness.store.resolve('made:v1')
    expect(harness.snapshotter.read(top!)).toEqual({ a: '1', b: '22', c: '333' })
    expect(config).toMatchObject({
      architecture: 'amd64',
      os: 'linux',
      author: 'somebody',
      container,
      container_config: { Cmd: ['sh'], Env: ['A=1'] },
      config: { Cmd: ['/c'], Env: ['A=1', 'B=2'], Labels: { color: 'blue' } },
    })
    expect(config.rootfs.diff_ids.slice(0, 2)).toEqual(base.config.rootfs.diff_ids)
    expect(top).toBe(chainId(config.rootfs.diff_ids))
    expect(config.history?.slice(0, 2)).toEqual(base.config.history)
    expect(config.history?.at(-1)).toEqual({ created: config.created, author: 'somebody', created_by: '/bin/sh -c touch c', comment: 'what was done' })
    expect(await harness.store.inspect(id)).toMatchObject({ Parent: base.id, Comment: 'what was done', Author: 'somebody', RepoTags: ['made:v1'], Size: 6 })
    expect(await harness.store.history(id)).toMatchObject([{ Id: id, CreatedBy: '/bin/sh -c touch c', Size: 3, Comment: 'what was done' }, { Size: 2 }, { Size: 1 }])
    expect(harness.events).toMatchObject([{ action: 'tag', id, attributes: { name: 'made:v1' } }])
    expect(await harness.fsck()).toEqual([])
  })

  it('of nothing adds no layer, as docker does', async () => {
    const { id } = await commit({})
    const { config } = await harness.store.resolve(id)
    expect(config.rootfs.diff_ids).toEqual(base.config.rootfs.diff_ids)
    expect(config.history?.at(-1)).toMatchObject({ empty_layer: true })
    expect((await harness.store.history(id))[0]).toMatchObject({ Size: 0 })
    expect(await harness.fsck()).toEqual([])
  })

  it('of a container whose image was removed by force stands on what that was', async () => {
    await harness.snapshotter.prepare(container, { parent: chainId(base.config.rootfs.diff_ids)! })
    harness.users.set(base.id, [{ id: container, running: false }])
    await harness.store.remove(busybox, { force: true })
    expect(harness.store.count()).toBe(0)
    await harness.restart()
    const { id } = await commit({ c: '333' }, { repo: 'made' })
    const { config, chainId: top } = await harness.store.resolve('made')
    expect(harness.snapshotter.read(top!)).toEqual({ a: '1', b: '22', c: '333' })
    expect(config.history?.slice(0, 2)).toEqual(base.config.history)
    expect(await harness.store.inspect(id)).toMatchObject({ Parent: '', Size: 6 })
    expect(await harness.fsck()).toEqual([])

    // With the container and what was made of it goes all that was kept for it.
    await harness.store.remove('made', { force: false })
    expect(await harness.fsck()).toEqual([])
    await harness.snapshotter.remove(container)
    await harness.store.collect()
    expect(await harness.contents()).toEqual(empty)
  })

  it('without an image below makes one of one layer', async () => {
    const { id } = await commit({ only: 'x' }, { parent: undefined })
    expect(harness.snapshotter.read((await harness.store.resolve(id)).chainId!)).toEqual({ only: 'x' })
  })

  it('can be pushed, and a registry then has all of its layers', async () => {
    await commit({ c: '333' }, { repo: 'registry.test/made' })
    await Array.fromAsync(harness.store.push({ image: 'registry.test/made', tag: 'latest', signal }))
    await harness.store.remove('registry.test/made', { force: false })
    await harness.store.remove(busybox, { force: false })
    expect(await harness.contents()).toEqual(empty)
    await harness.pull('registry.test/made')
    expect(harness.snapshotter.read((await harness.store.resolve('registry.test/made')).chainId!)).toEqual({ a: '1', b: '22', c: '333' })
  })

  it.each<[string, Partial<CommitOptions>, string]>([
    ['an instruction that is none', { changes: ['RUN true'] }, 'invalid-argument'],
    ['a name that is none', { repo: '../x' }, 'invalid-argument'],
    ['an image that is not here', { parent: digestOf('x') }, 'not-found'],
    ['a layer that is no tar', { layer: once(Buffer.alloc(2048, 'garbage')) }, 'data-loss'],
    ['a container whose files cannot be read', { layer: broken() }, 'unavailable'],
  ])('refuses %s and leaves nothing', async (_, options, kind) => {
    const before = await harness.contents()
    await expect(commit({}, options)).rejects.toMatchObject({ kind })
    expect(await harness.contents()).toEqual(before)
    expect(harness.store.count()).toBe(1)
  })

  it('is shared by those that make the same layer at the same time', async () => {
    await Promise.all(Array.from({ length: 8 }, (_, index) => commit({ c: '333' }, { repo: 'made', tag: String(index) })))
    expect((await harness.contents()).snapshots).toHaveLength(3)
    expect(await harness.fsck()).toEqual([])
  })
})

async function* broken(): AsyncGenerator<Uint8Array, void, undefined> {
  yield Buffer.alloc(512)
  const { BerthError } = await import('@berth/core')
  throw new BerthError('unavailable', 'GONE', 'the container is gone')
}

describe('an image that others were made of', () => {
  it('is not removed before them, and goes with them when it has no name', async () => {
    const { id } = await commit({ c: '333' }, { repo: 'made' })
    const shortId = hex(base.id).slice(0, 12)
    await expect(harness.store.remove(base.id, { force: true })).rejects.toThrow(`conflict: unable to delete ${shortId} (cannot be forced) - image has dependent child images`)
    expect(await harness.store.remove(busybox, { force: false })).toEqual([{ Untagged: `${busybox}:latest` }, { Untagged: `${busybox}@${base.digest}` }])
    const filters = new Map<string, string[]>()
    expect((await harness.store.list({ filters })).map(({ Id }) => Id)).toEqual([id])
    expect((await harness.store.list({ filters, all: true })).map(({ Id, ParentId }) => [Id, ParentId])).toEqual([[id, base.id], [base.id, '']])
    expect((await harness.store.prune(filters)).ImagesDeleted).toEqual([])
    expect(await harness.store.remove('made', { force: false })).toEqual(expect.arrayContaining([{ Deleted: id }, { Deleted: base.id }]))
    expect(await harness.contents()).toEqual(empty)
  })

  it('stays if it is not to be pruned', async () => {
    await commit({ c: '333' }, { repo: 'made' })
    await harness.store.remove(busybox, { force: false })
    await harness.store.remove('made', { force: false, noPrune: true })
    expect((await harness.store.list({ filters: new Map() })).map(({ Id }) => Id)).toEqual([base.id])
  })
})

describe('disk usage', () => {
  it('counts shared layers once, and what no container needs as reclaimable', async () => {
    const { id } = await commit({ c: '333' }, { repo: 'made' })
    harness.users.set(base.id, [{ id: container, running: true }])
    const { layersSize, images, reclaimable } = await harness.store.diskUsage()
    expect(layersSize).toBe(6)
    expect(Object.fromEntries(images.map(({ Id, Size, SharedSize, Containers }) => [Id, [Size, SharedSize, Containers]]))).toEqual({ [base.id]: [3, 3, 1], [id]: [6, 3, 0] })
    expect(reclaimable).toBe(3)
  })
})
