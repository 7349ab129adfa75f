import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silent } from '@berth/core'
import { loggedContainer } from '@berth/log-driver/contract'
import type { Log, LogDriver } from '@berth/log-driver'
import { localLogDriver } from '@berth/log-local'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { syslogLogDriver } from '../src/index.ts'
import { missing, Rsyslog } from './rsyslog.ts'

describe.skipIf(missing)('the syslog driver and rsyslogd', () => {
  let directory: string
  let rsyslog: Rsyslog
  let driver: LogDriver & AsyncDisposable
  let warnings: string[]

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'rsyslog-'))
    warnings = []
    driver = syslogLogDriver({ cache: localLogDriver(), logger: { ...silent, warn: (_message, fields) => void warnings.push(String(fields?.['error'])) } })
  })
  afterEach(async () => {
    await driver[Symbol.asyncDispose]()
    await rsyslog[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
  })

  const start = async (options?: { tls?: boolean }): Promise<void> => void (rsyslog = await Rsyslog.start(directory, options))
  const open = (address: string, options: Record<string, string> = {}): Log => driver.open(loggedContainer(join(directory, 'container')), { 'syslog-address': address, ...options })
  const messages = (): string[] => rsyslog.received.map(({ message }) => message.trim())
  const numbers = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}`)
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const last = (text: string) => until(() => messages().includes(text))

  it.each(['unixgram', 'unix', 'udp', 'tcp'])('brings everything over %s, with its stream, tag and time', async (protocol) => {
    await start()
    const address = { unixgram: rsyslog.datagramSocket, unix: rsyslog.streamSocket, udp: `127.0.0.1:${rsyslog.port}`, tcp: `127.0.0.1:${rsyslog.port}` }[protocol]
    const isLocal = protocol === 'unixgram'
    const log = open(`${protocol}://${address}`, { tag: 'web/{{.Name}}', 'syslog-facility': 'local3', ...(isLocal ? {} : { 'syslog-format': 'rfc3164' }) })
    log.write('stdout', Buffer.from('hello wörld\n\nline 2\n'))
    log.write('stderr', Buffer.from('line 3\n'))
    await last('line 3')
    const seconds = Date.now() / 1000
    expect(messages()).toEqual(['hello wörld', 'line 2', 'line 3'])
    expect(rsyslog.received.map(({ priority }) => priority)).toEqual([19 * 8 + 6, 19 * 8 + 6, 19 * 8 + 3])
    for (const { tag, procId, timestamp } of rsyslog.received) {
      expect([tag, procId]).toEqual([`web/one[${process.pid}]:`, String(process.pid)])
      expect(Math.abs(Date.parse(timestamp) / 1000 - seconds)).toBeLessThan(30)
    }
  })

  it.each(['rfc5424', 'rfc5424micro', 'rfc3164', ''])('brings everything over TLS in the format %j, long lines whole', async (format) => {
    await start({ tls: true })
    const log = open(`tcp+tls://127.0.0.1:${rsyslog.port}`, { 'syslog-format': format, 'syslog-tls-ca-cert': join(directory, 'cert.pem') })
    const long = 'x'.repeat(15_000)
    log.write('stdout', Buffer.from(`first\n${long}\nlast\n`))
    await last('last')
    expect(messages()).toEqual(['first', long, 'last'])
    expect(rsyslog.received.map(({ appName, procId, priority }) => [appName, procId, priority])).toEqual(Array(3).fill(['c1c1c1c1c1c1', String(process.pid), 3 * 8 + 6]))
  })

  it('does not speak to a peer with a certificate that nobody vouches for, unless told to, and loses nothing by it', async () => {
    await start({ tls: true })
    const address = `tcp+tls://127.0.0.1:${rsyslog.port}`
    const container = loggedContainer(join(directory, 'container'))
    await expect(driver.prepare!(container, { 'syslog-address': address })).rejects.toMatchObject({ kind: 'unavailable' })
    const log = open(address)
    log.write('stdout', Buffer.from('secret\n'))
    await until(() => warnings.length === 1)
    expect(warnings[0]).toMatch(/self-signed certificate/)
    expect(messages()).toEqual([])
    const trusting = { 'syslog-address': address, 'syslog-tls-skip-verify': '1' }
    await driver.prepare!(container, trusting)
    await driver[Symbol.asyncDispose]()
    driver = syslogLogDriver({ cache: localLogDriver() })
    driver.open(container, trusting)
    await last('secret')
  })

  it('lets no container forge a message (log-line forging)', async () => {
    await start()
    const log = open(`tcp://127.0.0.1:${rsyslog.port}`, { tag: 'a\nb\u0000c' })
    log.write('stdout', Buffer.from('one\r<11>Nov  4 00:00:00 root: forged\u0000<11>Nov  4 00:00:00 root: forged\u001b[2J\tend\n99 counted\n'))
    await last('99 counted')
    expect(messages()).toEqual(['one#015<11>Nov  4 00:00:00 root: forged#000<11>Nov  4 00:00:00 root: forged#033[2J#011end', '99 counted'])
    expect(new Set(rsyslog.received.map(({ tag }) => tag))).toEqual(new Set([`a_b_c[${process.pid}]:`]))
  })

  it.each(['unixgram', 'tcp'])('brings everything when rsyslogd is killed and started again while the container writes, over %s', async (protocol) => {
    await start()
    const log = open(protocol === 'tcp' ? `tcp://127.0.0.1:${rsyslog.port}` : `unixgram://${rsyslog.datagramSocket}`)
    const write = (from: number, to: number): void => numbers(from, to).forEach((line) => log.write('stdout', Buffer.from(`${line}\n`)))
    write(1, 200)
    await last('line 200')
    await rsyslog.down('SIGKILL')
    write(201, 400)
    await until(() => warnings.length === 1)
    write(401, 600)
    await rsyslog.up()
    write(601, 700)
    await last('line 700')
    expect([...new Set(messages())]).toEqual(numbers(1, 700))
  })

  it('fails the start of a container whose peer is away, with Docker’s text, and waits for it in one that runs', async () => {
    await start()
    await rsyslog.down()
    const address = `tcp://127.0.0.1:${rsyslog.port}`
    const options = { 'syslog-address': address }
    await expect(driver.prepare!(loggedContainer(directory), options)).rejects.toThrow(`failed to initialize logging driver: dial tcp 127.0.0.1:${rsyslog.port}: connect: connection refused`)
    const log = open(address)
    log.write('stdout', Buffer.from('early\n'))
    log.close()
    await until(() => warnings.length === 1)
    await rsyslog.up()
    await last('early')
  })
})
