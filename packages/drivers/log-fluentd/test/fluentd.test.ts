import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silent } from '@berth/core'
import { type Log, type LogDriver, maxEntryBytes } from '@berth/log-driver'
import { describeLogDriver, loggedContainer } from '@berth/log-driver/contract'
import { localLogDriver } from '@berth/log-local'
import type { ExtData } from '@msgpack/msgpack'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fluentdLogDriver } from '../src/index.ts'
import { FluentdPeer } from './fluentd-peer.ts'

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

describe('the fluentd driver', () => {
  let directory: string
  let peer: FluentdPeer
  let driver: LogDriver & AsyncDisposable
  let told: string[]

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'fluentd-'))
    peer = new FluentdPeer()
    told = []
    const tell = (message: string, fields: object = {}): void => void told.push(`${message} ${JSON.stringify(fields)}`)
    driver = fluentdLogDriver({ cache: localLogDriver(), logger: { ...silent, warn: tell, error: tell } })
    await peer.up()
  })
  afterEach(async () => {
    await driver[Symbol.asyncDispose]()
    await peer[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
  })

  const options = (more: Record<string, string> = {}): Record<string, string> => ({ 'fluentd-address': `127.0.0.1:${peer.port}`, 'fluentd-retry-wait': '5ms', ...more })
  const open = (more?: Record<string, string>): Log => driver.open(loggedContainer(directory), options(more))
  const write = (log: Log, from: number, to: number): void => {
    for (let number = from; number <= to; number++) log.write('stdout', Buffer.from(`${number}\n`))
  }
  const numbers = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, index) => String(from + index))

  it('sends Docker’s records', async () => {
    const log = open({ tag: 'docker.{{.Name}}', labels: 'team', env: 'APP' })
    log.write('stdout', Buffer.from('hello wörld\n'))
    log.write('stderr', Buffer.from('\n'))
    await until(() => peer.events.length === 2)
    const { id } = loggedContainer(directory)
    const record = { container_id: id, container_name: '/one', source: 'stdout', log: 'hello wörld', team: 'a & b', APP: 'one=two' }
    expect(peer.events.map(({ tag, record: found }) => [tag, found])).toEqual([['docker.one', record], ['docker.one', { ...record, source: 'stderr', log: '' }]])
    expect(Math.abs(Number(peer.events[0]!.time) - Date.now() / 1000)).toBeLessThan(30)
    expect(peer.events[0]!.hasChunk).toBe(false)
  })

  it('tells nanoseconds where they are asked for', async () => {
    const log = open({ 'fluentd-sub-second-precision': 'true' })
    write(log, 1, 1)
    await until(() => peer.events.length === 1)
    const { value } = await log.read({ stdout: true, stderr: true })[Symbol.asyncIterator]().next()
    const { data } = peer.events[0]!.time as ExtData & { data: Uint8Array }
    const bytes = Buffer.from(data)
    expect(BigInt(bytes.readUInt32BE(0)) * 1_000_000_000n + BigInt(bytes.readUInt32BE(4))).toBe((value as { time: bigint }).time)
  })

  it('marks the parts of long lines', async () => {
    const log = open()
    log.write('stdout', Buffer.from(`${'x'.repeat(maxEntryBytes + 5)}\n`))
    await until(() => peer.events.length === 2)
    const [first, second] = peer.events.map(({ record }) => record)
    expect([first, second].map((record) => [record!['log']!.length, record!['partial_message'], record!['partial_ordinal'], record!['partial_last']])).toEqual([[maxEntryBytes, 'true', '1', 'false'], [5, 'true', '2', 'true']])
    expect(first!['partial_id']).toBe(second!['partial_id'])
  })

  it('fails the start of a container whose peer is away, unless it is to be asynchronous', async () => {
    await peer.down()
    const container = loggedContainer(directory)
    await expect(driver.prepare!(container, options())).rejects.toThrow(`failed to initialize logging driver: dial tcp 127.0.0.1:${peer.port}: connect: connection refused`)
    await driver.prepare!(container, options({ 'fluentd-async': 'true' }))
    const log = open({ 'fluentd-async': 'true' })
    write(log, 1, 10)
    log.close()
    await until(() => told.length > 0)
    await peer.up()
    await driver.prepare!(container, options())
    await until(() => peer.events.length === 10)
    expect(peer.logs).toEqual(numbers(1, 10))
  })

  it.each<Record<string, string>>([{}, { 'fluentd-request-ack': 'true' }])('brings everything through restarts of the peer (%j)', async (more) => {
    const log = open(more)
    for (let round = 0; round < 5; round++) {
      write(log, round * 100 + 1, round * 100 + 50)
      await until(() => peer.logs.includes(String(round * 100 + 50)))
      await peer.down()
      write(log, round * 100 + 51, round * 100 + 100)
      await until(() => told.length > round)
      await peer.up()
    }
    log.close()
    await until(() => peer.logs.includes('500'))
    expect([...new Set(peer.logs)]).toEqual(numbers(1, 500))
  })

  it('sends again what was not acknowledged in time, and goes on when it is', async () => {
    peer.acknowledges = false
    const log = open({ 'fluentd-request-ack': 'true', 'fluentd-read-timeout': '20ms' })
    write(log, 1, 3)
    await until(() => peer.connections > 2)
    expect(peer.events[0]!.hasChunk).toBe(true)
    peer.acknowledges = true
    await driver[Symbol.asyncDispose]()
    const sent = peer.events.length
    driver = fluentdLogDriver({ cache: localLogDriver() })
    const again = open({ 'fluentd-request-ack': 'true' })
    write(again, 4, 5)
    await until(() => peer.logs.includes('5'))
    expect([...new Set(peer.logs)]).toEqual(numbers(1, 5))
    again.close()
    // Acknowledged entries are not sent again.
    await driver[Symbol.asyncDispose]()
    driver = fluentdLogDriver({ cache: localLogDriver() })
    const last = open({ 'fluentd-request-ack': 'true' })
    write(last, 6, 6)
    await until(() => peer.logs.includes('6'))
    expect(peer.logs.slice(sent).filter((line) => line === '5')).toHaveLength(1)
  })

  it('waits for a slow peer, and holds nobody up', async () => {
    peer.isReading = false
    const log = open()
    const line = Buffer.from(`${'x'.repeat(10_000)}\n`)
    for (let count = 0; count < 2000; count++) log.write('stdout', line)
    log.close()
    peer.read()
    await until(() => peer.events.length === 2000)
    expect(peer.connections).toBe(1)
  })

  it('gives up after as many failures as it is told', async () => {
    await peer.down()
    const log = open({ 'fluentd-max-retries': '2' })
    write(log, 1, 1)
    await until(() => told.some((text) => text.startsWith('output was given up')))
    await peer.up()
    write(log, 2, 2)
    await until(() => peer.events.length === 1)
    expect(peer.logs).toEqual(['2'])
  })

  it('connects anew at its interval', async () => {
    const log = open({ 'fluentd-async': 'true', 'fluentd-async-reconnect-interval': '100ms' })
    write(log, 1, 1)
    await until(() => peer.connections === 1)
    let number = 2
    await until(() => {
      write(log, number, number)
      number++
      return peer.connections === 2
    })
    log.close()
    await until(() => peer.logs.includes(String(number - 1)))
    expect(peer.logs).toEqual(numbers(1, number - 1))
  })

  it('lets no label replace what tells whose output it is (log-line forging)', async () => {
    const log = driver.open({ ...loggedContainer(directory), labels: { container_id: 'other', source: 'stderr', log: 'forged', partial_message: 'false' } }, options({ 'labels-regex': '.*' }))
    log.write('stdout', Buffer.from('a\u0000\r\u001b\n'))
    await until(() => peer.events.length === 1)
    expect(peer.events[0]!.record).toMatchObject({ container_id: loggedContainer(directory).id, source: 'stdout', log: 'a\u0000\r\u001b' })
  })

  it.each<[Record<string, string>, string]>([
    [{ 'fluentd-address': 'http://x' }, "invalid fluentd-address (http://x): unsupported scheme: 'http'"],
    [{ 'fluentd-address': 'tcp://x/path' }, 'should not contain a path element'],
    [{ 'fluentd-address': 'unix:///' }, 'path is empty'],
    [{ 'fluentd-async': 'perhaps' }, 'invalid fluentd-async'],
    [{ 'fluentd-async': 'true', 'fluentd-async-connect': 'true' }, 'conflicting options'],
    [{ 'fluentd-async-reconnect-interval': '1h' }, 'must be between 100ms and 10s'],
    [{ 'fluentd-buffer-limit': 'much' }, 'invalid fluentd-buffer-limit'],
    [{ 'fluentd-retry-wait': '5' }, 'invalid fluentd-retry-wait'],
    [{ 'fluentd-max-retries': '-1' }, 'invalid fluentd-max-retries'],
    [{ 'fluentd-colour': 'red' }, "unknown log opt 'fluentd-colour' for fluentd log driver"],
  ])('%j is refused', (given, message) => expect(() => driver.validate(given)).toThrow(message))
})

for (const isAway of [false, true]) {
  describeLogDriver(`fluentd, its peer ${isAway ? 'away' : 'there'}`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'fluentd-'))
    const peer = new FluentdPeer(join(directory, 'socket'))
    if (!isAway) await peer.up()
    const driver = fluentdLogDriver({ cache: localLogDriver() })
    return {
      driver,
      container: loggedContainer(directory),
      options: { 'fluentd-address': `unix://${directory}/socket`, 'fluentd-request-ack': 'true' },
      async [Symbol.asyncDispose]() {
        await driver[Symbol.asyncDispose]()
        await peer[Symbol.asyncDispose]()
        rmSync(directory, { recursive: true })
      },
    }
  })
}
