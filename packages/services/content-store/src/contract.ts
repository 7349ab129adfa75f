import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { digestOf, maxDocumentSize } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Arrival, BlobSource, ContentStore } from './content-store.ts'

export interface ContentStoreHarness {
  /** A store over the same state each time it is called within one test. */
  open(): Promise<ContentStore>
  /** Removes what is left of the state. */
  close(): Promise<void>
}

const small = Buffer.from('a small blob')
/** More than one piece, and more than any implementation is expected to treat as small. */
const large = randomBytes(3_000_001)
const signal = new AbortController().signal

/** The suite that every content store passes; one that is not `persistent` is not asked for what it had before it was closed. */
export function contentStoreContract(name: string, makeHarness: () => Promise<ContentStoreHarness>, { persistent = true } = {}): void {
  describe(`content store contract: ${name}`, () => {
    let harness: ContentStoreHarness
    let store: ContentStore
    beforeEach(async () => {
      harness = await makeHarness()
      store = await harness.open()
    })
    afterEach(async () => {
      await store[Symbol.asyncDispose]()
      await harness.close()
    })

    describe('blobs', () => {
      it.each([
        ['small', small],
        ['empty', Buffer.alloc(0)],
        ['large', large],
      ])('that are %s are read as they were written', async (_, content) => {
        const digest = await store.write(content)
        expect(digest).toBe(digestOf(content))
        expect(digestOf(await bytesOf(store.read(digest)))).toBe(digestOf(content))
        expect(digestOf(readFileSync(store.path(digest)))).toBe(digestOf(content))
        expect(await store.stat(digest)).toEqual({ digest, size: content.length })
        expect(await store.list()).toEqual([{ digest, size: content.length }])
      })

      it.each(['sha256', 'sha384', 'sha512'] as const)('have a digest by %s', async (algorithm) => {
        const digest = await store.write(small, { algorithm })
        expect(digest).toBe(digestOf(small, algorithm))
        expect(await store.readDocument(digest)).toEqual(small)
      })

      it('are there once, however often they are written', async () => {
        await Promise.all(Array.from({ length: 20 }, () => store.write(small)))
        expect(await store.list()).toHaveLength(1)
      })

      it('do not change with the memory that they were written from', async () => {
        const content = Buffer.from(small)
        const digest = await store.write(content)
        content.fill(0)
        expect(await store.readDocument(digest)).toEqual(small)
      })

      it('are read in part', async () => {
        const digest = await store.write(large)
        expect(digestOf(await bytesOf(store.read(digest, { offset: 1_000_000 })))).toBe(digestOf(large.subarray(1_000_000)))
        expect(digestOf(await bytesOf(store.read(digest, { offset: 5, length: 600_000 })))).toBe(digestOf(large.subarray(5, 600_005)))
        expect(await bytesOf(store.read(digest, { length: 0 }))).toEqual(Buffer.alloc(0))
        expect(await bytesOf(store.read(digest, { offset: 4_000_000 }))).toEqual(Buffer.alloc(0))
      })

      it('are read to their end by who began before they were removed', async () => {
        const digest = await store.write(large)
        const reading = store.read(digest)
        await store.remove(digest)
        expect(digestOf(await bytesOf(reading))).toBe(digestOf(large))
      })

      it('are not read further when the signal says so', async () => {
        const digest = await store.write(large)
        await expect(bytesOf(store.read(digest, { signal: AbortSignal.abort(new Error('enough')) }))).rejects.toThrow('enough')
      })

      it('that are not here are not found', async () => {
        const digest = digestOf('nowhere')
        expect(await store.stat(digest)).toBeUndefined()
        await expect(bytesOf(store.read(digest))).rejects.toMatchObject({ kind: 'not-found' })
        await expect(store.readDocument(digest)).rejects.toMatchObject({ kind: 'not-found' })
        expect(await store.remove(digest)).toBe(0)
      })

      it('are gone in the turn of the event loop in which they are removed', async () => {
        const digest = await store.write(small)
        const removing = store.remove(digest)
        const reading = store.read(digest)
        expect(await removing).toBe(small.length)
        await expect(bytesOf(reading)).rejects.toMatchObject({ kind: 'not-found' })
        expect(await store.list()).toEqual([])
      })

      it('that are too large are no documents', async () => {
        const digest = await store.write(Buffer.alloc(maxDocumentSize + 1))
        await expect(store.readDocument(digest)).rejects.toMatchObject({ kind: 'invalid-argument' })
      })

      it.each(['', 'sha256', 'sha256:12', `sha256:../../${'a'.repeat(58)}`, `md5:${'a'.repeat(32)}`, `sha256:${'A'.repeat(64)}`])('named "%s" are none', async (digest) => {
        const refused = { kind: 'invalid-argument' }
        expect(() => store.path(digest)).toThrow(expect.objectContaining(refused))
        await expect(store.stat(digest)).rejects.toMatchObject(refused)
        await expect((async () => bytesOf(store.read(digest)))()).rejects.toMatchObject(refused)
        await expect(store.readDocument(digest)).rejects.toMatchObject(refused)
        await expect(store.remove(digest)).rejects.toMatchObject(refused)
        await expect(store.fetch({ digest, size: 1 }, never, { signal })).rejects.toMatchObject(refused)
      })
    })

    describe('an ingest', () => {
      it('becomes a blob, in pieces of any size', async () => {
        const ingest = await store.ingest('upload')
        const pieces = piecesOf(large, [1, 2, 65_536, 700_000, 100, 1_000_000, 300])
        for (const piece of pieces) {
          const reused = Buffer.from(piece)
          await ingest.write(reused)
          reused.fill(0)
        }
        expect(ingest.bytes).toBe(large.length)
        const blob = { digest: digestOf(large), size: large.length }
        expect(await store.stat(blob.digest)).toBeUndefined()
        expect(await ingest.commit(blob)).toEqual(blob)
        expect(digestOf(await bytesOf(store.read(blob.digest)))).toBe(digestOf(large))
        expect(await store.ingests()).toEqual([])
      })

      it.each([
        ['small', small],
        ['large', large],
      ])('that is %s is told its digest, by any algorithm', async (_, content) => {
        for (const algorithm of ['sha256', 'sha384', 'sha512'] as const) {
          const ingest = await store.ingest('upload')
          await ingest.write(content)
          expect(await ingest.commit({ algorithm })).toEqual({ digest: digestOf(content, algorithm), size: content.length })
        }
        const ingest = await store.ingest('upload')
        await ingest.write(content)
        expect((await ingest.commit()).digest).toBe(digestOf(content))
      })

      it.each([
        ['other bytes', { digest: digestOf('other') }],
        ['more bytes', { size: small.length + 1 }],
        ['fewer bytes', { digest: digestOf(small), size: small.length - 1 }],
      ])('that was announced with %s is dropped', async (_, expected) => {
        const ingest = await store.ingest('upload')
        await ingest.write(small)
        await expect(ingest.commit(expected)).rejects.toMatchObject({ kind: 'data-loss' })
        expect(await store.list()).toEqual([])
        expect(await store.ingests()).toEqual([])
      })

      it('with a digest that is none goes on', async () => {
        const ingest = await store.ingest('upload')
        await ingest.write(small)
        await expect(ingest.commit({ digest: 'sha256:12' })).rejects.toMatchObject({ kind: 'invalid-argument' })
        expect((await ingest.commit()).size).toBe(small.length)
      })

      it.each([
        ['small', small],
        ['large', large],
      ])('that is %s is gone on with under its key', async (_, content) => {
        const half = content.length >> 1
        for (const [from, to] of [[0, half], [half, half + 3], [half + 3, content.length]] as const) {
          await using ingest = await store.ingest('upload')
          expect(ingest.bytes).toBe(from)
          await ingest.write(content.subarray(from, to))
        }
        expect(await store.ingests()).toEqual([{ key: 'upload', bytes: content.length, updatedAt: expect.any(Date) }])
        const ingest = await store.ingest('upload')
        expect((await ingest.commit({ size: content.length })).digest).toBe(digestOf(content))
      })

      it('has one writer', async () => {
        const ingest = await store.ingest('upload')
        await expect(store.ingest('upload')).rejects.toMatchObject({ kind: 'conflict' })
        await expect(store.discard('upload')).rejects.toMatchObject({ kind: 'conflict' })
        await ingest.write(small)
        await ingest[Symbol.asyncDispose]()
        await expect(ingest.write(small)).rejects.toMatchObject({ kind: 'conflict' })
        const next = await store.ingest('upload')
        await next.discard()
        await expect(next.commit()).rejects.toMatchObject({ kind: 'conflict' })
        expect(await store.ingests()).toEqual([])
      })

      it('that nobody writes can be dropped, also when there is none', async () => {
        const ingest = await store.ingest('upload')
        await ingest.write(large)
        await ingest[Symbol.asyncDispose]()
        await store.discard('upload')
        await store.discard('upload')
        expect(await store.ingests()).toEqual([])
      })

      it.each(['../../escape', 'a/b', '.', '..', 'ü \u0000%2f', digestOf('key')])('may have the key "%s"', async (key) => {
        const ingest = await store.ingest(key)
        await ingest.write(small)
        await ingest[Symbol.asyncDispose]()
        expect((await store.ingests()).map((each) => each.key)).toEqual([key])
      })

      it.each(['', 'a'.repeat(300), '\ud800'])('may not have the key "%s"', async (key) => {
        await expect(store.ingest(key)).rejects.toMatchObject({ kind: 'invalid-argument' })
      })

      it('stands beside others', async () => {
        const contents = Array.from({ length: 8 }, (_, index) => large.subarray(index * 100_000))
        const digests = await Promise.all(
          contents.map(async (content, index) => {
            const ingest = await store.ingest(`upload-${index}`)
            for (const piece of piecesOf(content, [60_000 + index, 200_000])) await ingest.write(piece)
            return (await ingest.commit()).digest
          }),
        )
        expect(digests).toEqual(contents.map((content) => digestOf(content)))
      })
    })

    describe('a fetch', () => {
      const blob = { digest: digestOf(large), size: large.length }

      it.each([
        ['small', small],
        ['empty', Buffer.alloc(0)],
        ['large', large],
      ])('of something %s makes it be here', async (_, content) => {
        const progress: number[] = []
        await using arrival = await store.fetch({ digest: digestOf(content), size: content.length }, sourceOf(content), { signal, onProgress: (bytes) => progress.push(bytes) })
        const growing = numbersOf(arrival)
        await arrival.done
        expect(digestOf(readFileSync(arrival.file))).toBe(digestOf(content))
        expect((await growing).at(-1)).toBe(content.length)
        expect(digestOf(await bytesOf(store.read(digestOf(content))))).toBe(digestOf(content))
        expect(progress.at(-1) ?? 0).toBe(content.length)
        expect(progress).toEqual(progress.toSorted((a, b) => a - b))
        expect(await store.ingests()).toEqual([])
      })

      it('of what is here asks nobody', async () => {
        await store.write(large)
        await using arrival = await store.fetch(blob, never, { signal })
        await arrival.done
        expect(await numbersOf(arrival)).toEqual([large.length])
        expect(digestOf(readFileSync(arrival.file))).toBe(digestOf(large))
      })

      it('has a file that is read on after a removal', async () => {
        await using arrival = await store.fetch(blob, sourceOf(large), { signal })
        await arrival.done
        await store.remove(blob.digest)
        expect(digestOf(readFileSync(arrival.file))).toBe(digestOf(large))
      })

      it('is shared by all that want the same', async () => {
        let sources = 0
        const source: BlobSource = (offset, each) => (sources++, sourceOf(large)(offset, each))
        const arrivals = await Promise.all(Array.from({ length: 5 }, () => store.fetch(blob, source, { signal })))
        await Promise.all(arrivals.map(({ done }) => done))
        for (const arrival of arrivals) await arrival[Symbol.asyncDispose]()
        expect(sources).toBe(1)
      })

      it('goes on from where an earlier one broke off', async () => {
        await failedFetch(store, blob, cut(large, 1_500_000))
        expect((await store.ingests()).map(({ key, bytes }) => [key, bytes])).toEqual([[blob.digest, 1_500_000]])
        const offsets: number[] = []
        await using arrival = await store.fetch(blob, (offset, each) => (offsets.push(offset), sourceOf(large)(offset, each)), { signal })
        await arrival.done
        expect(offsets).toEqual([1_500_000])
        expect(await numbersOf(arrival)).toEqual([large.length])
        expect(digestOf(readFileSync(arrival.file))).toBe(digestOf(large))
      })

      it('begins anew when what an earlier one left proves wrong', async () => {
        await failedFetch(store, blob, cut(Buffer.alloc(large.length), 1_500_000))
        const offsets: number[] = []
        await using arrival = await store.fetch(blob, (offset, each) => (offsets.push(offset), sourceOf(large)(offset, each)), { signal })
        const growing = numbersOf(arrival)
        await arrival.done
        expect(offsets).toEqual([1_500_000, 0])
        expect((await growing).at(-1)).toBe(large.length)
        expect(digestOf(await bytesOf(store.read(blob.digest)))).toBe(digestOf(large))
      })

      it('goes on from a blob that was removed and kept', async () => {
        await store.write(large)
        expect(await store.remove(blob.digest, { keep: true })).toBe(0)
        expect(await store.list()).toEqual([])
        await using arrival = await store.fetch(blob, never, { signal })
        await arrival.done
        expect(digestOf(await bytesOf(store.read(blob.digest)))).toBe(digestOf(large))
      })

      it.each([
        ['other bytes', () => sourceOf(randomBytes(large.length)), { kind: 'data-loss', kept: 0 }],
        ['too many bytes', () => sourceOf(Buffer.concat([large, small])), { kind: 'data-loss', kept: 0 }],
        ['too few bytes', () => sourceOf(large.subarray(1)), { kind: 'unavailable', kept: 1 }],
      ] as const)('of %s fails', async (_, makeSource, { kind, kept }) => {
        await expect(failedFetch(store, blob, makeSource())).rejects.toMatchObject({ kind })
        expect(await store.list()).toEqual([])
        expect(await store.ingests()).toHaveLength(kept)
      })

      it('of a blob of another size fails', async () => {
        await store.write(large)
        await expect(failedFetch(store, { ...blob, size: 5 }, never)).rejects.toMatchObject({ kind: 'data-loss' })
      })

      it('tells who follows it that the rest will not come', async () => {
        const source = controlled()
        await using arrival = await store.fetch(blob, source.source, { signal })
        const growing = numbersOf(arrival)
        await source.push(large.subarray(0, 1000))
        source.fail(new Error('the line is cut'))
        await expect(arrival.done).rejects.toThrow('the line is cut')
        await expect(growing).rejects.toThrow('the line is cut')
      })

      it('goes on with the source of who joined, when that of the first fails', async () => {
        const first = controlled()
        const offsets: number[] = []
        await using failing = await store.fetch(blob, first.source, { signal })
        await using joined = await store.fetch(blob, (offset, each) => (offsets.push(offset), sourceOf(large)(offset, each)), { signal })
        await first.push(large.subarray(0, 1000))
        first.fail(new Error('the line is cut'))
        await expect(failing.done).rejects.toThrow('the line is cut')
        await joined.done
        expect(offsets).toEqual([1000])
        expect((await numbersOf(joined)).at(-1)).toBe(large.length)
      })

      it('begins anew with the source of who joined, when that of the first lies', async () => {
        const first = controlled()
        await using failing = await store.fetch(blob, first.source, { signal })
        await using joined = await store.fetch(blob, sourceOf(large), { signal })
        await first.push(randomBytes(large.length))
        first.end()
        await expect(failing.done).rejects.toMatchObject({ kind: 'data-loss' })
        await joined.done
        expect(digestOf(readFileSync(joined.file))).toBe(digestOf(large))
      })

      it('ends with the last of its callers, and what came is kept', async () => {
        const source = controlled()
        const [one, other] = [new AbortController(), new AbortController()]
        await using first = await store.fetch(blob, source.source, { signal: one.signal })
        await using second = await store.fetch(blob, never, { signal: other.signal })
        await source.push(large.subarray(0, 1000))
        one.abort(new Error('no patience'))
        await expect(first.done).rejects.toThrow('no patience')
        expect(source.signal?.aborted).toBe(false)
        await source.push(large.subarray(1000, 2000))
        other.abort(new Error('no patience either'))
        await expect(second.done).rejects.toThrow('no patience either')
        expect(source.signal?.aborted).toBe(true)
        expect((await store.ingests()).map(({ bytes }) => bytes)).toEqual([2000])
      })

      it('ends when the last of its arrivals is disposed', async () => {
        const source = controlled()
        const arrival = await store.fetch(blob, source.source, { signal })
        await source.push(large.subarray(0, 1000))
        await arrival[Symbol.asyncDispose]()
        expect(source.signal?.aborted).toBe(true)
        await expect(arrival.done).rejects.toMatchObject({ kind: 'cancelled' })
      })

      it('ends although its source does not hear', async () => {
        const abort = new AbortController()
        await using arrival = await store.fetch(blob, deaf, { signal: abort.signal })
        abort.abort(new Error('enough'))
        await expect(arrival.done).rejects.toThrow('enough')
      })

      it('that is aborted before it begins touches nothing', async () => {
        await expect(store.fetch(blob, never, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
        expect(await store.ingests()).toEqual([])
      })

      it('ends with the store', async () => {
        const source = controlled()
        await using arrival = await store.fetch(blob, source.source, { signal })
        await source.push(large.subarray(0, 1000))
        await store[Symbol.asyncDispose]()
        await expect(arrival.done).rejects.toMatchObject({ kind: 'cancelled' })
      })
    })

    if (!persistent) return
    it('knows its blobs and ingests when it is opened again', async () => {
      const digest = await store.write(large)
      const ingest = await store.ingest('upload')
      await ingest.write(large.subarray(0, 1_000_000))
      await store[Symbol.asyncDispose]()
      store = await harness.open()
      expect(digestOf(await bytesOf(store.read(digest)))).toBe(digestOf(large))
      const resumed = await store.ingest('upload')
      expect(resumed.bytes).toBe(1_000_000)
      await resumed.write(large.subarray(1_000_000))
      expect((await resumed.commit()).digest).toBe(digest)
    })
  })
}

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(source))
}

