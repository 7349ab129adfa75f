import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hex, type MadeImage, publish, StoreHarness } from './harness.ts'

const busybox = 'registry.test/busybox'
const none = new Map<string, readonly string[]>()
let harness: StoreHarness
let image: MadeImage
let shortId: string

beforeEach(async () => {
  harness = await StoreHarness.start()
  image = publish(harness.registry, 'busybox', [{ a: '1' }, { b: '22' }])
  shortId = hex(image.id).slice(0, 12)
  await harness.pull(busybox)
  harness.events.length = 0
})
afterEach(() => harness[Symbol.asyncDispose]())

const container = (running: boolean) => harness.users.set(image.id, [{ id: 'c'.repeat(64), running }])
const remove = (ref: string, force = false) => harness.store.remove(ref, { force })

describe('names', () => {
  it('are found by tag, digest, ID and the beginning of an ID', async () => {
    const whole = [busybox, `${busybox}:latest`, `${busybox}@${image.digest}`, `${busybox}:any@${image.digest}`, image.id, hex(image.id), shortId, `sha256:${shortId}`]
    for (const ref of whole) expect([ref, (await harness.store.resolve(ref)).id]).toEqual([ref, image.id])
  })

  it.each([
    ['nothing', 'No such image: nothing:latest'],
    ['nothing:1', 'No such image: nothing:1'],
    ['0'.repeat(64), `No such image: sha256:${'0'.repeat(64)}`],
    ['sha256:00000', 'No such image: sha256:00000'],
  ])('%s is not found', async (ref, message) => {
    await expect(harness.store.inspect(ref)).rejects.toMatchObject({ kind: 'not-found', message })
  })

  it.each(['', 'UPPER', 'a//b', '../x', 'a:b:c', 'a@sha256:12', 'a\0b', '-x'])('%j is no reference', async (ref) => {
    await expect(harness.store.inspect(ref)).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining('invalid reference format') })
    await expect(harness.store.tag(image.id, { repo: ref })).rejects.toMatchObject({ kind: 'invalid-argument' })
  })

  it('do not tell two images apart by a beginning that both have', async () => {
    for (let number = 0; number < 40; number++) {
      publish(harness.registry, 'many', [{ a: '1' }, { b: '22' }], { tag: String(number), change: { author: String(number) } })
      await harness.pull('registry.test/many', { tag: String(number) })
    }
    const ids = (await harness.store.list({ filters: none })).map(({ Id }) => hex(Id))
    const first = ids.map((id) => id[0]!).find((digit, index, all) => all.indexOf(digit) !== index)!
    await expect(harness.store.inspect(`sha256:${first}`)).rejects.toMatchObject({ message: `No such image: sha256:${first}` })
  })

  it('move from one image to another', async () => {
    const newer = publish(harness.registry, 'busybox', [{ a: '2' }])
    await harness.pull(busybox)
    expect((await harness.store.resolve(busybox)).id).toBe(newer.id)
    const dangling = await harness.store.list({ filters: new Map([['dangling', ['true']]]) })
    expect(dangling).toMatchObject([{ Id: image.id, RepoTags: [], RepoDigests: [`${busybox}@${image.digest}`] }])
    expect((await harness.store.prune(none)).ImagesDeleted).toContainEqual({ Deleted: image.id })
    expect(harness.store.count()).toBe(1)
  })

  it('are given by tag, once', async () => {
    await harness.store.tag(shortId, { repo: 'Example.test:5000/other', tag: 'v1' })
    await harness.store.tag(shortId, { repo: 'own' })
    const { RepoTags, Metadata } = await harness.store.inspect(image.id)
    expect(RepoTags).toEqual(['Example.test:5000/other:v1', 'own:latest', `${busybox}:latest`])
    expect(Date.parse(Metadata!.LastTagTime!)).toBeGreaterThan(0)
    expect(harness.events).toMatchObject([
      { action: 'tag', id: image.id, attributes: { name: 'Example.test:5000/other:v1' } },
      { action: 'tag', id: image.id, attributes: { name: 'own:latest' } },
    ])
    await expect(harness.store.tag(image.id, { repo: `x@${image.digest}` })).rejects.toThrow('refusing to create a tag with a digest reference')
    await expect(harness.store.tag(image.id, { repo: 'x', tag: '-bad' })).rejects.toThrow('invalid tag format')
  })
})

