import { spawn } from 'node:child_process'
import { Agent, request } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, eventually, TestHost } from '../src/index.ts'

/** Takes lines over a Unix socket: a syslog receiver that can be away. */
class Receiver {
  readonly path: string
  readonly lines: string[] = []
  #server: Server | undefined
  readonly #sockets = new Set<Socket>()

  constructor(path: string) {
    this.path = path
  }

  async up(): Promise<void> {
    const server = createServer((socket) => {
      let rest = ''
      this.#sockets.add(socket)
      socket.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop() ?? ''
        this.lines.push(...lines)
      })
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket))
    })
    this.#server = server
    await new Promise<void>((resolve) => server.listen(this.path, resolve))
  }

  async down(): Promise<void> {
    const closed = new Promise((resolve) => (this.#server ? this.#server.close(resolve) : resolve(undefined)))
    this.#server = undefined
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** Numbers that arrived, each once, in the order of their first arrival. */
  get numbers(): number[] {
    return [...new Set(this.lines.flatMap((line) => /: n(\d+)$/.exec(line)?.[1] ?? []).map(Number))]
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)

describe('logs that are sent elsewhere', () => {
  let host: TestHost
  let daemon: Daemon
  let receiver: Receiver
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
    receiver = new Receiver(join(host.dir, 'syslog.sock'))
    await receiver.up()
  })
  afterAll(async () => {
    await receiver.down()
    await host[Symbol.asyncDispose]()
  })

  const syslog = (): string[] => ['--log-driver', 'syslog', '--log-opt', `syslog-address=unix://${receiver.path}`, '--log-opt', 'tag={{.Name}}']
  const counting = (count: number, wait = ''): string[] => ['busybox', 'sh', '-c', `i=0; while [ $i -lt ${count} ]; do i=$((i+1)); echo n$i; ${wait} done; ${wait ? 'sleep 300' : ''}`]

  it('arrive, with the tag, and can be read by docker logs too', async () => {
    expect(await daemon.ok('run', '--name', 'short', ...syslog(), 'busybox', 'sh', '-c', 'echo out; echo err >&2')).toBe('out')
    await eventually(() => (receiver.lines.length >= 2 ? true : undefined), { what: 'the lines' })
    expect(receiver.lines.map((line) => line.replace(/\w{3} [ \d]\d [\d:]{8}/, 'DATE').replace(/\[\d+\]/, '[PID]')).toSorted()).toEqual(['<27>DATE short[PID]: err', '<30>DATE short[PID]: out'])
    const { stdout, stderr } = await daemon.docker(['logs', 'short'])
    expect([stdout, stderr]).toEqual(['out\n', 'err\n'])
    expect(await daemon.ok('inspect', '-f', '{{.HostConfig.LogConfig.Type}}', 'short')).toBe('syslog')
    await daemon.ok('rm', 'short')
  })

  it('all arrive when the peer is away for a while and the daemon is killed meanwhile', async () => {
    receiver.lines.length = 0
    await daemon.ok('run', '-d', '--name', 'counts', ...syslog(), ...counting(600, 'usleep 5000;'))
    await eventually(() => (receiver.numbers.length > 50 ? true : undefined), { what: 'the first lines' })
    await receiver.down()
    await eventually(async () => (Number((await daemon.ok('logs', '--tail', '1', 'counts')).slice(1)) > 200 ? true : undefined), { what: 'lines during the outage' })
    await daemon.crash()
    await receiver.up()
    await daemon.restart()
    await eventually(() => (receiver.numbers.includes(600) ? true : undefined), { what: 'the last line', seconds: 60 })
    expect(receiver.numbers).toEqual(upTo(600))
    expect(await daemon.ok('logs', 'counts')).toBe(upTo(600).map((number) => `n${number}`).join('\n'))
    await daemon.ok('rm', '-f', 'counts')
  })

  it('of a container that has ended are sent by the next daemon', async () => {
    receiver.lines.length = 0
    await daemon.ok('create', '--name', 'ends', ...syslog(), ...counting(500))
    const started = daemon.docker(['start', 'ends'])
    await started
    await receiver.down()
    expect(await daemon.ok('wait', 'ends')).toBe('0')
    await daemon.crash()
    await receiver.up()
    await daemon.restart()
    await eventually(() => (receiver.numbers.length === 500 ? true : undefined), { what: 'all lines' })
    expect(receiver.numbers).toEqual(upTo(500))
    await daemon.ok('rm', 'ends')
  })

  it('fail the start as Docker does when the peer is not there, and say so', async () => {
    const fluentd = await daemon.docker(['run', '--rm', '--log-driver', 'fluentd', 'busybox', 'true'])
    expect([fluentd.code, fluentd.stderr]).toEqual([125, expect.stringContaining('failed to initialize logging driver: dial tcp 127.0.0.1:24224: connect: connection refused')])
    const journald = await daemon.docker(['run', '--rm', '--log-driver', 'journald', 'busybox', 'true'])
    expect([journald.code, journald.stderr]).toEqual([125, expect.stringContaining('journald is not enabled on this host')])
    const option = await daemon.docker(['run', '--rm', '--log-driver', 'syslog', '--log-opt', 'colour=red', 'busybox', 'true'])
    expect([option.code, option.stderr]).toEqual([125, expect.stringContaining("unknown log opt 'colour' for syslog log driver")])
    expect(await daemon.ok('run', '--rm', '--log-driver', 'fluentd', '--log-opt', 'fluentd-async=true', 'busybox', 'echo', 'hello')).toBe('hello')
    expect(await daemon.ok('ps', '-aq')).toBe('')
  })
})

function post(agent: Agent, socketPath: string, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    request({ agent, socketPath, path, method: 'POST' }, (response) => {
      response.resume().on('end', resolve)
    }).on('error', reject).end()
  }) // prettier-ignore
}