async function numbersOf(arrival: Arrival): Promise<number[]> {
  const numbers = await Array.fromAsync(arrival.growth())
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
  return numbers
}

function piecesOf(content: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = []
  for (let at = 0, index = 0; at < content.length; index++) {
    const size = sizes[index % sizes.length]!
    pieces.push(content.subarray(at, at + size))
    at += size
  }
  return pieces
}

function sourceOf(content: Uint8Array): BlobSource {
  return async function* (offset) {
    yield* piecesOf(content.subarray(offset), [65_536])
  }
}

function cut(content: Uint8Array, end: number): BlobSource {
  return async function* (offset) {
    yield content.subarray(offset, end)
    throw new Error('the line is cut')
  }
}

/** Fetches what does not come, and throws why unless it was the cut line. */
async function failedFetch(store: ContentStore, blob: { digest: string; size: number }, source: BlobSource): Promise<void> {
  try {
    await using arrival = await store.fetch(blob, source, { signal })
    await arrival.done
  } catch (error) {
    if (!(error instanceof Error) || error.message !== 'the line is cut') throw error
    return
  }
  throw new Error('the fetch did not fail')
}

const never: BlobSource = () => {
  throw new Error('this source is not to be asked')
}

const deaf: BlobSource = () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) })

/** A source whose pieces the test gives, each settling when the next is asked for. */
function controlled() {
  const steps: { piece?: Uint8Array; error?: Error; isEnd?: boolean; taken: () => void }[] = []
  let wake = () => {}
  const add = (step: { piece?: Uint8Array; error?: Error; isEnd?: boolean }) =>
    new Promise<void>((taken) => {
      steps.push({ ...step, taken })
      wake()
    })
  const handle = {
    signal: undefined as AbortSignal | undefined,
    push: (piece: Uint8Array) => add({ piece }),
    fail: (error: Error) => void add({ error }),
    end: () => void add({ isEnd: true }),
    source: async function* (_offset: number, given: AbortSignal) {
      handle.signal = given
      for (;;) {
        const step = steps.shift()
        if (!step) await new Promise<void>((resolve) => (wake = resolve))
        else if (step.error) throw step.error
        else if (step.isEnd) return
        else {
          yield step.piece!
          step.taken()
        }
      }
    },
  }
  return handle
}
