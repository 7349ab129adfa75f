import type { Duplex } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Answer, CheckedApi } from '../src/api-client.ts'
import { bodyOf, definition, operationsUnder } from '../src/api-spec.ts'
import { HostileValues } from '../src/hostile-values.ts'
import { type Daemon, eventually, TestHost } from '../src/index.ts'

const message = (answer: Answer): string => (answer.json as { message: string }).message

/** What a socket brings until it ends. */
async function everything(socket: Duplex, head: Buffer): Promise<Buffer> {
  const chunks = [head]
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

interface Inspected {
  State: { Status: string; Health?: { Status: string } }
  ExecIDs: string[] | null
}

const long = { Image: 'busybox', Cmd: ['sleep', '300'] }

describe('the API of containers and execs', () => {
  let host: TestHost
  let daemon: Daemon
  let api: CheckedApi
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
    api = new CheckedApi(daemon.socket)
  })
  afterAll(() => host[Symbol.asyncDispose]())

  const create = async (name: string, body: object = long): Promise<string> => {
    const answer = await api.ask('POST', '/containers/create', { query: { name }, json: body })
    if (answer.status !== 201) throw new Error(answer.body.toString())
    return (answer.json as { Id: string }).Id
  }
  const start = async (ref: string): Promise<void> => {
    expect((await api.ask('POST', `/containers/${ref}/start`)).status).toBe(204)
  }
  const remove = async (ref: string): Promise<void> => {
    expect((await api.ask('DELETE', `/containers/${ref}`, { query: { force: 1, v: 1 } })).status).toBe(204)
  }
  const status = async (...[method, path, options]: Parameters<CheckedApi['ask']>): Promise<number> => (await api.ask(method, path, options)).status
  const inspect = async (ref: string): Promise<Inspected> => (await api.ask('GET', `/containers/${ref}/json`)).json as Inspected

  it('makes, shows, lists and removes', async () => {
    const id = await create('one', {
      ...long, Env: ['A=1'], Labels: { a: 'b' }, ExposedPorts: { '80/tcp': {} }, Healthcheck: { Test: ['CMD', 'true'], Interval: 1_000_000_000 },
      HostConfig: { Memory: 64 << 20, Binds: ['data:/data'], PortBindings: { '80/tcp': [{ HostPort: '' }] }, RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 } },
    }) // prettier-ignore
    await start('one')
    await eventually(async () => (await inspect('one')).State.Health?.Status === 'healthy' || undefined)
    expect(await inspect(id.slice(0, 12))).toMatchObject({ Id: id, Name: '/one', State: { Status: 'running', Running: true, Health: { FailingStreak: 0 } }, GraphDriver: { Data: { UpperDir: expect.stringMatching(/^\//) } } })
    const sized = (await api.ask('GET', '/containers/one/json', { query: { size: 1 } })).json
    expect(sized).toMatchObject({ SizeRw: expect.any(Number), SizeRootFs: expect.any(Number) })
    expect((await api.ask('GET', '/containers/json', { query: { size: 1 } })).json).toMatchObject([{ Id: id, Image: 'busybox', State: 'running', SizeRw: expect.any(Number), Ports: expect.arrayContaining([expect.objectContaining({ PrivatePort: 80, Type: 'tcp' })]) }])
    expect((await api.ask('GET', '/containers/json', { query: { filters: '{"status":["exited"]}' } })).json).toEqual([])
    expect(message(await api.ask('GET', '/containers/json', { query: { filters: '{"nonsense":["x"]}' } }))).toBe("invalid filter 'nonsense'")
    expect(await status('GET', '/containers/json', { query: { filters: 'x' } })).toBe(400)
    expect(await status('DELETE', '/containers/one')).toBe(409)
    await remove('one')
    expect(await status('GET', '/containers/one/json')).toBe(404)
    await daemon.ok('volume', 'rm', 'data')
  })

  it('refuses to make what cannot be', async () => {
    await create('taken')
    expect(message(await api.ask('POST', '/containers/create', { query: { name: 'taken' }, json: long }))).toMatch(/^Conflict\. The container name "\/taken" is already in use by container/)
    expect(await status('POST', '/containers/create', { query: { name: 'taken' }, json: long })).toBe(409)
    expect(await status('POST', '/containers/create', { json: { Image: 'nobody/has:this' } })).toBe(404)
    expect(await status('POST', '/containers/create', { query: { name: '../x' }, json: long })).toBe(400)
    expect(await status('POST', '/containers/create', { body: '{', headers: { 'Content-Type': 'application/json' } })).toBe(400)
    expect(message(await api.ask('POST', '/containers/create', { json: { ...long, HostConfig: { Memory: 'much' } } }))).toMatch(/HostConfig\.Memory/)
    await remove('taken')
  })

  it('starts, stops, restarts, freezes, renames, updates and kills', async () => {
    await create('two')
    expect(await status('POST', '/containers/two/stop')).toBe(304)
    expect(await status('POST', '/containers/two/kill')).toBe(409)
    expect(await status('POST', '/containers/two/pause')).toBe(409)
    expect(await status('POST', '/containers/two/resize', { query: { h: 10, w: 20 } })).toBe(409)
    await start('two')
    expect(await status('POST', '/containers/two/start')).toBe(304)
    expect(await status('POST', '/containers/two/restart', { query: { t: 0 } })).toBe(204)
    expect(await status('POST', '/containers/two/pause')).toBe(204)
    expect(message(await api.ask('POST', '/containers/two/pause'))).toMatch(/is already paused/)
    expect(await status('POST', '/containers/two/unpause')).toBe(204)
    expect(await status('POST', '/containers/two/unpause')).toBe(409)
    expect((await api.ask('POST', '/containers/two/update', { json: { Memory: 64 << 20, MemorySwap: 64 << 20, RestartPolicy: { Name: 'no' } } })).json).toEqual({ Warnings: [] })
    expect(await status('POST', '/containers/two/update', { json: { Memory: 1 } })).toBe(400)
    await create('three')
    expect(await status('POST', '/containers/two/rename', { query: { name: 'three' } })).toBe(409)
    expect(await status('POST', '/containers/two/rename', { query: { name: 'second' } })).toBe(204)
    expect(await status('POST', '/containers/second/kill', { query: { signal: 'SIGNOTHING' } })).toBe(400)
    expect(await status('POST', '/containers/second/kill', { query: { signal: 'KILL' } })).toBe(204)
    await eventually(async () => (await inspect('second')).State.Status === 'exited' || undefined)
    expect(await status('POST', '/containers/second/stop', { query: { t: 0 } })).toBe(304)
    await start('second')
    expect(await status('POST', '/containers/second/stop', { query: { t: 0, signal: 'SIGKILL' } })).toBe(204)
    await remove('second')
    await remove('three')
  })

  it('waits for each of the conditions', async () => {
    await create('ends', { Image: 'busybox', Cmd: ['sh', '-c', 'exit 4'] })
    expect((await api.ask('POST', '/containers/ends/wait')).json).toEqual({ StatusCode: 0 })
    const next = api.ask('POST', '/containers/ends/wait', { query: { condition: 'next-exit' } })
    await start('ends')
    expect((await next).json).toEqual({ StatusCode: 4 })
    const removed = api.ask('POST', '/containers/ends/wait', { query: { condition: 'removed' } })
    expect(await status('POST', '/containers/ends/wait', { query: { condition: 'never' } })).toBe(400)
    await remove('ends')
    expect((await removed).json).toMatchObject({ StatusCode: 4 })
  })

  it('shows processes, figures, changes, output and files', async () => {
    await create('busy', { Image: 'busybox', Cmd: ['sh', '-c', 'echo out; echo err >&2; echo new > /new; exec sleep 300'] })
    expect(await status('GET', '/containers/busy/top')).toBe(409)
    expect((await api.ask('GET', '/containers/busy/stats', { query: { stream: 0, 'one-shot': 1 } })).json).toMatchObject({ name: '/busy', memory_stats: {} })
    await start('busy')
    await eventually(async () => ((await api.ask('GET', '/containers/busy/changes')).json as { Path: string }[]).some(({ Path }) => Path === '/new') || undefined)
    expect((await api.ask('GET', '/containers/busy/changes')).json).toEqual([{ Path: '/new', Kind: 1 }])
    expect((await api.ask('GET', '/containers/busy/top', { query: { ps_args: '-o pid,args' } })).json).toMatchObject({ Titles: ['PID', 'COMMAND'], Processes: [[expect.stringMatching(/^\d+$/), 'sleep 300']] })
    expect(message(await api.ask('GET', '/containers/busy/top', { query: { ps_args: '-o args' } }))).toBe("Couldn't find PID field in ps output")
    expect(message(await api.ask('GET', '/containers/busy/top', { query: { ps_args: '--nonsense' } }))).toMatch(/^ps: unknown gnu long option/)
    expect(await status('GET', '/containers/busy/top', { query: { ps_args: '-eo comm=PID' } })).toBe(400)

    const twice = await api.ask('GET', '/containers/busy/stats', { until: (body) => body.toString().split('\n').length > 2 })
    const [first, second] = twice.body.toString().split('\n').slice(0, 2).map((line) => JSON.parse(line) as { read: string; preread: string; cpu_stats: object; precpu_stats: object })
    expect(second).toMatchObject({ preread: first?.read, precpu_stats: first?.cpu_stats })
    expect((await api.ask('GET', '/containers/busy/stats', { query: { stream: 0 } })).json).toMatchObject({
      pids_stats: { current: 1 }, precpu_stats: { system_cpu_usage: expect.any(Number) }, cpu_stats: { online_cpus: expect.any(Number) }, networks: { eth0: { rx_bytes: expect.any(Number) } },
      memory_stats: { usage: expect.any(Number), limit: expect.any(Number), stats: expect.any(Object) },
    }) // prettier-ignore
    expect((await api.ask('GET', '/containers/busy/stats', { query: { stream: 0, 'one-shot': 1 } })).json).toMatchObject({ preread: '0001-01-01T00:00:00Z' })

    const logs = await api.ask('GET', '/containers/busy/logs', { query: { stdout: 1, stderr: 1 } })
    expect(logs.headers['content-type']).toBe('application/vnd.docker.multiplexed-stream')
    expect([logs.body.includes(frame(1, 'out\n')), logs.body.includes(frame(2, 'err\n')), logs.body.length]).toEqual([true, true, 24])
    expect(message(await api.ask('GET', '/containers/busy/logs'))).toBe('Bad parameters: you must choose at least one stream')

    const archive = await api.ask('GET', '/containers/busy/archive', { query: { path: '/new' } })
    expect(archive.headers['content-type']).toBe('application/x-tar')
    expect(JSON.parse(Buffer.from(String(archive.headers['x-docker-container-path-stat']), 'base64').toString())).toMatchObject({ name: 'new', size: 4 })
    expect(await status('HEAD', '/containers/busy/archive', { query: { path: '/new' } })).toBe(200)
    expect(await status('HEAD', '/containers/busy/archive', { query: { path: '/none' } })).toBe(404)
    expect(await status('HEAD', '/containers/busy/archive')).toBe(400)
    expect(await status('GET', '/containers/busy/archive', { query: { path: '/none' } })).toBe(404)
    expect(await status('GET', '/containers/busy/archive')).toBe(400)
    expect(await status('PUT', '/containers/busy/archive', { query: { path: '/tmp' }, body: archive.body })).toBe(200)
    expect(await status('PUT', '/containers/busy/archive', { query: { path: '/none' }, body: archive.body })).toBe(404)
    expect(await status('PUT', '/containers/busy/archive', { query: { path: '/new' }, body: archive.body })).toBe(400)
    const whole = await api.ask('GET', '/containers/busy/export')
    expect(whole.headers['content-type']).toBe('application/x-tar')
    expect(whole.body.includes('bin/busybox')).toBe(true)
    await remove('busy')

    await create('locked', { ...long, HostConfig: { ReadonlyRootfs: true } })
    expect(await status('PUT', '/containers/locked/archive', { query: { path: '/' }, body: archive.body })).toBe(403)
    await remove('locked')
  })

  it('gives the streams of a process, upgraded and as a response', async () => {
    await create('echo', { Image: 'busybox', Cmd: ['cat'], OpenStdin: true, StdinOnce: true, AttachStdin: true })
    const { socket, head, headers } = await api.upgrade('POST', '/containers/echo/attach', { query: { stream: 1, stdin: 1, stdout: 1 } })
    expect(headers['content-type']).toBe('application/vnd.docker.multiplexed-stream')
    await start('echo')
    socket.end('through\n')
    expect(await everything(socket, head)).toEqual(frame(1, 'through\n'))
    await eventually(async () => (await inspect('echo')).State.Status === 'exited' || undefined)
    const replay = await api.ask('POST', '/containers/echo/attach', { query: { logs: 1, stdout: 1 } })
    expect([replay.status, replay.body.includes('through')]).toEqual([200, true])
    expect(await status('POST', '/containers/echo/attach', { query: { stream: 1, stdout: 1, detachKeys: 'ctrl-nothing' } })).toBe(400)
    await remove('echo')
  })

  it('gives them over a WebSocket too', async () => {
    await create('web', { Image: 'busybox', Cmd: ['echo', 'hello'], Tty: true })
    const { socket, head } = await api.upgrade('GET', '/containers/web/attach/ws', {
      query: { stream: 1, stdout: 1 },
      headers: { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' },
    })
    const heard: Buffer[] = [head]
    socket.on('data', (chunk: Buffer) => heard.push(chunk))
    await start('web')
    await eventually(() => Buffer.concat(heard).includes('hello') || undefined)
    socket.destroy()
    expect(await status('GET', '/containers/web/attach/ws')).toBe(400)
    await remove('web')
  })

  it('runs commands', async () => {
    await create('host')
    expect(await status('POST', '/containers/host/exec', { json: { Cmd: ['true'] } })).toBe(409)
    await start('host')
    expect(await status('POST', '/containers/host/exec', { json: { Cmd: [] } })).toBe(400)
    const exec = async (config: object): Promise<string> => ((await api.ask('POST', '/containers/host/exec', { json: config })).json as { Id: string }).Id
    const id = await exec({ Cmd: ['sh', '-c', 'echo hi; exit 3'], AttachStdout: true })
    expect((await api.ask('GET', `/exec/${id}/json`)).json).toMatchObject({ ID: id, Running: false, ExitCode: null, ProcessConfig: { entrypoint: 'sh', arguments: ['-c', 'echo hi; exit 3'] } })
    const { socket, head } = await api.upgrade('POST', `/exec/${id}/start`, { json: { Detach: false } })
    expect(await everything(socket, head)).toEqual(frame(1, 'hi\n'))
    expect((await api.ask('GET', `/exec/${id}/json`)).json).toMatchObject({ Running: false, ExitCode: 3 })
    expect(await status('POST', `/exec/${id}/start`, { json: {} })).toBe(409)
    expect(await status('POST', `/exec/${id}/resize`, { query: { h: 1, w: 1 } })).toBe(409)
    const older = await api.ask('POST', `/exec/${await exec({ Cmd: ['echo', 'old way'], AttachStdout: true })}/start`, { json: { Detach: false } })
    expect([older.status, older.body.includes('old way')]).toEqual([200, true])
    const terminal = await exec({ Cmd: ['sleep', '300'], Tty: true, AttachStdout: true })
    expect(await status('POST', `/exec/${terminal}/start`, { json: { Detach: true, Tty: true } })).toBe(200)
    expect(await status('POST', `/exec/${terminal}/resize`, { query: { h: 40, w: 100 } })).toBe(200)
    expect(await status('POST', `/exec/${terminal}/resize`, { query: { h: 'high', w: 100 } })).toBe(400)
    expect((await inspect('host')).ExecIDs).toEqual([terminal])
    await remove('host')
    expect(await status('GET', `/exec/${terminal}/json`)).toBe(404)
  })

  it('sizes a terminal', async () => {
    await create('terminal', { ...long, Tty: true })
    await start('terminal')
    expect(await status('POST', '/containers/terminal/resize', { query: { h: 40, w: 100 } })).toBe(200)
    await remove('terminal')
  })

  it('removes all that ended', async () => {
    const id = await create('old')
    expect((await api.ask('POST', '/containers/prune')).json).toMatchObject({ ContainersDeleted: [id], SpaceReclaimed: 0 })
    expect(await status('POST', '/containers/prune', { query: { filters: '{"nonsense":["x"]}' } })).toBe(400)
  })

  it('does not know what is not there', async () => {
    const bodies: Record<string, unknown> = { ContainerExec: { Cmd: ['true'] }, ContainerUpdate: {}, ExecStart: {} }
    for (const { id, method, path } of operationsUnder('containers', 'exec')) {
      if (!path.includes('{id}')) continue
      const answer = await api.ask(method, path.replace('{id}', 'nobody'), {
        query: { path: '/', name: 'new', h: 1, w: 1, stdout: 1 },
        ...(bodies[id] ? { json: bodies[id] } : {}),
        ...(id === 'ContainerAttachWebsocket' ? { headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' } } : {}),
      })
      expect(answer.status, `${method} ${path}`).toBe(404)
      expect(method === 'HEAD' ? 'No such container: nobody' : message(answer), `${method} ${path}`).toBe(path.startsWith('/exec') ? 'No such exec instance: nobody' : 'No such container: nobody')
    }
  })

  it.each(['1.24', '1.41', '1.44'])('serves clients of version %s', async (version) => {
    const made = await api.ask('POST', '/containers/create', { query: { name: 'older' }, json: { Image: 'busybox', Cmd: ['echo', 'hi'] }, version })
    expect(made.status).toBe(201)
    expect((await api.ask('POST', '/containers/older/start', { version })).status).toBe(204)
    expect((await api.ask('POST', '/containers/older/wait', { version })).json).toEqual({ StatusCode: 0 })
    const logs = await api.ask('GET', '/containers/older/logs', { query: { stdout: 1 }, version })
    expect(logs.headers['content-type']).toBe(`application/vnd.docker.${version === '1.44' ? 'multiplexed' : 'raw'}-stream`)
    expect(((await api.ask('GET', '/containers/older/json', { version })).json as { Id: string }).Id).toBe((made.json as { Id: string }).Id)
    expect((await api.ask('GET', '/containers/json', { query: { all: 1 }, version })).json).toHaveLength(1)
    await remove('older')
  })

  it('answered every operation, each with what it promises', () => {
    for (const { id, responses } of operationsUnder('containers', 'exec')) {
      const answered = api.answered.get(id) ?? new Set()
      const promised = Object.keys(responses).map(Number).filter((code) => code < 500)
      const without: Record<string, number[]> = {
        // Ended in an upgrade, or refused: it has no other answer.
        ContainerAttachWebsocket: [200],
        // Nothing in a query of it can be wrong.
        ContainerDelete: [400],
      }
      expect(promised.filter((code) => !answered.has(code) && !without[id]?.includes(code)), `${id} answered ${[...answered].join(', ')}`).toEqual([])
    }
  })

  it('is not brought down by hostile requests', async () => {
    const hostile = new HostileValues(20_260_801)
    const execConfig = bodyOf('ContainerExec')
    await create('target')
    await start('target')
    const unlike = async (path: string, json: unknown): Promise<Answer> => {
      const answer = await api.send('POST', path, { json, timeout: 10_000 })
      expect(answer.status === 501 || answer.status < 500, `${path}: ${answer.status} ${answer.body.toString()}\n${JSON.stringify(json)}`).toBe(true)
      expect(answer.status < 400 ? '' : message(answer)).not.toMatch(/undefined|\[object|TypeError|ENOENT|at \S+:\d+/)
      return answer
    }
    let made = 0
    for (let round = 0; round < 170; round++) {
      const request = { ...(hostile.of(definition('ContainerConfig')) as object), HostConfig: hostile.of(definition('HostConfig')), NetworkingConfig: hostile.of(definition('NetworkingConfig')), ...(hostile.chance(0.9) ? { Image: 'busybox' } : {}) }
      const answer = await unlike('/containers/create', hostile.chance(0.03) ? hostile.of(definition('Mount')) : request)
      if (answer.status === 201) {
        made++
        await remove((answer.json as { Id: string }).Id)
      }
      // One setting alone is refused less often.
      const [name, schema] = hostile.one(Object.entries(definition('Resources').properties ?? {}))
      const single = await unlike('/containers/create', { ...long, HostConfig: { [name]: hostile.of(schema) } })
      if (single.status === 201) {
        made++
        await remove((single.json as { Id: string }).Id)
      }
      await unlike('/containers/target/update', hostile.chance(0.5) ? { [name]: hostile.of(schema) } : hostile.of(definition('Resources')))
      await unlike('/containers/target/exec', hostile.of(execConfig))
    }
    expect(made).toBeGreaterThan(0)
    expect((await api.ask('GET', '/containers/json', { query: { all: 1 } })).json).toHaveLength(1)
    await remove('target')
    expect(daemon.log).not.toMatch(/a request failed/)
  })
})

/** A piece of output as it comes on a stream that carries several. */
function frame(stream: number, text: string): Buffer {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0])
  header.writeUInt32BE(Buffer.byteLength(text), 4)
  return Buffer.concat([header, Buffer.from(text)])
}
