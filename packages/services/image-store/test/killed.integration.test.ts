import { fork } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tarOf } from '@berth/layer-tar'
import type { Snapshotter } from '@berth/snapshotter'
import { overlaySnapshotter } from '@berth/snapshotter-overlay'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fsck, type ImageRegistry, type ImageStore, noRegistry, openImageStore } from '../src/index.ts'
import { MemoryRegistry } from './memory-registry.ts'
import { publishTwoLayers } from './two-layers.ts'
import { type Work, work } from './work.ts'

const { signal } = new AbortController()
const none = new Map<string, readonly string[]>()
let directory: string

/** Opens the store over overlayfs for as long as the work lasts. */
async function withStore<T>(use: (store: ImageStore, snapshotter: Snapshotter) => Promise<T>, registry: ImageRegistry = noRegistry): Promise<T> {
  await using snapshotter = overlaySnapshotter({ root: join(directory, 'snapshots') })
  await using store = await openImageStore({ root: join(directory, 'images'), snapshotter, registry })
  return await use(store, snapshotter)
}

async function problems() {
  await using snapshotter = overlaySnapshotter({ root: join(directory, 'snapshots') })
  return (await fsck(join(directory, 'images'), { snapshotter })).problems
}

const names = (store: ImageStore) => store.list({ filters: none }).then((images) => images.flatMap(({ RepoTags }) => RepoTags).toSorted())
const ingests = () => readdir(join(directory, 'images/ingest'))

async function* archive() {
  yield await readFile(join(directory, 'archive.tar'))
}

async function* base() {
  yield tarOf([{ name: 'base', content: 'stays' }])
}

function registryOfTwo(): MemoryRegistry {
  const registry = new MemoryRegistry()
  publishTwoLayers(registry)
  return registry
}

/** Work, the step after which it ends, and at which time that is. */
const steps: [Work, string, number][] = [
  ['pull', 'pull.config', 1],
  ['pull', 'content.verified', 2],
  ['pull', 'content.placed', 2],
  ['pull', 'content.durable', 3],
  ['pull', 'pull.blob', 1],
  ['pull', 'pull.blob', 2],
  ['pull', 'pull.layer', 1],
  ['pull', 'pull.layer', 2],
  ['pull', 'pull.documents', 1],
  ['pull', 'pull.recorded', 1],
  ['load', 'load.file', 1],
  ['load', 'load.spooled', 1],
  ['load', 'load.blob', 2],
  ['load', 'load.layer', 2],
  ['load', 'load.image', 1],
  ['load', 'load.recorded', 1],
  ['import', 'content.placed', 1],
  ['import', 'import.recorded', 1],
  ['commit', 'content.placed', 1],
  ['commit', 'commit.blob', 1],
  ['commit', 'commit.layer', 1],
  ['commit', 'commit.documents', 1],
  ['commit', 'commit.recorded', 1],
  ['gc', 'gc.layer', 1],
  ['gc', 'gc.recorded', 1],
  ['gc', 'gc.layer', 2],
  ['gc', 'gc.blob', 4],
]

describe.skipIf(process.getuid!() !== 0)('killed (kill -9) after', { timeout: 120_000 }, () => {
  let templates: string

  beforeAll(async () => {
    templates = await mkdtemp(join(tmpdir(), 'berth-killed-'))
    directory = join(templates, 'without')
    await mkdir(directory)
    await withStore(async (store) => {
      await Array.fromAsync(store.import({ source: base(), repo: 'base', changes: [], signal }))
    })
    directory = join(templates, 'with')
    await cp(join(templates, 'without'), directory, { recursive: true })
    await withStore(async (store) => {
      await work.pull(store, archive)
      for (const each of ['with', 'without']) await writeFile(join(templates, each, 'archive.tar'), await store.save(['made'], { signal }))
    }, registryOfTwo())
  }, 120_000)
  afterAll(() => rm(templates, { recursive: true }))
  beforeEach(() => void (directory = join(templates, 'test')))
  afterEach(() => rm(directory, { recursive: true }))

  it.each(steps)('%s: %s (%i)', async (name, step, times) => {
    await cp(join(templates, name === 'gc' ? 'with' : 'without'), directory, { recursive: true })
    const child = fork(new URL('./killed-work.ts', import.meta.url), [directory, name, step, String(times)], { execArgv: ['--conditions=@berth/source'] })
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL'])

    // What was acknowledged is here, down to its snapshots; what was not is not, and nothing is left of it.
    const isAcknowledged = step.endsWith('.recorded') && name !== 'gc'
    const made = name === 'pull' ? 'registry.test/two:latest' : 'made:latest'
    await withStore(async (store, snapshotter) => {
      const found = await names(store)
      expect(found).toEqual(isAcknowledged ? ['base:latest', made] : ['base:latest'])
      for (const ref of found) expect(await snapshotter.mounts((await store.resolve(ref)).chainId!)).toHaveLength(1)
    })
    expect(await problems()).toEqual([])
    // Only pulls are gone on with.
    expect(name === 'pull' ? [] : await ingests()).toEqual([])

    // And on it goes, until nothing is left.
    await withStore(async (store, snapshotter) => {
      if (name !== 'gc') await work[name](store, archive)
      expect(await names(store)).toContain(name === 'gc' ? 'base:latest' : 'made:latest')
      for (const { Id } of await store.list({ all: true, filters: none })) await store.remove(Id, { force: true })
      expect(await snapshotter.list()).toEqual([])
    }, registryOfTwo())
    expect([await ingests(), await readdir(join(directory, 'images/content/sha256'))]).toEqual([[], []])
  })
})
