import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type EngineEvent, silent } from '@berth/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkEventFilters, matchesEvent } from './event-filters.ts'
import { EventHub } from './event-hub.ts'
import type { EventJournalOptions } from './event-journal.ts'

const event = (over: Partial<EngineEvent> = {}): EngineEvent => ({ type: 'container', action: 'start', id: 'c1', attributes: { name: 'web', image: 'busybox:latest', a: 'b' }, timeNano: 5n, ...over })
const filters = (entries: Record<string, string[]>): ReadonlyMap<string, string[]> => new Map(Object.entries(entries))

async function taken(events: AsyncIterable<EngineEvent>, count: number): Promise<string[]> {
  const ids: string[] = []
  for await (const { id } of events) if (ids.push(id) === count) break
  return ids
}

describe('EventHub', () => {
  let directory: string
  let hub: EventHub
  const open = (options: Partial<EventJournalOptions> = {}): EventHub => (hub = new EventHub({ directory, logger: silent, ...options }))
  const signal = new AbortController().signal
  const all = { filters: filters({}), signal }

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'events-'))
    open()
  })
  afterEach(() => {
    if (hub.listenerCount > 0) throw new Error('a listener was left behind')
    hub[Symbol.dispose]()
    rmSync(directory, { recursive: true })
  })

  it('gives what was since a time, and then what comes', async () => {
    for (const [id, timeNano] of [['old', 1n], ['past', 2n]] as const) hub.emit(event({ id, timeNano }))
    const events = hub.listen({ ...all, since: 2n })
    hub.emit(event({ id: 'new', timeNano: 3n }))
    expect(await taken(events, 2)).toEqual(['past', 'new'])
  })

  it('gives nothing that was unless asked, ends at a time that has passed, and with its signal', async () => {
    hub.emit(event({ id: 'past' }))
    expect(await taken(hub.listen({ ...all, until: 4n }), 9)).toEqual([])
    expect(await taken(hub.listen({ ...all, since: 1n, until: 5n }), 9)).toEqual(['past'])
    const abort = new AbortController()
    const events = taken(hub.listen({ filters: filters({}), signal: abort.signal }), 9)
    hub.emit(event({ id: 'new' }))
    await new Promise(setImmediate)
    abort.abort()
    expect(await events).toEqual(['new'])
  })

  it('ends at a time to come, with what happened until then', async () => {
    const events = taken(hub.listen({ ...all, until: BigInt(Date.now() + 30) * 1_000_000n }), 9)
    hub.emit(event({ id: 'new' }))
    expect(await events).toEqual(['new'])
  })

  it('leaves nothing behind of who never reads', () => {
    const abort = new AbortController()
    hub.listen({ filters: filters({}), signal: abort.signal })
    expect(hub.listenerCount).toBe(1)
    abort.abort()
    expect(hub.listenerCount).toBe(0)
  })

  it('loses no event of a client that does not read while 50,000 happen, and does not keep them in memory', async () => {
    const kilobyte = 'x'.repeat(1000)
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const slow = hub.listen(all)
    const some = hub.listen({ ...all, filters: filters({ container: ['c499'] }) })
    collect()
    const before = process.memoryUsage().heapUsed
    for (let number = 0; number < 50_000; number++) {
      hub.emit(event({ id: `c${number}`, attributes: { name: `n${number}`, text: `${kilobyte}${number}` }, timeNano: BigInt(number) }))
      if (number % 500 === 0) await new Promise(setImmediate)
    }
    collect()
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(10_000_000)
    const expected = Array.from({ length: 50_000 }, (_, number) => `c${number}`)
    expect(await taken(slow, 50_000)).toEqual(expected)
    expect(await taken(some, 111)).toEqual(expected.filter((id) => id.startsWith('c499')))
    expect(readdirSync(directory).length).toBeLessThanOrEqual(3)
  })

  it('loses none in a burst that leaves no time to write', async () => {
    const slow = hub.listen(all)
    for (let number = 0; number < 10_000; number++) hub.emit(event({ id: String(number) }))
    expect(await taken(slow, 10_000)).toEqual(Array.from({ length: 10_000 }, (_, number) => String(number)))
  })

  it('reads on while more comes, in order and each once', async () => {
    const listeners = [1, 2, 3].map(() => taken(hub.listen(all), 5000))
    for (let number = 0; number < 5000; number++) {
      hub.emit(event({ id: String(number) }))
      if (number % 7 === 0) await new Promise(setImmediate)
    }
    const expected = Array.from({ length: 5000 }, (_, number) => String(number))
    expect(await Promise.all(listeners)).toEqual([expected, expected, expected])
  })

  it('tells what was before it was opened, after a crash too', async () => {
    for (let number = 0; number < 3000; number++) hub.emit(event({ id: String(number), timeNano: BigInt(number) }))
    hub[Symbol.dispose]()
    const [file = ''] = readdirSync(directory)
    appendFileSync(join(directory, file), '[3001,"container","st')
    open()
    hub.emit(event({ id: 'new', timeNano: 9999n }))
    expect(await taken(hub.listen({ ...all, since: 0n }), 3001)).toEqual([...Array.from({ length: 3000 }, (_, number) => String(number)), 'new'])
    expect(await taken(hub.listen({ ...all, since: 2999n }), 2)).toEqual(['2999', 'new'])
    hub[Symbol.dispose]()
    open()
    expect(await taken(hub.listen({ ...all, since: 2999n }), 2)).toEqual(['2999', 'new'])
  })

  it('keeps a bounded number on disk, of which more than Docker’s 256 are told', async () => {
    hub[Symbol.dispose]()
    open({ fileSize: 100_000 })
    for (let number = 0; number < 20_000; number++) {
      hub.emit(event({ id: String(number) }))
      if (number % 500 === 0) await new Promise(setImmediate)
    }
    expect(readdirSync(directory)).toHaveLength(2)
    const ids: string[] = []
    for await (const { id } of hub.listen({ ...all, since: 0n, until: 5n })) ids.push(id)
    expect(ids.length).toBeGreaterThan(1000)
    expect(ids.at(-1)).toBe('19999')
  })

  it('lets go of who is so far behind that the disk would fill', async () => {
    hub[Symbol.dispose]()
    open({ fileSize: 50_000, filesKeptForReaders: 4 })
    const slow = hub.listen(all)
    for (let number = 0; number < 20_000; number++) hub.emit(event({ id: String(number) }))
    expect(readdirSync(directory).length).toBeLessThanOrEqual(4)
    await expect(taken(slow, 20_000)).rejects.toMatchObject({ kind: 'resource-exhausted' })
  })
})

