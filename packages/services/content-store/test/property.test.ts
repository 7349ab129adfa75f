import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ErrorKind, isKind } from '@berth/core'
import { digestOf } from '@berth/oci'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type ContentStore, openContentStore } from '../src/index.ts'

const contents = [Buffer.from('small'), Buffer.alloc(300_000, 'middle'), Buffer.alloc(1_500_000, 'large')]
const actions = ['write', 'ingest', 'fetch', 'leave', 'read', 'remove', 'keep'] as const

/** Throws when something is not as it was promised. */
async function act(store: ContentStore, action: (typeof actions)[number], content: Buffer, key: string): Promise<void> {
  const digest = digestOf(content)
  const fetchFrom = async (signal: AbortSignal) => {
    const source = async function* (offset: number) {
      for (let at = offset; at < content.length; at += 100_000) yield content.subarray(at, at + 100_000)
    }
    await using arrival = await store.fetch({ digest, size: content.length }, source, { signal })
    await arrival.done
  }
  if (action === 'write') await store.write(content)
  else if (action === 'fetch') await fetchFrom(new AbortController().signal)
  else if (action === 'leave') await unless(fetchFrom(AbortSignal.timeout(1)), 'deadline-exceeded')
  else if (action === 'remove' || action === 'keep') await store.remove(digest, { keep: action === 'keep' })
  else if (action === 'ingest') {
    const ingest = await store.ingest(key)
    await ingest.write(content)
    await ingest.commit({ digest, size: content.length })
  } else {
    const read = await unless(Array.fromAsync(store.read(digest)), 'not-found')
    if (read && digestOf(Buffer.concat(read)) !== digest) throw new Error(`${digest} was read with other bytes`)
  }
}

async function unless<T>(work: Promise<T>, kind: ErrorKind): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (isKind(error, kind)) return undefined
    throw error
  }
}

it('whoever writes, reads, fetches and removes at the same time, what is there is whole', async () => {
  const step = fc.record({ action: fc.constantFrom(...actions), content: fc.constantFrom(...contents) })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 2, maxLength: 5 }), async (workers) => {
      const root = mkdtempSync(join(tmpdir(), 'berth-content-'))
      try {
        await using store = await openContentStore({ root })
        await Promise.all(
          workers.map(async (steps, worker) => {
            for (const { action, content } of steps) await act(store, action, content, `worker-${worker}`)
          }),
        )
        for (const { digest, size } of await store.list()) {
          const content = Buffer.concat(await Array.fromAsync(store.read(digest)))
          expect([digestOf(content), content.length]).toEqual([digest, size])
        }
        // Only what was left half way or kept, which is one of the contents.
        expect(readdirSync(join(root, 'ingest'))).toHaveLength((await store.ingests()).length)
        for (const { key } of await store.ingests()) expect(contents.map((content) => digestOf(content))).toContain(key)
      } finally {
        rmSync(root, { recursive: true })
      }
    }),
    { numRuns: 25 },
  )
}, 60_000)
