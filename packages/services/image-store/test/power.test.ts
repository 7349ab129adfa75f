import { copyFileSync, mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { type FileHandle, open, readlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { tarOf } from '@berth/layer-tar'
import { memorySnapshotter } from '@berth/snapshotter/memory'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type ImageStore, openImageStore } from '../src/index.ts'
import { publish } from './harness.ts'
import { MemoryRegistry } from './memory-registry.ts'

const { signal } = new AbortController()
let root: string
let store: ImageStore
let registry: MemoryRegistry
/** Bytes of the records' log that are on disk. */
let durable = 0
let onStep: (step: string) => void = () => {}

/** The names that a loss of power at this moment would leave. */
function durableNames(): string[] {
  const directory = mkdtempSync(join(root, 'lost-'))
  copyFileSync(join(root, 'images.db'), join(directory, 'images.db'))
  copyFileSync(join(root, 'images.db-wal'), join(directory, 'images.db-wal'))
  truncateSync(join(directory, 'images.db-wal'), durable)
  const db = new DatabaseSync(join(directory, 'images.db'))
  try {
    return db.prepare('SELECT name FROM names ORDER BY name').all().map((row) => String(row['name'])) // prettier-ignore
  } finally {
    db.close()
    rmSync(directory, { recursive: true })
  }
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'berth-power-'))
  registry = new MemoryRegistry()
  const handle = await open('/dev/null')
  const prototype = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
  const sync = prototype.sync
  vi.spyOn(prototype, 'sync').mockImplementation(async function (this: FileHandle) {
    const path = await readlink(`/proc/self/fd/${this.fd}`)
    const size = path === join(root, 'images.db-wal') ? statSync(path).size : undefined
    await sync.call(this)
    if (size !== undefined) durable = size
  })
  store = await openImageStore({ root, snapshotter: memorySnapshotter(), registry, failPoint: (step) => onStep(step) })
})
afterEach(async () => {
  onStep = () => {}
  await store[Symbol.asyncDispose]()
  vi.restoreAllMocks()
  rmSync(root, { recursive: true })
})

async function* layer(content: string) {
  yield tarOf([{ name: 'file', content }])
}

describe('what was answered survives a loss of power:', () => {
  it('a pull', async () => {
    publish(registry, 'one', [{ a: '1' }])
    await Array.fromAsync(store.pull({ image: 'registry.test/one', tag: 'latest', signal }))
    expect(durableNames()).toContain('registry.test/one:latest')
  })

  it('an import, a tag, a commit and a load', async () => {
    await Array.fromAsync(store.import({ source: layer('1'), repo: 'one', changes: [], signal }))
    expect(durableNames()).toEqual(['docker.io/library/one:latest'])
    await store.tag('one', { repo: 'two' })
    expect(durableNames()).toContain('docker.io/library/two:latest')
    await store.commit({ layer: layer('3'), config: {}, changes: [], author: '', comment: '', createdBy: '', repo: 'three', signal })
    expect(durableNames()).toContain('docker.io/library/three:latest')
    const archive = await Array.fromAsync(await store.save(['three'], { signal }))
    await store.remove('three', { force: false })
    expect(durableNames()).not.toContain('docker.io/library/three:latest')
    const source = (async function* () {
      yield* archive
    })()
    await Array.fromAsync(store.load({ source, quiet: true, signal }))
    expect(durableNames()).toContain('docker.io/library/three:latest')
  })
})

it('no blob goes before a loss of power would find it needless', async () => {
  await Array.fromAsync(store.import({ source: layer('1'), repo: 'one', changes: [], signal }))
  const namesThen: string[][] = []
  onStep = (step) => {
    if (step === 'gc.blob') namesThen.push(durableNames())
  }
  await store.remove('one', { force: false })
  expect(namesThen).toEqual([[], [], []])
})