describe('event filters', () => {
  it.each([
    [{ type: ['container', 'image'], event: ['start'] }, true],
    [{ event: ['stop'] }, false],
    [{ container: ['we'] }, true],
    [{ network: ['web'] }, false],
    [{ image: ['busybox'] }, true],
    [{ image: ['busybox:latest'] }, true],
    [{ image: ['busy'] }, false],
    [{ label: ['a', 'a=b'] }, true],
    [{ label: ['a', 'a=c'] }, false],
    [{ scope: ['swarm'] }, false],
    [{ scope: ['local'], daemon: [] }, true],
    [{ node: ['web'] }, false],
    [{ container: ['nothing', 'c1'], image: ['other', 'busybox'] }, true],
    [{ event: ['start', 'stop'], container: ['x'] }, false],
    [{ label: ['a=c'] }, false],
  ])('%j: %s', (wanted, matches) => expect(matchesEvent(event(), filters(wanted as Record<string, string[]>))).toBe(matches))

  it('knows an action by the part before its particulars', () => {
    expect(matchesEvent(event({ action: 'exec_start: sh -c x' }), filters({ event: ['exec_start'] }))).toBe(true)
  })

  it('refuses a filter it does not know, one of Object too', () => {
    expect(() => checkEventFilters(filters({ colour: [] }))).toThrow("invalid filter 'colour'")
    expect(() => checkEventFilters(filters({ constructor: [] }))).toThrow("invalid filter 'constructor'")
  })
})
