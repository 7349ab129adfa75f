import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, eventually, TestHost } from '../src/index.ts'

let host: TestHost
let daemon: Daemon
beforeAll(async () => {
  host = await TestHost.start()
  daemon = await host.startDaemon()
  await daemon.ok('run', '-d', '--name', 'target', '--env', 'A=1', '--env', 'B=2', 'busybox', 'sh', '-c', 'mkdir -p /etc /srv; echo "web:x:33:34::/:/bin/sh" > /etc/passwd; printf "web:x:34:\\nextra:x:50:web\\n" > /etc/group; exec sleep 1000')
  await eventually(async () => ((await daemon.docker(['exec', 'target', 'test', '-s', '/etc/group'])).code === 0 ? true : undefined))
})
afterAll(() => host[Symbol.asyncDispose]())

async function ask(method: string, path: string, body?: object): Promise<{ status: number; json: Record<string, unknown> }> {
  const call = request({ socketPath: daemon.socket, method, path: `/v1.51${path}`, agent: false, headers: { 'Content-Type': 'application/json' } })
  call.end(body && JSON.stringify(body))
  const [answer] = (await once(call, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of answer) text += String(chunk)
  return { status: answer.statusCode ?? 0, json: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {} }
}

const exec = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> => daemon.docker(['exec', ...args])

describe('exec', () => {
  it('runs as who it is told to, by the account files of the container', async () => {
    const ids = async (user: string): Promise<string> => (await exec('-u', user, 'target', 'sh', '-c', 'echo $(id -u) $(id -g) $(id -G)')).stdout.trim()
    expect(await Promise.all(['web', '33', 'web:extra', '7:8'].map(ids))).toEqual(['33 34 34 50', '33 34 34 50', '33 50 50', '7 8 8'])
  })

  it('tells an unknown user as Docker does', async () => {
    const { code, stdout, stderr } = await exec('-u', 'nosuch', 'target', 'true')
    expect([code, `${stdout}${stderr}`]).toEqual([126, expect.stringContaining('unable to find user nosuch: no matching entries in passwd file')])
  })

  it('has the environment and the directory that it is given, and privileges when they are', async () => {
    const { stdout } = await exec('-e', 'B=3', '-e', 'C=4', '-w', '/srv', 'target', 'sh', '-c', 'echo $A $B $C $PWD')
    expect(stdout).toBe('1 3 4 /srv\n')
    const bounding = async (...flags: string[]): Promise<string> => (await exec(...flags, 'target', 'grep', 'CapBnd', '/proc/self/status')).stdout.replace('CapBnd:', '').trim()
    expect(BigInt(`0x${await bounding('--privileged')}`) > BigInt(`0x${await bounding()}`)).toBe(true)
  })

  it('ends with the code that a shell would give', async () => {
    expect((await exec('target', 'sh', '-c', 'exit 7')).code).toBe(7)
    expect((await exec('target', 'sh', '-c', 'kill -9 $$')).code).toBe(137)
    expect((await exec('target', 'nothere')).code).toBe(127)
    expect((await exec('target', '/etc')).code).toBe(126)
  })

  it('is inspected while it runs and afterwards, and is told by events', async () => {
    const { json } = await ask('POST', '/containers/target/exec', { Cmd: ['sh', '-c', 'until [ -e /go ]; do sleep 0.05; done; exit 5'], User: 'web', WorkingDir: '/srv', DetachKeys: 'ctrl-a' })
    const id = String(json['Id'])
    const inspect = async (): Promise<Record<string, unknown>> => (await ask('GET', `/exec/${id}/json`)).json
    expect(await inspect()).toMatchObject({ ID: id, Running: false, ExitCode: null, Pid: 0, CanRemove: false, OpenStdin: false, DetachKeys: 'ctrl-a' })
    expect((await ask('POST', `/exec/${id}/start`, { Detach: true })).status).toBe(200)
    expect(await inspect()).toMatchObject({ Running: true, ExitCode: null, Pid: expect.any(Number), ProcessConfig: { entrypoint: 'sh', tty: false, privileged: false, user: 'web' } })
    expect(await ask('POST', `/exec/${id}/start`, { Detach: true })).toMatchObject({ status: 409, json: { message: `Error: Exec command ${id} is already running` } })
    await exec('target', 'touch', '/go')
    await eventually(async () => ((await inspect())['Running'] === false ? true : undefined))
    expect(await inspect()).toMatchObject({ ExitCode: 5 })
    expect((await ask('POST', `/exec/${id}/start`, { Detach: true })).json).toEqual({ message: `Error: Exec command ${id} has already run` })
    const events = await daemon.ok('events', '--since', '0', '--until', String(Math.ceil(Date.now() / 1000)), '--filter', 'container=target', '--format', '{{.Action}} {{index .Actor.Attributes "execID"}} {{index .Actor.Attributes "exitCode"}}')
    expect(events.split('\n').filter((line) => line.includes(id)).map((line) => line.replace(id, '').replace(/: sh .*/, ' ').trim())).toEqual(['exec_create', 'exec_start', 'exec_die  5'])
  })

  it('is refused in a container that is paused or does not run', async () => {
    await daemon.ok('run', '-d', '--name', 'other', 'busybox', 'sleep', '1000')
    await daemon.ok('pause', 'other')
    expect((await exec('other', 'true')).stderr).toMatch(/Container \w{64} is paused, unpause the container before exec/)
    await daemon.ok('unpause', 'other')
    await daemon.ok('kill', 'other')
    expect((await exec('other', 'true')).stderr).toMatch(/[Cc]ontainer \w{64} is not running/)
    await daemon.ok('rm', 'other')
  })

  it('ends with its container, also when that is removed', async () => {
    await daemon.ok('run', '-d', '--name', 'doomed', 'busybox', 'sleep', '1000')
    const running = daemon.spawnDocker(['exec', 'doomed', 'sh', '-c', 'echo begun; sleep 1000'])
    await running.saw(/begun/)
    await daemon.ok('rm', '-f', 'doomed')
    expect((await running.done).code).not.toBe(0)
  })

  it('has a terminal of the size of its client', async () => {
    const { json } = await ask('POST', '/containers/target/exec', { Cmd: ['sh', '-c', 'stty size > /size'], Tty: true })
    await ask('POST', `/exec/${String(json['Id'])}/start`, { Detach: true, Tty: true, ConsoleSize: [31, 71] })
    await eventually(async () => ((await exec('target', 'cat', '/size')).stdout === '31 71\n' ? true : undefined))
  })

  it('goes on over a restart of the engine, whether it ends meanwhile or not', async () => {
    const start = async (command: string): Promise<string> => {
      const { json } = await ask('POST', '/containers/target/exec', { Cmd: ['sh', '-c', command] })
      await ask('POST', `/exec/${String(json['Id'])}/start`, { Detach: true })
      return String(json['Id'])
    }
    const [before, after] = [await start('until [ -e /one ]; do sleep 0.05; done; exit 3'), await start('until [ -e /two ]; do sleep 0.05; done; exit 4')]
    const pid = await daemon.ok('inspect', '-f', '{{.State.Pid}}', 'target')
    const { Pid } = (await ask('GET', `/exec/${before}/json`)).json
    await daemon.crash()
    await host.sh(`touch /proc/${pid}/root/one; while [ -e /proc/${String(Pid)} ]; do sleep 0.05; done`)
    await daemon.restart()
    await exec('target', 'touch', '/two')
    for (const [id, code] of [[before, 3], [after, 4]] as const) {
      await eventually(async () => ((await ask('GET', `/exec/${id}/json`)).json['ExitCode'] === code ? true : undefined), { what: `the exit code ${code}` })
    }
  })
})

describe('an exec whose client goes', () => {
  /** What of it runs in a container. */
  const left = async (container: string): Promise<string> => (await daemon.ok('top', container, '-o', 'pid,args')).split('\n').filter((line) => line.includes('600')).join('\n')
  const command = ['sh', '-c', 'trap "" HUP; sleep 600 & setsid sleep 600 & (sleep 600 &); echo begun; sleep 600']

  it('goes on, as with Docker', async () => {
    await daemon.ok('run', '-d', '--name', 'keeps', 'busybox', 'sleep', '1000')
    const client = daemon.spawnDocker(['exec', 'keeps', ...command])
    await client.saw(/begun/)
    client.kill('SIGKILL')
    await client.done
    expect((await left('keeps')).split('\n')).not.toHaveLength(0)
    await daemon.ok('rm', '-f', 'keeps')
  })

  it.each([
    ['without a terminal', []],
    ['with input', ['-i']],
  ])('is killed with all that came of it on request, %s', async (_, flags) => {
    await daemon.ok('run', '-d', '--name', 'kills', '--annotation', 'io.berth.exec-on-disconnect=kill', 'busybox', 'sleep', '1000')
    const client = daemon.spawnDocker(['exec', ...flags, 'kills', ...command], { input: new PassThrough() })
    await client.saw(/begun/)
    client.kill('SIGKILL')
    await client.done
    await eventually(async () => ((await left('kills')) === '' ? true : undefined), { what: 'the end of the exec' })
    expect(await daemon.ok('inspect', '-f', '{{.State.Running}} {{.ExecIDs}}', 'kills')).toBe('true []')
    await daemon.ok('rm', '-f', 'kills')
  })

  it('is killed on request with a terminal, but not when its client detaches', async () => {
    await daemon.ok('run', '-d', '--name', 'kills', '--annotation', 'io.berth.exec-on-disconnect=kill', 'busybox', 'sleep', '1000')
    const inTerminal = (keys: PassThrough) => host.spawn('script', ['-qefc', `exec docker -H unix://${daemon.socket} exec -it kills ${command.map((part) => `'${part}'`).join(' ')}`, '/dev/null'], { input: keys, env: { TERM: 'xterm' } })
    const keys = new PassThrough()
    const detaching = inTerminal(keys)
    await detaching.saw(/begun/)
    keys.write('\x10\x11')
    await detaching.done
    expect(await left('kills')).not.toBe('')
    await daemon.ok('restart', '-t', '0', 'kills')
    const leaving = inTerminal(new PassThrough())
    await leaving.saw(/begun/)
    leaving.kill('SIGKILL')
    await leaving.done
    await eventually(async () => ((await left('kills')) === '' ? true : undefined), { what: 'the end of the exec' })
    await daemon.ok('rm', '-f', 'kills')
  })
})
