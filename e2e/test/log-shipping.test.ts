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

  it('make the container wait when the cache is full of what the peer does not take, and all arrive then', async () => {
    receiver.lines.length = 0
    await daemon.ok('run', '-d', '--name', 'waits', ...syslog(), '--log-opt', 'cache-max-size=4m', '--log-opt', 'cache-max-file=2', 'busybox', 'sh', '-c', 'until [ -e /go ]; do usleep 10000; done; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); echo n$i; done')
    await receiver.down()
    await daemon.ok('exec', 'waits', 'touch', '/go')
    await eventually(() => (/output of a container could not be logged/.test(daemon.log) ? true : undefined), { what: 'the full cache' })
    expect(await daemon.ok('inspect', '-f', '{{.State.Status}}', 'waits')).toBe('running')
    await receiver.up()
    expect(await daemon.ok('wait', 'waits')).toBe('0')
    await eventually(() => (receiver.numbers.length === 200_000 ? true : undefined), { what: 'all lines', seconds: 60 })
    expect(receiver.numbers).toEqual(upTo(200_000))
    await daemon.ok('rm', 'waits')
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
