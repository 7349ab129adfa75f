import { once } from 'node:events'
import { readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { tarOf } from '@berth/layer-tar'
import { chainIds, digestOf } from '@berth/oci'
import { resolveImage, validate } from '@berth/oci-image'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openImages } from '../src/index.ts'
import { migrations } from '../src/records/schema.ts'
import { hex, type MadeImage, publish, StoreHarness } from './harness.ts'

const busybox = 'registry.test/busybox'
const none = new Map<string, readonly string[]>()
const { signal } = new AbortController()
const empty = { content: [], ingest: [], snapshots: [] }
let harness: StoreHarness

beforeEach(async () => {
  harness = await StoreHarness.start()
})
afterEach(() => harness[Symbol.asyncDispose]())

const blobFile = (digest: string) => join(harness.root, 'content/sha256', hex(digest))
const save = async (refs: string[]) => Buffer.concat(await Array.fromAsync(await harness.store.save(refs, { signal })))

async function* pieces(bytes: Uint8Array) {
  for (let start = 0; start < bytes.length; start += 1000) yield bytes.subarray(start, start + 1000)
}

describe('collection', () => {
  it('at any time, beside pulls, loads, commits and removals, takes nothing that is needed and leaves nothing else', { timeout: 60_000 }, async () => {
    const shared = { base: 'x'.repeat(2000) }
    const tags = Array.from({ length: 6 }, (_, index) => String(index))
    for (const tag of tags) publish(harness.registry, 'busybox', [shared, { common: 'y' }, { own: tag }], { tag })
    await harness.pull(busybox, { tag: '0' })
    const archive = await save([`${busybox}:0`])
    let isOver = false
    let collections = 0
    const collecting = (async () => {
      while (!isOver) {
        await harness.store.collect()
        collections++
      }
    })()
    const expected = new Set<string>()
    for (let round = 0; round < 6; round++) {
      const parent = (await harness.store.resolve(`${busybox}:0`)).id
      await Promise.all([
        ...tags.slice(1).map(async (tag) => {
          await harness.pull(busybox, { tag })
          if (Number(tag) % 2 === round % 2) await harness.store.remove(`${busybox}:${tag}`, { force: false })
        }),
        Array.fromAsync(harness.store.load({ source: pieces(archive), quiet: true, signal })),
        harness.store.commit({
          parent, layer: pieces(tarOf([{ name: 'made', content: String(round) }])), config: {}, changes: [], author: '', comment: '', createdBy: '', repo: 'made', tag: String(round), signal,
        }),
      ]) // prettier-ignore
      expected.add(`made:${round}`)
      const names = (await harness.store.list({ filters: none })).flatMap(({ RepoTags }) => RepoTags)
      for (const name of [...expected, `${busybox}:0`]) expect(names).toContain(name)
      for (const name of names) {
        const { chainId } = await harness.store.resolve(name)
        expect(harness.snapshotter.read(chainId!)).toMatchObject(shared)
        expect(await validate(await harness.store.image(name))).toEqual([])
      }
    }
    isOver = true
    await collecting
    expect(collections).toBeGreaterThan(5)
    await harness.store.collect()
    expect(await harness.fsck()).toEqual([])
    for (const { Id } of await harness.store.list({ all: true, filters: none })) await harness.store.remove(Id, { force: true }).catch(() => {})
    await harness.store.prune(new Map([['dangling', ['false']]]))
    await harness.store.prune(new Map([['dangling', ['false']]]))
    expect(await harness.contents()).toEqual(empty)
  })
})

describe('a store of the first version', () => {
  it('lives on, with all its names', async () => {
    const image = publish(harness.registry, 'busybox', [{ a: '1' }, { b: '2' }])
    await harness.pull(busybox)
    await harness.store.tag(busybox, { repo: 'own' })
    await harness.store[Symbol.asyncDispose]()
    toFirstVersion(join(harness.root, 'images.db'), `registry.test/busybox@${digestOf('an index that it did not keep')}`)
    await harness.open()
    expect((await harness.store.inspect(image.id)).RepoTags).toEqual(['own:latest', `${busybox}:latest`])
    expect((await harness.store.resolve(`${busybox}@${digestOf('an index that it did not keep')}`)).id).toBe(image.id)
    expect(await harness.fsck()).toEqual([])
    expect((await harness.pull(busybox)).at(-1)).toEqual({ status: `Status: Image is up to date for ${busybox}:latest` })
    await save(['own'])
    await harness.store.remove(image.id, { force: true })
    expect(await harness.contents()).toEqual(empty)
  })
})

