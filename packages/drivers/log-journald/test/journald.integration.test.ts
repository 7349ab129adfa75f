import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silent } from '@berth/core'
import { type Log, type LogDriver, maxEntryBytes } from '@berth/log-driver'
import { describeLogDriver, loggedContainer } from '@berth/log-driver/contract'
import { localLogDriver } from '@berth/log-local'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { journaldLogDriver } from '../src/index.ts'
import { type JournalEntry, Journald, missing } from './journald.ts'

describe.skipIf(missing)('the journald driver and journald', () => {
  let directory: string
  let journald: Journald
  let driver: LogDriver & AsyncDisposable
  let warnings: string[]

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'journald-'))
    journald = await Journald.start()
    warnings = []
    driver = journaldLogDriver({ cache: localLogDriver(), socket: journald.socket, logger: { ...silent, warn: (_message, fields) => void warnings.push(String(fields?.['error'])) } })
  })
  afterEach(async () => {
    await driver[Symbol.asyncDispose]()
    await journald[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
  })

  const container = () => ({ ...loggedContainer(directory), id: 'ab'.repeat(32) })
  const open = (options: Record<string, string> = {}): Log => driver.open(container(), options)
  const text = (value: JournalEntry[string]): string => (typeof value === 'object' ? Buffer.from(value).toString() : String(value))
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  /** When there are so many. */
  const entries = async (count: number): Promise<JournalEntry[]> => {
    await until(() => journald.read(container().id).length >= count)
    return journald.read(container().id)
  }

  it('writes Docker’s fields, with the priority of the stream', async () => {
    await driver.prepare!(container(), {})
    const log = open({ tag: 'web/{{.Name}}', labels: 'team', env: 'APP' })
    log.write('stdout', Buffer.from('hello wörld\n'))
    log.write('stderr', Buffer.from('oh\n'))
    const [first, second] = await entries(2)
    expect(first).toMatchObject({
      MESSAGE: 'hello wörld', PRIORITY: '6', CONTAINER_ID: 'abababababab', CONTAINER_ID_FULL: container().id, CONTAINER_NAME: 'one', CONTAINER_TAG: 'web/one', SYSLOG_IDENTIFIER: 'web/one',
      IMAGE_NAME: 'busybox:latest', TEAM: 'a & b', APP: 'one=two', CONTAINER_LOG_ORDINAL: '1', SYSLOG_TIMESTAMP: expect.stringMatching(/^20\d\d-.*\.\d{9}Z$/) as string,
    }) // prettier-ignore
    expect(first).not.toHaveProperty('CONTAINER_PARTIAL_MESSAGE')
    expect(second).toMatchObject({ MESSAGE: 'oh', PRIORITY: '3', CONTAINER_LOG_ORDINAL: '2' })
  })

  it('lets neither output nor labels forge a field or an entry (log-line forging)', async () => {
    driver = journaldLogDriver({ cache: localLogDriver(), socket: journald.socket })
    const forging = { ...container(), labels: { _uid: '0\nPRIORITY=0', priority: '0', container_id_full: 'other', 'a\nMESSAGE=x': 'y', '9lives': 'z', 'x.y-z': 'kept\nMESSAGE=forged\n' } }
    const log = driver.open(forging, { 'labels-regex': '.*' })
    log.write('stdout', Buffer.from('a\rPRIORITY=0\u0000_UID=12345\u001b[2J\xff\nMESSAGE=forged\n', 'latin1'))
    const found = await entries(2)
    expect(found).toHaveLength(2)
    expect(Buffer.from(found[0]!['MESSAGE'] as number[]).toString('latin1')).toBe('a\rPRIORITY=0\u0000_UID=12345\u001b[2J\xff')
    expect(found[1]!['MESSAGE']).toBe('MESSAGE=forged')
    for (const entry of found) {
      expect(entry).toMatchObject({ PRIORITY: '6', _UID: '0', UID: '0\nPRIORITY=0', CONTAINER_ID_FULL: container().id, X_Y_Z: 'kept\nMESSAGE=forged\n' })
      expect(entry).not.toHaveProperty('9LIVES')
    }
  })

  it('keeps lines over 16 KiB whole, in parts that say so', async () => {
    const log = open()
    log.write('stdout', Buffer.from(`${'x'.repeat(maxEntryBytes + 5)}\nshort\n`))
    const found = await entries(3)
    const id = found[0]!['CONTAINER_PARTIAL_ID']
    expect(found.map((entry) => [text(entry['MESSAGE']).length, entry['CONTAINER_PARTIAL_MESSAGE'], entry['CONTAINER_PARTIAL_ORDINAL'], entry['CONTAINER_PARTIAL_LAST'], entry['CONTAINER_PARTIAL_ID']])).toEqual([
      [maxEntryBytes, 'true', '1', 'false', id], [5, undefined, '2', 'true', id], [5, undefined, undefined, undefined, undefined],
    ]) // prettier-ignore
  })

  it('brings output without the labels when those are longer than a datagram', async () => {
    const log = driver.open({ ...container(), labels: { team: 'x'.repeat(300_000) } }, { labels: 'team' })
    log.write('stdout', Buffer.from('hello\n'))
    const [entry] = await entries(1)
    expect(entry).toMatchObject({ MESSAGE: 'hello' })
    expect(entry).not.toHaveProperty('TEAM')
  })

  it('brings everything, once, when journald is restarted and when nobody listens', async () => {
    const log = open()
    const write = (from: number, to: number): void => {
      for (let number = from; number <= to; number++) log.write('stdout', Buffer.from(`${number}\n`))
    }
    write(1, 100)
    await entries(100)
    await journald.down()
    write(101, 200)
    await until(() => warnings.length === 1)
    write(201, 300)
    await journald.up()
    write(301, 400)
    const found = await entries(400)
    expect(found.map((entry) => Number(entry['MESSAGE'])).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 400 }, (_, index) => index + 1))
  })
})

describe('without journald', () => {
  it('a container is not started', async () => {
    const driver = journaldLogDriver({ cache: localLogDriver(), socket: '/nowhere/socket' })
    await expect(driver.prepare!(loggedContainer('/nowhere'), {})).rejects.toThrow('journald is not enabled on this host')
  })
})

describeLogDriver('journald, which is away', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'journald-'))
  const driver = journaldLogDriver({ cache: localLogDriver(), socket: join(directory, 'nowhere') })
  return {
    driver,
    container: loggedContainer(directory),
    async [Symbol.asyncDispose]() {
      await driver[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true })
    },
  }
})
