import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { digestOf } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openContentStore, readContent } from '../src/index.ts'
import { large, small } from './contents.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'berth-content-'))
})
afterEach(() => rmSync(root, { recursive: true }))

const isRoot = process.geteuid?.() === 0

it('says so when the disk has changed a document, and takes it once more', async () => {
  await using store = await openContentStore({ root })
  const digest = await store.write(small)
  writeFileSync(store.path(digest), 'b small blob')
  await expect(store.readDocument(digest)).rejects.toMatchObject({ kind: 'data-loss', code: 'DIGEST_MISMATCH' })
  const ingest = await store.ingest('again')
  await ingest.write(small)
  await ingest.commit({ digest })
  expect(await store.readDocument(digest)).toEqual(small)
})

it.skipIf(!isRoot)('a full disk is told of, loses nothing, and is over when there is room (needs root for a tmpfs)', () => {
  const script = `mount -t tmpfs -o size=16m tmpfs "$0" && exec "$1" --conditions=@berth/source "$2" "$0"`
  const { stdout, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', script, root, process.execPath, join(import.meta.dirname, 'full-disk-process.ts')], { encoding: 'utf8' })
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toEqual({
    kind: 'resource-exhausted',
    hasTaken: true,
    size: 12 << 20,
    whole: true,
    restKind: 'resource-exhausted',
    small: 'resource-exhausted',
    kept: [true],
    files: [],
    filler: true,
  })
})

describe('a store that was left alone', () => {
  it('has dropped old ingests when it is opened, and keeps young ones', async () => {
    const store = await openContentStore({ root })
    for (const key of ['old', 'young']) {
      await using ingest = await store.ingest(key)
      await ingest.write(small)
    }
    await store[Symbol.asyncDispose]()
    const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1000)
    utimesSync(join(root, 'ingest/key-old'), yesterday, yesterday)
    writeFileSync(join(root, 'ingest/temporary-1'), 'of a killed process')
    await using again = await openContentStore({ root })
    expect((await again.ingests()).map(({ key }) => key)).toEqual(['young'])
    expect(readdirSync(join(root, 'ingest'))).toEqual(['key-young'])
  })

  it('has no thread', async () => {
    const threads = () => readdirSync('/proc/self/task').filter((task) => readFileSync(`/proc/self/task/${task}/comm`, 'utf8').includes('ingest')).length
    await using store = await openContentStore({ root, idleTimeout: 1 })
    const ingest = await store.ingest('large')
    await ingest.write(large)
    expect(threads()).toBe(1)
    await ingest.commit()
    while (threads() > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect((await store.list()).length).toBe(1)
  })
})

it('keeps no more of a transfer in memory than a few pieces', async () => {
  await using store = await openContentStore({ root })
  const pieces = 3000
  const pieceOf = (index: number) => Buffer.alloc(65_536, index)
  const hash = createHash('sha256')
  for (let index = 0; index < pieces; index++) hash.update(pieceOf(index))
  let most = 0
  const source = async function* () {
    for (let index = 0; index < pieces; index++) {
      yield pieceOf(index)
      most = Math.max(most, process.memoryUsage().arrayBuffers)
    }
  }
  const before = process.memoryUsage().arrayBuffers
  await using arrival = await store.fetch({ digest: `sha256:${hash.digest('hex')}`, size: pieces * 65_536 }, source, { signal: new AbortController().signal })
  await arrival.done
  expect(most - before).toBeLessThan((pieces * 65_536) / 2)
})

it('leaves no descriptor behind', async () => {
  const files = () => readdirSync('/proc/self/fd').length
  await openContentStore({ root }).then((store) => store[Symbol.asyncDispose]())
  const before = files()
  const store = await openContentStore({ root })
  const content = randomBytes(2_000_000)
  const blob = { digest: digestOf(content), size: content.length }
  const signal = new AbortController().signal
  for (const source of [content.subarray(0, 1_500_000), Buffer.alloc(2_000_000), content]) {
    const arrival = await store.fetch(
      blob,
      async function* (offset) {
        yield source.subarray(offset)
      },
      { signal },
    )
    await arrival.done.catch(() => {})
    await arrival[Symbol.asyncDispose]()
  }
  expect((await store.list()).length).toBe(1)
  for await (const piece of store.read(blob.digest)) {
    expect(piece.length).toBeGreaterThan(0)
    break
  }
  const reading = store.read(blob.digest)
  await reading[Symbol.asyncIterator]().return?.()
  await store[Symbol.asyncDispose]()
  while (files() > before) await new Promise((resolve) => setTimeout(resolve, 5))
})

describe('who may only read', () => {
  it('makes nothing, also where there is no store', async () => {
    const reader = readContent(join(root, 'none'))
    expect(await reader.list()).toEqual([])
    expect(await reader.stat(digestOf(small))).toBeUndefined()
    await expect(reader.readDocument(digestOf(small))).rejects.toMatchObject({ kind: 'not-found' })
    expect(existsSync(join(root, 'none'))).toBe(false)
  })

  it.skipIf(!isRoot)('reads what others may read (needs root to become nobody)', async () => {
    await using store = await openContentStore({ root })
    const [open, shut] = [await store.write(small), await store.write(large)]
    for (const path of [root, join(root, 'content'), dirname(store.path(open))]) chmodSync(path, 0o755)
    chmodSync(store.path(open), 0o444)
    chownSync(store.path(shut), 0, 0)
    const before = statSync(root).mtimeMs
    process.seteuid!(65_534)
    try {
      const reader = readContent(root)
      expect(await reader.readDocument(open)).toEqual(small)
      await expect(reader.readDocument(shut)).rejects.toMatchObject({ code: 'EACCES' })
    } finally {
      process.seteuid!(0)
    }
    expect(statSync(root).mtimeMs).toBe(before)
  })
})
