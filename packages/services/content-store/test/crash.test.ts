import { spawn, spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestOf } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openContentStore } from '../src/index.ts'
import { large } from './contents.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'berth-content-'))
})
afterEach(() => rmSync(root, { recursive: true }))

const program = (name: string) => ['--conditions=@berth/source', join(import.meta.dirname, name)]

describe('killed at every step, a store', () => {
  const steps = ['content.verified', 'content.synced', 'content.placed', 'content.durable'].flatMap((step) => [1, 2, 3, 4, 5].map((count) => [step, count] as const))
  it.each([...steps, ['content.removed', 1] as const, ['content.removed', 2] as const])('%s (%i) has what was acknowledged, whole, and nothing else', async (step, count) => {
    const { signal, stdout, stderr } = spawnSync(process.execPath, [...program('killed-writer-process.ts'), root, step, String(count)], { encoding: 'utf8' })
    expect([signal, stderr]).toEqual(['SIGKILL', ''])
    const kept = new Set<string>()
    const unsure = new Set<string>()
    for (const [what = '', digest = ''] of stdout.split('\n').map((line) => line.split(' '))) {
      if (what === 'kept') kept.add(digest)
      else kept.delete(digest)
      if (what === 'removing') unsure.add(digest)
    }

    await using store = await openContentStore({ root })
    const blobs = await store.list()
    for (const { digest, size } of blobs) {
      const content = Buffer.concat(await Array.fromAsync(store.read(digest)))
      expect([digestOf(content), content.length]).toEqual([digest, size])
    }
    expect(blobs.map(({ digest }) => digest)).toEqual(expect.arrayContaining([...kept]))
    // Besides those, at most the one that was about to be told.
    expect(blobs.length).toBeLessThanOrEqual(kept.size + 1)
    const ingests = await store.ingests()
    expect(readdirSync(join(root, 'ingest'))).toHaveLength(ingests.length)
    for (const { key } of ingests) await store.discard(key)
    expect(readdirSync(join(root, 'ingest'))).toEqual([])
  })

  it('at none does all', () => {
    const { status, stdout } = spawnSync(process.execPath, [...program('killed-writer-process.ts'), root], { encoding: 'utf8' })
    expect([status, stdout.split('\n').at(-2)]).toEqual([0, 'end '])
  })
})

it('goes on with an ingest whose process was killed while it wrote', async () => {
  const writer = spawn(process.execPath, [...program('endless-writer-process.ts'), root], { stdio: 'inherit' })
  const ended = new Promise((resolve) => writer.on('exit', resolve))
  const file = join(root, 'ingest/key-upload')
  while ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) < 4_000_000) await new Promise((resolve) => setImmediate(resolve))
  writer.kill('SIGKILL')
  await ended

  await using store = await openContentStore({ root })
  const [found] = await store.ingests()
  const ingest = await store.ingest('upload')
  expect([found?.key, found?.bytes]).toEqual(['upload', ingest.bytes])
  const expected = Buffer.alloc(ingest.bytes + 5, 'x')
  await ingest.write(expected.subarray(0, 5))
  expect((await ingest.commit()).digest).toBe(digestOf(expected))
})

it('fetches anew what power loss has left of a transfer', async () => {
  const blob = { digest: digestOf(large), size: large.length }
  await openContentStore({ root }).then((store) => store[Symbol.asyncDispose]())
  const file = join(root, 'ingest', blob.digest.replace(':', '-'))
  writeFileSync(file, large.subarray(0, 1_000_000))
  // The size was on disk, and the bytes were not.
  appendFileSync(file, Buffer.alloc(1_000_000))
  await using store = await openContentStore({ root })
  const offsets: number[] = []
  await using arrival = await store.fetch(
    blob,
    async function* (offset) {
      offsets.push(offset)
      yield large.subarray(offset)
    },
    { signal: new AbortController().signal },
  )
  await arrival.done
  expect(offsets).toEqual([2_000_000, 0])
  expect(await store.list()).toEqual([blob])
})
