import { spawn } from 'node:child_process'
import { Agent, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, eventually, TestHost } from '../src/index.ts'

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)

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