/** Writes the records of a store anew in the form of version 1, with one more name. */
function toFirstVersion(path: string, name: string): void {
  const db = new DatabaseSync(path)
  const rows = (table: string) => db.prepare(`SELECT * FROM ${table}`).all() as Record<string, string | number | null>[]
  const [images, layers, imageLayers] = [rows('images'), rows('layers'), rows('image_layers')]
  const names = db.prepare('SELECT name, image_id FROM names JOIN target_images USING (target)').all() as Record<string, string>[]
  db.exec('PRAGMA foreign_keys = OFF; DROP VIEW leased')
  for (const table of ['images', 'layers', 'image_layers', 'names', 'leases', 'lease_items', 'target_images', 'content_refs', 'documents', 'gone_images']) db.exec(`DROP TABLE ${table}`)
  db.exec(`${migrations[0]}; PRAGMA user_version = 1`)
  const insert = (table: string, row: Record<string, string | number | null>) => {
    const keys = Object.keys(row).filter((key) => key !== 'parent')
    db.prepare(`INSERT INTO ${table} (${keys.join(', ')}) VALUES (${keys.map(() => '?').join(', ')})`).run(...keys.map((key) => row[key]!))
  }
  for (const row of images) insert('images', row)
  for (const row of layers) insert('layers', row)
  for (const row of imageLayers) insert('image_layers', row)
  for (const row of [...names, { name, image_id: images[0]!['id'] as string }]) insert('names', row)
  db.close()
}

describe('after a loss of power', () => {
  let image: MadeImage
  beforeEach(async () => {
    image = publish(harness.registry, 'busybox', [{ a: '1' }, { b: '2' }])
    await harness.pull(busybox)
  })

  it('snapshots that are gone are unpacked again from the blobs', async () => {
    const chains = chainIds(image.config.rootfs.diff_ids)
    await harness.store[Symbol.asyncDispose]()
    for (const chain of chains.toReversed()) await harness.snapshotter.remove(chain)
    await harness.open()
    expect(harness.snapshotter.read(chains.at(-1)!)).toEqual({ a: '1', b: '2' })
    expect(await harness.fsck()).toEqual([])
  })

  it('so are those under a container whose image was removed by force', async () => {
    const [top] = chainIds(image.config.rootfs.diff_ids).slice(-1)
    await harness.snapshotter.prepare('container', { parent: top })
    harness.users.set(image.id, [{ id: 'container', running: false }])
    await harness.store.remove(busybox, { force: true })
    await harness.store[Symbol.asyncDispose]()
    harness.world.losePower()
    expect((await harness.check()).map(({ kind }) => kind)).toEqual(['snapshot-missing', 'snapshot-missing'])
    await harness.open()
    expect(harness.snapshotter.read(top!)).toEqual({ a: '1', b: '2' })
    expect(await harness.fsck()).toEqual([])
  })

  it('an image whose blobs are gone too is told of, and the others are whole', async () => {
    const other = publish(harness.registry, 'other', [{ c: '3' }])
    await harness.pull('registry.test/other')
    await harness.store[Symbol.asyncDispose]()
    for (const chain of [...chainIds(image.config.rootfs.diff_ids).toReversed(), ...chainIds(other.config.rootfs.diff_ids)]) await harness.snapshotter.remove(chain)
    await rm(blobFile(image.layers[1]!.blob))
    await harness.open()
    expect(harness.logged.filter(({ level }) => level === 'error')).toMatchObject([{ message: expect.stringContaining('an image is broken'), fields: { image: image.id, names: expect.stringContaining(busybox) } }])
    expect(harness.snapshotter.read((await harness.store.resolve('registry.test/other')).chainId!)).toEqual({ c: '3' })
    const problems = await harness.fsck()
    expect(problems.map(({ kind, item }) => [kind, item])).toEqual([
      ['blob-missing', image.layers[1]!.blob],
      ['snapshot-missing', chainIds(image.config.rootfs.diff_ids)[1]],
    ])
    // A pull makes it whole.
    await harness.pull(busybox)
    expect(await harness.fsck()).toEqual([])
  })
})

it('a pull brings blobs that are lost, also where the layers are still unpacked', async () => {
  const image = publish(harness.registry, 'busybox', [{ a: '1' }, { b: '2' }])
  await harness.pull(busybox)
  await rm(blobFile(image.layers[0]!.blob))
  await rm(blobFile(image.id))
  expect((await harness.fsck()).map(({ kind }) => kind)).toEqual(['blob-missing', 'blob-missing'])
  await harness.pull(busybox)
  expect(await harness.fsck()).toEqual([])
})