describe('events', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  it('of before are told again after a crash, filtered as docker does', async () => {
    await daemon.ok('run', '--name', 'one', '--label', 'team=a', 'busybox', 'true')
    await daemon.ok('run', '--name', 'two', 'busybox', 'true')
    const events = (...filters: string[]): Promise<string> =>
      daemon.ok('events', '--since', '1', '--until', '0s', '--format', '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}', ...filters.flatMap((filter) => ['--filter', filter]))
    const before = await events()
    expect(before.split('\n')).toContain('container die one')
    await daemon.crash()
    await daemon.restart()
    expect((await events()).startsWith(before)).toBe(true)
    expect(await events('container=one', 'event=create', 'event=die')).toBe('container create one\ncontainer die one')
    expect(await events('label=team=a', 'event=start')).toBe('container start one')
    expect(await events('type=container', 'image=busybox', 'event=start')).toBe('container start one\ncontainer start two')
    expect((await daemon.docker(['events', '--since', '1', '--until', '2', '--filter', 'colour=red'])).stderr).toMatch(/invalid filter 'colour'/)
    await daemon.ok('rm', 'one', 'two')
  })

  it('are all told to a client that does not read for a while', async () => {
    const client = spawn('curl', ['-sN', '--unix-socket', daemon.socket, 'http://d/v1.51/events?filters=%7B%22event%22%3A%5B%22tag%22%5D%7D'], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    client.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    await eventually(async () => (Number(await daemon.ok('info', '-f', '{{.NEventsListener}}')) > 0 ? true : undefined), { what: 'the listener' })
    client.kill('SIGSTOP')
    // Long names fill the socket's buffers early.
    const name = (number: number): string => `${'a'.repeat(60)}/${'b'.repeat(60)}${number}`
    const agent = new Agent({ keepAlive: true })
    for (const number of upTo(1000)) await post(agent, daemon.socket, `/v1.51/images/busybox/tag?repo=${name(number)}&tag=t`)
    agent.destroy()
    client.kill('SIGCONT')
    await eventually(() => (text.split('\n').length > 1000 ? true : undefined), { what: 'all events' })
    const names = text.split('\n').slice(0, -1).map((line) => (JSON.parse(line) as { Actor: { Attributes: { name: string } } }).Actor.Attributes.name)
    expect(names).toEqual(upTo(1000).map((number) => `${name(number)}:t`))
    client.kill()
  })
})