describe('remove', () => {
  it('takes the last name, the digests with it, the image and its layers', async () => {
    const chains = harness.world.snapshots.keys().toArray()
    const removed = await remove(busybox)
    expect(removed).toEqual([
      { Untagged: `${busybox}:latest` },
      { Untagged: `${busybox}@${image.digest}` },
      { Deleted: image.id },
      ...chains.toReversed().map((Deleted) => ({ Deleted })),
    ])
    expect(await harness.contents()).toEqual({ content: [], ingest: [], snapshots: [] })
    expect(harness.events.map(({ action }) => action)).toEqual(['untag', 'untag', 'delete'])
  })

  it('only takes the name while there is another', async () => {
    await harness.store.tag(busybox, { repo: 'second' })
    expect(await remove('second')).toEqual([{ Untagged: 'second:latest' }])
    await harness.store.tag(busybox, { repo: 'second' })
    await expect(remove(shortId)).rejects.toMatchObject({
      kind: 'conflict',
      message: `conflict: unable to delete ${shortId} (must be forced) - image is referenced in multiple repositories`,
    })
    expect(await remove(shortId, true)).toContainEqual({ Deleted: image.id })
  })

  it('keeps the layers that another image has', async () => {
    publish(harness.registry, 'busybox', [{ a: '1' }, { c: '3' }], { tag: 'other' })
    await harness.pull(busybox, { tag: 'other' })
    const chain = (await harness.store.resolve(busybox)).chainId
    expect((await remove(busybox)).filter(({ Deleted }) => Deleted)).toEqual([{ Deleted: image.id }, { Deleted: chain }])
    expect((await harness.contents()).snapshots).toHaveLength(2)
    expect(harness.snapshotter.read((await harness.store.resolve(`${busybox}:other`)).chainId!)).toEqual({ a: '1', c: '3' })
  })

  it('does not take what a container stands on, in the words of Docker', async () => {
    container(false)
    await expect(remove(busybox)).rejects.toThrow(
      `conflict: unable to remove repository reference "${busybox}" (must force) - container cccccccccccc is using its referenced image ${shortId}`,
    )
    await expect(remove(shortId)).rejects.toThrow(
      `conflict: unable to delete ${shortId} (must be forced) - image is being used by stopped container cccccccccccc`,
    )
    container(true)
    await expect(remove(shortId, true)).rejects.toThrow(
      `conflict: unable to delete ${shortId} (cannot be forced) - image is being used by running container cccccccccccc`,
    )
    expect(await remove(busybox, true)).toEqual([{ Untagged: `${busybox}:latest` }, { Untagged: `${busybox}@${image.digest}` }])
    expect(harness.store.count()).toBe(1)
  })

  it('by force leaves the layers under a stopped container until it is gone', async () => {
    const { chainId } = await harness.store.resolve(busybox)
    await harness.snapshotter.prepare('container', { parent: chainId! })
    container(false)
    expect((await remove(shortId, true)).filter(({ Deleted }) => Deleted)).toEqual([{ Deleted: image.id }])
    expect((await harness.contents()).snapshots).toHaveLength(3)
    await harness.restart()
    await harness.snapshotter.remove('container')
    expect((await harness.store.collect()).layers).toHaveLength(2)
    expect(await harness.contents()).toEqual({ content: [], ingest: [], snapshots: [] })
  })

  it('never touches snapshots of others', async () => {
    await harness.snapshotter.prepare('somebody-else')
    await remove(busybox)
    await harness.restart()
    expect((await harness.contents()).snapshots).toEqual(['somebody-else'])
  })
})

describe('list and inspect', () => {
  it('say what Docker says', async () => {
    const [summary] = await harness.store.list({ filters: none })
    expect(summary).toEqual({
      Id: image.id,
      ParentId: '',
      RepoTags: [`${busybox}:latest`],
      RepoDigests: [`${busybox}@${image.digest}`],
      Created: 1_767_323_045,
      Size: 3,
      SharedSize: -1,
      Labels: { color: 'blue' },
      Containers: 0,
    })
    expect(await harness.store.inspect(shortId)).toMatchObject({
      Id: image.id,
      Created: '2026-01-02T03:04:05.000000006Z',
      Architecture: 'amd64',
      Os: 'linux',
      Size: 3,
      GraphDriver: { Name: 'memory' },
      RootFS: { Type: 'layers', Layers: image.config.rootfs.diff_ids },
      Config: { Cmd: ['sh'], Labels: { color: 'blue' } },
      Metadata: { LastTagTime: '0001-01-01T00:00:00Z' },
    })
    expect(harness.store.layersSize()).toBe(3)
  })

  it('tell the history with sizes, newest first', async () => {
    expect(await harness.store.history(busybox)).toEqual([
      { Id: image.id, Created: 1_767_323_045, CreatedBy: 'step 1', Tags: [`${busybox}:latest`], Size: 2, Comment: '' },
      { Id: '<missing>', Created: 1_767_323_045, CreatedBy: 'step 0', Tags: null, Size: 1, Comment: '' },
    ])
  })

  it('filter', async () => {
    publish(harness.registry, 'tools', [{ a: '1' }], { tag: 'v2', change: { created: '2027-01-01T00:00:00Z', config: {} } })
    await harness.pull('registry.test/tools', { tag: 'v2' })
    const found = async (...filters: [string, string[]][]) =>
      (await harness.store.list({ filters: new Map(filters), sharedSize: true })).map(({ RepoTags }) => RepoTags[0]?.split(/[/:]/)[1])
    expect(await found()).toEqual(['tools', 'busybox'])
    expect(await found(['reference', ['registry.test/t*']])).toEqual(['tools'])
    expect(await found(['reference', ['registry.test/*:v?']])).toEqual(['tools'])
    expect(await found(['reference', ['*']])).toEqual([])
    expect(await found(['label', ['color=blue']])).toEqual(['busybox'])
    expect(await found(['label', ['color=red']])).toEqual([])
    expect(await found(['before', ['registry.test/tools:v2']])).toEqual(['busybox'])
    expect(await found(['since', [busybox]])).toEqual(['tools'])
    expect(await found(['until', ['2026-06-01']])).toEqual(['busybox'])
    expect(await found(['dangling', ['true']])).toEqual([])
    await expect(found(['colour', ['x']])).rejects.toThrow("invalid filter 'colour'")
    await expect(found(['since', ['nothing']])).rejects.toMatchObject({ kind: 'not-found' })
  })

  it('count what images share', async () => {
    publish(harness.registry, 'busybox', [{ a: '1' }, { c: '333' }], { tag: 'other' })
    await harness.pull(busybox, { tag: 'other' })
    const images = await harness.store.list({ filters: none, sharedSize: true })
    expect(images.map(({ SharedSize, Size }) => `${SharedSize} of ${Size}`).toSorted()).toEqual(['1 of 3', '1 of 4'])
  })
})
