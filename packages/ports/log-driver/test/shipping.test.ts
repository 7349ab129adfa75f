import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LogFields } from '@berth/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loggedContainer as container } from '../src/contract.ts'
import { type Log, type LogDriver, maxEntryBytes } from '../src/index.ts'
import { type ShippedLogOptions, shippedLogDriver } from '../src/shipping.ts'
import { memoryCache, MemoryPeer } from './memory-peer.ts'

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1))
}

describe('a shipped log', () => {
  let directory: string
  let peer: MemoryPeer
  let cache: LogDriver
  let told: [string, string, LogFields][]
  let drivers: (LogDriver & AsyncDisposable)[]

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'shipping-'))
    peer = new MemoryPeer()
    cache = memoryCache()
    told = []
    drivers = []
  })
  afterEach(async () => {
    for (const driver of drivers) await driver[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
  })

  /** A driver of another process: it knows only what is in the directory and the cache. */
  const newDriver = (options: Partial<ShippedLogOptions> = {}): LogDriver & AsyncDisposable => {
    const tell = (level: string) => (message: string, fields: LogFields = {}) => void told.push([level, message, fields])
    const driver = shippedLogDriver({
      name: 'memory', cache, open: peer.open, validate() {}, ...options,
      logger: { debug: tell('debug'), info: tell('info'), warn: tell('warn'), error: tell('error') },
    }) // prettier-ignore
    drivers.push(driver)
    return driver
  }
  const openIn = (driver: LogDriver, options: Record<string, string> = {}): Log => driver.open(container(directory), options)
  const write = (log: Log, ...lines: (string | number)[]): void => lines.forEach((line) => log.write('stdout', Buffer.from(`${line}\n`)))
  const numbers = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, index) => String(from + index))

  it('sends what was written, in order, and lets go of the peer at the end', async () => {
    const log = openIn(newDriver())
    write(log, 1, 2)
    log.write('stderr', Buffer.from('three\nfo'))
    log.write('stderr', Buffer.from('ur\nun'))
    log.close()
    await until(() => peer.closed === 1)
    expect(peer.taken.map(({ stream, text }) => `${stream} ${Buffer.from(text).toString()}`)).toEqual(['stdout 1', 'stdout 2', 'stderr three', 'stderr four', 'stderr un'])
    expect(JSON.parse(readFileSync(join(directory, 'shipping.json'), 'utf8'))).toMatchObject({ isDone: true })
  })

  it('begins nothing for a log that is only read', () => {
    const log = openIn(newDriver())
    log.close()
    expect(peer.opened).toBe(0)
    expect(() => readFileSync(join(directory, 'shipping.json'))).toThrow('ENOENT')
  })

  it('brings everything after an outage, and tells of it once', async () => {
    const log = openIn(newDriver())
    peer.room = 10
    write(log, ...numbers(1, 1000))
    await until(() => peer.attempts > 5)
    peer.isAway = false
    peer.room = Infinity
    log.close()
    await until(() => peer.closed === 1)
    // Only what was sent in the batch in the middle of which the peer went away comes again.
    expect(peer.texts.length).toBeLessThanOrEqual(1010)
    expect([...new Set(peer.texts)]).toEqual(numbers(1, 1000))
    expect(told.map(([level]) => level)).toEqual(['warn', 'info'])
  })

  it('goes on after a crash where the peer was, the entries of one moment told apart', async () => {
    const log = openIn(newDriver())
    // One chunk: all entries have the same time.
    log.write('stdout', Buffer.from(numbers(1, 20).map((line) => `${line}\n`).join('')))
    await until(() => peer.taken.length === 20)
    const saved = (): { ordinal?: number } => JSON.parse(readFileSync(join(directory, 'shipping.json'), 'utf8')) as { ordinal?: number }
    await until(() => saved().ordinal === 20)
    peer.isAway = true
    write(log, ...numbers(21, 30))
    await peer.attempted()
    // No close, no dispose: only what is in the directory and the cache is left.
    const other = new MemoryPeer()
    const again = openIn(newDriver({ open: other.open }))
    write(again, 31)
    again.close()
    await until(() => other.closed === 1)
    expect(other.texts).toEqual(numbers(21, 31))
  })

  it('sends everything again, rather than nothing, when it is not known how far it was', async () => {
    peer.isAway = true
    const log = openIn(newDriver())
    write(log, 1, 2)
    await peer.attempted()
    const other = new MemoryPeer()
    newDriver({ open: other.open }).resume!(container(directory), {})
    await until(() => other.closed === 1)
    expect(other.texts).toEqual(['1', '2'])
  })

  it('sends nothing twice after an orderly end, whatever is in the cache', async () => {
    const first = newDriver()
    const log = openIn(first)
    write(log, 1, 2)
    log.close()
    await first[Symbol.asyncDispose]()
    const second = newDriver()
    second.resume!(container(directory), {})
    expect(peer.opened).toBe(1)
    const again = openIn(second)
    write(again, 3)
    again.close()
    await until(() => peer.closed === 2)
    expect(peer.texts).toEqual(['1', '2', '3'])
  })

  it('resumes what an earlier process left, and a run that begins meanwhile comes after it', async () => {
    peer.isAway = true
    const first = newDriver()
    const log = openIn(first)
    write(log, ...numbers(1, 100))
    log.close()
    await first[Symbol.asyncDispose]()
    const second = newDriver()
    second.resume!(container(directory), {})
    const run = openIn(second)
    write(run, 101)
    await peer.attempted()
    run.close()
    const next = openIn(second)
    write(next, 102)
    peer.isAway = false
    next.close()
    await until(() => peer.closed === 2)
    expect(peer.texts).toEqual(numbers(1, 102))
  })

  it('ends with the removal of the container', async () => {
    peer.isAway = true
    const driver = newDriver()
    const log = openIn(driver)
    write(log, 1)
    await peer.attempted()
    log.close()
    openIn(driver).remove()
    expect(peer.closed).toBe(1)
    peer.isAway = false
    const next = openIn(driver)
    write(next, 2)
    next.close()
    await until(() => peer.closed === 2)
    expect(peer.texts).toEqual(['2'])
  })

  it('makes the writer wait when the cache is full of what the peer does not take, and takes nothing of the chunk then', async () => {
    peer.isAway = true
    const log = openIn(newDriver(), { 'cache-max-size': '4m', 'cache-max-file': '2' })
    const line = 'x'.repeat(10_000)
    let count = 0
    const fill = (): void => {
      for (;;) write(log, `${++count} ${line}`)
    }
    expect(fill).toThrow(expect.objectContaining({ kind: 'unavailable' }) as Error)
    expect(count).toBeGreaterThan(400)
    expect(count).toBeLessThan(420)
    const writable = log.writable!()
    peer.isAway = false
    await writable
    write(log, `${count} ${line}`)
    log.close()
    await until(() => peer.closed === 1)
    expect(peer.texts).toEqual(numbers(1, count).map((number) => `${number} ${line}`))
  })

  it('drops the oldest in non-blocking mode, counts them, and keeps the order', async () => {
    peer.isAway = true
    const log = openIn(newDriver(), { mode: 'non-blocking', 'max-buffer-size': '8k' })
    for (let number = 1; number <= 1000; number++) {
      write(log, number)
      if (number % 10 === 0) await new Promise(setImmediate)
    }
    peer.isAway = false
    log.close()
    await until(() => peer.closed === 1)
    const [, , fields] = told.find(([level]) => level === 'info')!
    expect(fields['dropped']).toBeGreaterThan(900)
    expect(peer.texts).toEqual(numbers(1001 - peer.texts.length, 1000))
    expect(peer.texts.length + Number(fields['dropped'])).toBe(1000)
  })

  it('marks the parts of long lines, through a crash too', async () => {
    const log = openIn(newDriver())
    log.write('stdout', Buffer.from(`${'x'.repeat(maxEntryBytes * 2 + 5)}\nshort\n`))
    log.write('stdout', Buffer.from('y'.repeat(maxEntryBytes)))
    await until(() => peer.taken.length === 5)
    const ids = peer.taken.map(({ partial }) => partial?.id)
    expect(peer.taken.map(({ text, partial }) => [text.length, partial?.ordinal, partial?.last])).toEqual([
      [maxEntryBytes, 1, false], [maxEntryBytes, 2, false], [5, 3, true], [5, undefined, undefined], [maxEntryBytes, 1, false],
    ]) // prettier-ignore
    expect(ids[1]).toBe(ids[0])
    expect(ids[4]).not.toBe(ids[0])
    await until(() => readFileSync(join(directory, 'shipping.json'), 'utf8').includes(ids[4]!))
    const again = openIn(newDriver())
    again.write('stdout', Buffer.from('end\n'))
    again.close()
    await until(() => peer.taken.length === 6)
    expect(peer.taken[5]!.partial).toEqual({ id: ids[4], ordinal: 2, last: true })
  })

  it('sends again what a peer was sent just before it went away, where its protocol does not tell', async () => {
    const log = openIn(newDriver({ confirmAfter: () => 60_000 }))
    write(log, 1, 2)
    await until(() => peer.taken.length === 2)
    peer.lose()
    await until(() => peer.taken.length === 4)
    peer.isAway = true
    write(log, 3)
    await peer.attempted()
    peer.isAway = false
    await until(() => peer.taken.length === 7)
    expect(peer.texts).toEqual(['1', '2', '1', '2', '1', '2', '3'])
    log.close()
    expect(JSON.parse(readFileSync(join(directory, 'shipping.json'), 'utf8'))).not.toHaveProperty('time')
  })

  it('gives up what a shipper says is to be given up, and goes on', async () => {
    const driver = newDriver({ open: (...args) => ({ ...peer.open(...args), retryDelay: (failures) => (failures > 2 ? 'give-up' : 1) }) })
    peer.isAway = true
    const log = openIn(driver)
    write(log, 1)
    await until(() => told.some(([level]) => level === 'error'))
    peer.isAway = false
    write(log, 2)
    log.close()
    await until(() => peer.closed === 1)
    expect(peer.texts).toEqual(['2'])
    expect(peer.attempts).toBe(4)
  })

  it('keeps only little in memory of what waits', async () => {
    peer.isAway = true
    let read = 0
    const counting: LogDriver = {
      ...cache,
      open(...args) {
        const log = cache.open(...args)
        return Object.assign(Object.create(Object.getPrototypeOf(log) as object) as Log, {
          write: log.write.bind(log), close: log.close.bind(log), remove: log.remove.bind(log),
          async *read(options: Parameters<Log['read']>[0]) {
            for await (const entry of log.read(options)) {
              if (options.follow) read++
              yield entry
            }
          },
        }) // prettier-ignore
      },
    }
    const log = openIn(newDriver({ cache: counting }))
    const line = 'x'.repeat(1000)
    for (let number = 0; number < 5000; number++) write(log, line)
    await until(() => read > 0 && peer.attempts > 20)
    expect(read).toBeLessThan(1200)
    peer.isAway = false
    log.close()
    await until(() => peer.closed === 1)
    expect(peer.taken).toHaveLength(5000)
  })

  it.each([
    [{ 'cache-disabled': 'true' }, 'cache-disabled=true is not supported'],
    [{ 'cache-max-file': '1' }, 'cache-max-file cannot be less than 2'],
    [{ 'cache-max-size': 'much' }, 'invalid cache-max-size'],
    [{ 'cache-max-size': '1m' }, 'cache-max-size must be at least 4m'],
    [{ 'cache-compress': 'perhaps' }, 'invalid cache-compress'],
    [{ mode: 'sometimes' }, 'logging mode not supported: sometimes'],
    [{ 'max-buffer-size': '1m' }, 'max-buffer-size option is only supported'],
  ])('refuses %j', (options, message) => expect(() => newDriver().validate(options as Record<string, string>)).toThrow(message))
})