describe('fsck', () => {
  let image: MadeImage
  beforeEach(async () => {
    image = publish(harness.registry, 'busybox', [{ a: '1' }, { b: '2' }])
    await harness.pull(busybox)
  })

  it('finds what the disk has changed, says whom it hits, and drops what cannot be saved only when told', async () => {
    const other = publish(harness.registry, 'other', [{ c: '3' }])
    await harness.pull('registry.test/other')
    const damaged = image.layers[0]!.blob
    await writeFile(blobFile(damaged), 'something else')
    const problem = { kind: 'blob-damaged', item: damaged, images: [image.id], names: [`${busybox}:latest`, `${busybox}@${image.digest}`], isRepaired: false }
    expect(await harness.fsck()).toEqual([{ ...problem, message: `the content of ${damaged} has another digest` }])
    expect(harness.store.count()).toBe(2)
    expect(await harness.fsck({ repair: true })).toMatchObject([{ ...problem, isRepaired: true }])
    expect((await harness.store.list({ filters: none })).map(({ Id }) => Id)).toEqual([other.id])
    expect(await harness.fsck()).toEqual([])
    await harness.pull(busybox)
    expect(await harness.fsck()).toEqual([])
  })

  it.each([
    ['a config', () => image.id],
    ['a manifest', () => image.digest],
  ])('finds %s that is lost', async (_, digest) => {
    await truncate(blobFile(digest()), 3)
    expect(await harness.fsck()).toMatchObject([{ kind: 'blob-damaged', item: digest(), images: [image.id] }])
    await rm(blobFile(digest()))
    expect(await harness.fsck()).toMatchObject([{ kind: 'blob-missing', item: digest(), images: [image.id] }])
    await harness.fsck({ repair: true })
    expect(await harness.contents()).toEqual(empty)
  })

  it('finds what nothing needs', async () => {
    await harness.store[Symbol.asyncDispose]()
    const orphan = digestOf('orphan')
    await writeFile(blobFile(orphan), 'orphan')
    await harness.snapshotter.apply(digestOf('snapshot'), { path: blobFile(image.layers[0]!.blob), diffId: image.layers[0]!.diffId })
    await harness.snapshotter.prepare('container', { parent: chainIds(image.config.rootfs.diff_ids)[1] })
    expect((await harness.check()).map(({ kind, item }) => [kind, item])).toEqual([['blob-orphan', orphan], ['snapshot-orphan', digestOf('snapshot')]])
    await harness.check({ repair: true })
    expect(await harness.check()).toEqual([])
    await harness.open()
    expect((await harness.contents()).snapshots).toContain('container')
  })

  it('finds layers that are not what the config says', async () => {
    await harness.store[Symbol.asyncDispose]()
    const db = new DatabaseSync(join(harness.root, 'images.db'))
    db.prepare('UPDATE layers SET blob = ? WHERE blob = ?').run(image.layers[1]!.blob, image.layers[0]!.blob)
    db.prepare('UPDATE images SET manifest = ?').run(image.digest)
    db.close()
    expect((await harness.check()).map(({ kind, images }) => [kind, images])).toEqual([['layer-mismatch', [image.id]]])
    await harness.open()
  })
})

describe('read-only', () => {
  it('images are listed and read beside the store that is open, and after it was closed', async () => {
    const image = publish(harness.registry, 'busybox', [{ a: '1' }])
    await harness.pull(busybox)
    const look = async () => {
      await using source = await openImages(harness.root)
      const [root] = await source.roots()
      expect(root).toMatchObject({ names: [`${busybox}:latest`, `${busybox}@${image.digest}`], descriptor: { digest: image.digest } })
      const found = await resolveImage(source, root!.descriptor)
      expect([await found.id(), await validate(found)]).toEqual([image.id, []])
    }
    await look()
    await harness.store[Symbol.asyncDispose]()
    const files = (await readdir(harness.root)).toSorted()
    await look()
    expect((await readdir(harness.root)).toSorted()).toEqual(files)
    await harness.open()
    await expect(openImages(join(harness.root, 'nothing'))).rejects.toMatchObject({ kind: 'not-found' })
  })

  it.skipIf(process.getuid!() !== 0)('who may only read the files needs no other right', async () => {
    const image = publish(harness.registry, 'busybox', [{ a: '1' }])
    await harness.pull(busybox)
    await harness.store[Symbol.asyncDispose]()
    const { execFile, fork } = await import('node:child_process')
    await once(execFile('chmod', ['-R', 'a+rX', harness.root]), 'exit')
    const reader = fork(new URL('./read-images.ts', import.meta.url), [harness.root], { execArgv: ['--conditions=@berth/source'], uid: 65534, gid: 65534 })
    const [message] = (await once(reader, 'message')) as [unknown]
    expect(message).toEqual({ ids: [image.id], problems: 0 })
    await once(reader, 'exit')
    await harness.open()
  })
})
