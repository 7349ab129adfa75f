import type { EngineEvent } from '@berth/core'
import { describe, expect, it } from 'vitest'
import { checkEventFilters, matchesEvent } from './event-filters.ts'
import { EventHub } from './event-hub.ts'

const event = (over: Partial<EngineEvent> = {}): EngineEvent => ({ type: 'container', action: 'start', id: 'c1', attributes: { name: 'web', image: 'busybox:latest', a: 'b' }, timeNano: 5n, ...over })
const filters = (entries: Record<string, string[]>): ReadonlyMap<string, string[]> => new Map(Object.entries(entries))

async function taken(events: AsyncIterable<EngineEvent>, count: number): Promise<string[]> {
  const ids: string[] = []
  for await (const { id } of events) if (ids.push(id) === count) break
  return ids
}

describe('EventHub', () => {
  it('gives what was since a time, and then what comes', async () => {
    const hub = new EventHub()
    for (const [id, timeNano] of [['old', 1n], ['past', 2n]] as const) hub.emit(event({ id, timeNano }))
    const events = hub.listen({ since: 2n, filters: filters({}), signal: new AbortController().signal })
    hub.emit(event({ id: 'new', timeNano: 3n }))
    expect(await taken(events, 2)).toEqual(['past', 'new'])
    expect(hub.listenerCount).toBe(0)
  })

  it('gives nothing that was unless asked, ends at a time that has passed, and with its signal', async () => {
    const hub = new EventHub()
    hub.emit(event({ id: 'past' }))
    expect(await taken(hub.listen({ until: 4n, filters: filters({}), signal: new AbortController().signal }), 9)).toEqual([])
    expect(await taken(hub.listen({ since: 1n, until: 5n, filters: filters({}), signal: new AbortController().signal }), 9)).toEqual(['past'])
    const abort = new AbortController()
    const events = taken(hub.listen({ filters: filters({}), signal: abort.signal }), 9)
    hub.emit(event({ id: 'new' }))
    await new Promise(setImmediate)
    abort.abort()
    expect(await events).toEqual(['new'])
    expect(hub.listenerCount).toBe(0)
  })

  it('lets go of who does not read', async () => {
    const hub = new EventHub()
    const events = hub.listen({ filters: filters({}), signal: new AbortController().signal })
    for (let count = 0; count < 10_001; count++) hub.emit(event())
    await expect(taken(events, 20_000)).rejects.toMatchObject({ kind: 'resource-exhausted' })
    expect(hub.listenerCount).toBe(0)
  })

  it('remembers a bounded number', async () => {
    const hub = new EventHub()
    for (let index = 0; index < 300; index++) hub.emit(event({ id: String(index) }))
    const ids = await taken(hub.listen({ since: 0n, until: 5n, filters: filters({}), signal: new AbortController().signal }), 999)
    expect([ids.length, ids[0]]).toEqual([256, '44'])
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
  ])('%j: %s', (wanted, matches) => expect(matchesEvent(event(), filters(wanted as Record<string, string[]>))).toBe(matches))

  it('knows an action by the part before its particulars', () => {
    expect(matchesEvent(event({ action: 'exec_start: sh -c x' }), filters({ event: ['exec_start'] }))).toBe(true)
  })

  it('refuses a filter it does not know, one of Object too', () => {
    expect(() => checkEventFilters(filters({ colour: [] }))).toThrow("invalid filter 'colour'")
    expect(() => checkEventFilters(filters({ constructor: [] }))).toThrow("invalid filter 'constructor'")
  })
})
