import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { BerthError } from '@berth/core'
import { describe, expect, it } from 'vitest'
import type { Attachment } from '../src/index.ts'
import { failing, frame, readAll, readUntil, serve, type TestServer } from './serve.ts'

async function create(server: TestServer, request: object): Promise<string> {
  const { json } = await server.ask('POST', '/containers/create', { body: { Image: 'busybox', ...request } })
  return String(json['Id'])
}

const upgrade = (path: string, body = ''): string =>
  `POST ${path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`

const bodyOf = (answer: Buffer): Buffer => answer.subarray(answer.indexOf('\r\n\r\n') + 4)

/** An attachment with streams that a test holds the other ends of. */
function heldAttachment(): { attachment: Attachment; stdout: PassThrough; detached: Promise<void>; finish: () => void } {
  const stdout = new PassThrough()
  const detached = Promise.withResolvers<void>()
  const done = Promise.withResolvers<void>()
  const attachment: Attachment = { tty: false, stdin: undefined, stdout, stderr: undefined, done: done.promise, detach: () => detached.resolve() }
  return { attachment, stdout, detached: detached.promise, finish: () => (stdout.end(), done.resolve()) }
}

describe('attach', () => {
  it('upgrades, frames output by stream, takes input until its end', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['cat'], OpenStdin: true })
    const socket = await server.raw(upgrade(`/v1.51/containers/${id}/attach?stream=1&stdin=1&stdout=1&stderr=1`))
    const head = await readUntil(socket, '\r\n\r\n')
    expect(head.toString()).toMatch(/^HTTP\/1\.1 101 UPGRADED\r\n/)
    expect(head.toString()).toContain('Content-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n')
    await server.ask('POST', `/containers/${id}/start`)
    socket.end('hello')
    expect(await readAll(socket)).toEqual(frame(1, 'hello'))
  })

  it('passes input on that came with the request', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['cat'], OpenStdin: true })
    await server.ask('POST', `/containers/${id}/start`)
    const socket = await server.raw(`${upgrade(`/containers/${id}/attach?stream=1&stdin=1&stdout=1`)}early`)
    socket.end(' and late')
    expect(bodyOf(await readAll(socket)).toString()).toMatch(/early.* and late/s)
  })

  it('is raw with a terminal, and says so', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['both'], Tty: true })
    const socket = await server.raw(upgrade(`/containers/${id}/attach?stream=1&stdout=1&stderr=1`))
    const head = await readUntil(socket, '\r\n\r\n')
    await server.ask('POST', `/containers/${id}/start`)
    expect(head.toString()).toContain('application/vnd.docker.raw-stream')
    expect((await readAll(socket)).toString()).toBe('out\nerr\n')
  })

  it('calls frames a raw stream before 1.42, as Docker did', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['both'] })
    const socket = await server.raw(upgrade(`/v1.41/containers/${id}/attach?stream=1&stdout=1`))
    expect((await readUntil(socket, '\r\n\r\n')).toString()).toContain('application/vnd.docker.raw-stream')
    await server.ask('POST', `/containers/${id}/start`)
    expect(await readAll(socket)).toEqual(frame(1, 'out\n'))
  })

  it('streams in a usual response without an upgrade, with the body as input', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['cat'], OpenStdin: true })
    await server.ask('POST', `/containers/${id}/start`)
    const answer = await server.ask('POST', `/containers/${id}/attach?stream=1&stdin=1&stdout=1`, { raw: 'typed' })
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/vnd.docker.multiplexed-stream'])
    expect(answer.text).toContain('typed')
  })

  it('answers an error instead of the upgrade', async () => {
    await using server = await serve()
    const answer = (await readAll(await server.raw(upgrade('/containers/none/attach?stream=1')))).toString()
    expect(answer).toMatch(/^HTTP\/1\.1 404 [^]*\{"message":"No such container: none"\}\n$/)
  })

  it('lets go of the process when the client is gone', async () => {
    const { attachment, detached, stdout } = heldAttachment()
    await using server = await serve(({ containers }) => (containers.attach = async () => attachment))
    const socket = await server.raw(upgrade('/containers/a/attach?stream=1&stdout=1'))
    await readUntil(socket, '\r\n\r\n')
    socket.destroy()
    // A client that may only have ended its input is found out by writing to it.
    const writing = setInterval(() => stdout.write('tick'), 1)
    await expect(detached).resolves.toBeUndefined()
    clearInterval(writing)
  })

  it('survives a client that resets its connection before the attachment is there', async () => {
    const attached = Promise.withResolvers<void>()
    const { attachment, detached } = heldAttachment()
    await using server = await serve(({ containers }) => {
      containers.attach = async () => {
        attached.resolve()
        await once(gone.signal, 'abort')
        return attachment
      }
    })
    const gone = new AbortController()
    const socket = await server.raw(upgrade('/containers/a/attach?stream=1&stdout=1'))
    await attached.promise
    // Input that nobody read makes closing a reset.
    socket.write('unread')
    await once(socket.destroy(), 'close')
    gone.abort()
    attachment.stdout?.push('output that finds nobody')
    const writing = setInterval(() => attachment.stdout?.push('more'), 1)
    await detached
    clearInterval(writing)
    expect((await server.ask('GET', '/_ping')).status).toBe(200)
  })

  it('holds the process back for a client that does not read', async () => {
    const { attachment, stdout, finish } = heldAttachment()
    await using server = await serve(({ containers }) => (containers.attach = async () => attachment))
    const socket = await server.raw(upgrade('/containers/a/attach?stream=1&stdout=1'))
    await readUntil(socket, '\r\n\r\n')
    const chunk = Buffer.alloc(64 << 10)
    let written = 0
    while (stdout.write(chunk)) {
      written += chunk.length
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(written).toBeLessThan(16 << 20) // it stopped by itself
    const rest = readAll(socket)
    await once(stdout, 'drain')
    finish()
    const size = (await rest).length
    expect(size).toBe(written + chunk.length + 8 * (written / chunk.length + 1))
  })

  it('ends the stream when a process fails under it', async () => {
    const { attachment } = heldAttachment()
    await using server = await serve(({ containers }) => (containers.attach = async () => ({ ...attachment, done: Promise.reject(new BerthError('internal', 'TEST', 'lost')) })))
    const answer = await readAll(await server.raw(upgrade('/containers/a/attach?stream=1&stdout=1')))
    expect(bodyOf(answer).length).toBe(0)
  })
})

describe('exec', () => {
  it('starts attached over an upgraded connection', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['sleep'] })
    await server.ask('POST', `/containers/${id}/start`)
    const { Id } = (await server.ask('POST', `/containers/${id}/exec`, { body: { Cmd: ['cat'], AttachStdin: true, AttachStdout: true } })).json
    const text = upgrade(`/exec/${String(Id)}/start`, '{"Detach":false}')
    const socket = await server.raw(text.slice(0, -4)) // the body comes in two pieces
    socket.write(text.slice(-4))
    await readUntil(socket, '101 UPGRADED')
    socket.end('typed')
    expect((await readAll(socket)).toString()).toContain('typed')
    expect((await server.ask('GET', `/exec/${String(Id)}/json`)).json).toMatchObject({ Running: false, ExitCode: 0 })
  })

  it('starts in the background', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['sleep'] })
    await server.ask('POST', `/containers/${id}/start`)
    const { Id } = (await server.ask('POST', `/containers/${id}/exec`, { body: { Cmd: ['true'] } })).json
    const answer = await server.ask('POST', `/exec/${String(Id)}/start`, { body: { Detach: true } })
    expect([answer.status, answer.text]).toEqual([200, ''])
  })

  it('names the wrong member in front of an upgraded stream', async () => {
    await using server = await serve()
    const answer = (await readAll(await server.raw(upgrade('/exec/abc/start', '{"Tty":"yes"}')))).toString()
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*Tty must be a boolean, not string/)
  })
})

describe('logs', () => {
  it('frames by stream, with times on request', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['both'] })
    await server.ask('POST', `/containers/${id}/start`)
    const { headers, text } = await server.ask('GET', `/containers/${id}/logs?stdout=1&stderr=1`)
    expect(headers['content-type']).toBe('application/vnd.docker.multiplexed-stream')
    expect(text).toBe(Buffer.concat([frame(1, 'out\n'), frame(2, 'err\n')]).toString())
    expect((await server.ask('GET', `/containers/${id}/logs?stdout=1&timestamps=1`)).text).toMatch(/^.{8}\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z out\n$/s)
    expect((await server.ask('GET', `/containers/${id}/logs`)).json.message).toBe('Bad parameters: you must choose at least one stream')
  })

  it('stops following when the client is gone', async () => {
    const stopped = Promise.withResolvers<void>()
    await using server = await serve(({ containers }) => {
      containers.logs = async (_, { signal }) => ({
        tty: false,
        entries: (async function* () {
          yield { stream: 'stdout' as const, time: 0n, line: Buffer.from('first\n') }
          await once(signal, 'abort')
          stopped.resolve()
        })(),
      })
    })
    const socket = await server.raw('GET /containers/a/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n')
    await readUntil(socket, 'first')
    socket.destroy()
    await expect(stopped.promise).resolves.toBeUndefined()
  })

  it('waits for a client that reads slowly', async () => {
    let made = 0
    await using server = await serve(({ containers }) => {
      containers.logs = async () => ({
        tty: false,
        entries: (async function* () {
          for (; made < 1000; made++) yield { stream: 'stdout' as const, time: 0n, line: Buffer.alloc(64 << 10) }
        })(),
      })
    })
    const socket = await server.raw('GET /containers/a/logs?stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n')
    await readUntil(socket, '\r\n\r\n')
    for (let before = -1; before !== made; ) {
      before = made
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(made).toBeLessThan(100)
    socket.destroy()
  })
})

describe('lines of JSON', () => {
  it('tells events as they come, with exact times', async () => {
    await using server = await serve(({ system }) => {
      system.events = async function* () {
        yield { type: 'container', action: 'start', id: 'abc', attributes: { image: 'busybox', name: 'web' }, timeNano: 1_700_000_000_123_456_789n }
      }
    })
    const { text } = await server.ask('GET', '/events')
    expect(text).toBe(
      '{"status":"start","id":"abc","from":"busybox","Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{"image":"busybox","name":"web"}},"scope":"local","time":1700000000,"timeNano":1700000000123456789}\n',
    )
  })

  it('asks for all events that were with since=0, and for no time that ends before it begins', async () => {
    const asked: unknown[] = []
    await using server = await serve(({ system }) => {
      system.events = ({ since, until }) => {
        asked.push(since, until)
        return (async function* () {})()
      }
    })
    await server.ask('GET', '/events?since=0&until=1700000000.5')
    expect(asked).toEqual([0n, 1_700_000_000_500_000_000n])
    const { status, json } = await server.ask('GET', '/events?since=5&until=4')
    expect([status, json.message]).toEqual([400, '`since` time (5) cannot be after `until` time (4)'])
  })

  it('opens the stream of events before anything happened', async () => {
    await using server = await serve()
    const socket = await server.raw('GET /events HTTP/1.1\r\nHost: d\r\n\r\n')
    expect((await readUntil(socket, '\r\n\r\n')).toString()).toMatch(/^HTTP\/1\.1 200 /)
    await create(server, { Cmd: ['true'] })
    expect((await readUntil(socket, '"Action":"create"')).toString()).toContain('"Type":"container"')
  })

  it('answers an error that comes before the first message of a pull with its status', async () => {
    await using server = await serve()
    const { status, json } = await server.ask('POST', '/images/create?fromImage=nowhere&tag=latest')
    expect([status, json.message]).toEqual([404, expect.stringMatching(/^pull access denied for nowhere/)])
  })

  it('tells a later error of a pull in a last line', async () => {
    await using server = await serve()
    const { status, text } = await server.ask('POST', '/images/create?fromImage=registry.test/broken&tag=1')
    expect(status).toBe(200)
    const message = 'the registry sent other content than its digest says'
    expect(text.trimEnd().split('\r\n').at(-1)).toBe(JSON.stringify({ errorDetail: { message }, error: message }))
  })

  it('stops a pull whose client is gone', async () => {
    const stopped = Promise.withResolvers<void>()
    await using server = await serve(({ images }) => {
      images.pull = async function* ({ signal }) {
        yield { status: 'Pulling' }
        await once(signal, 'abort')
        stopped.resolve()
      }
    })
    const socket = await server.raw('POST /images/create?fromImage=a HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n')
    await readUntil(socket, 'Pulling')
    socket.destroy()
    await expect(stopped.promise).resolves.toBeUndefined()
  })

  it('hands an imported archive on as it comes', async () => {
    await using server = await serve()
    await server.ask('POST', '/images/create?fromSrc=-&repo=mine&tag=1', { raw: Buffer.alloc(300_000, 'x'), headers: { 'Content-Type': 'application/x-tar' } })
    expect((await server.ask('GET', '/images/mine:1/json')).json['Size']).toBe(300_000)
  })

  it('tells a client that is still sending its archive why it is refused', async () => {
    await using server = await serve(({ images }) => {
      images.import = async function* ({ source }) {
        for await (const _ of source) yield* failing(new BerthError('invalid-argument', 'ARCHIVE', 'not a tar archive'))
      }
    })
    const { status, json } = await server.ask('POST', '/images/create?fromSrc=-', { raw: Buffer.alloc(20 << 20), headers: { 'Content-Type': 'application/x-tar' } })
    expect([status, json.message]).toEqual([400, 'not a tar archive'])
  })

  it.each(['unauthenticated', 'permission-denied'] as const)('answers a pull that is %s with 404, as 401 makes docker ask for a password', async (kind) => {
    await using server = await serve(({ images }) => {
      images.pull = () => failing(new BerthError(kind, 'TEST', 'no basic auth credentials'))
    })
    const { status, json } = await server.ask('POST', '/images/create?fromImage=r.test/app&tag=1')
    expect([status, json.message]).toEqual([404, "pull access denied for r.test/app, repository does not exist or may require 'docker login': no basic auth credentials"])
  })

  it('never repeats credentials in an error', async () => {
    await using server = await serve()
    const auths: unknown[] = []
    const pull = server.backend.images.pull.bind(server.backend.images)
    server.backend.images.pull = (options) => (auths.push(options.auth), pull(options))
    for (const header of ['{"password":"hunter2"', '{"password":["hunter2"]}', '["hunter2"]', '{"username":"me","password":"hunter2"}']) {
      const { status, text } = await server.ask('POST', '/images/create?fromImage=a', { headers: { 'X-Registry-Auth': Buffer.from(header).toString('base64url') } })
      expect(status).toBe(404)
      expect(text).not.toContain('hunter2')
    }
    expect(auths).toEqual([undefined, undefined, undefined, { username: 'me', password: 'hunter2' }])
  })
})

describe('wait', () => {
  it('sends the head of its answer at once, the rest at the end', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['exit', '3'] })
    const socket = await server.raw(`POST /containers/${id}/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
    await readUntil(socket, '\r\n\r\n')
    await server.ask('POST', `/containers/${id}/start`)
    expect((await readAll(socket)).toString()).toContain('{"StatusCode":3}')
  })

  it('stops waiting when the client is gone', async () => {
    const stopped = Promise.withResolvers<void>()
    await using server = await serve(({ containers }) => {
      containers.wait = async (_, { signal }) => ({ result: once(signal, 'abort').then(() => (stopped.resolve(), { StatusCode: 0 })) })
    })
    const socket = await server.raw('POST /containers/a/wait HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n')
    await readUntil(socket, '\r\n\r\n')
    socket.destroy()
    await expect(stopped.promise).resolves.toBeUndefined()
  })
})

describe('export', () => {
  it('cuts the connection when it fails midway, so that half an archive is not taken for a whole one', async () => {
    await using server = await serve(({ containers }) => {
      containers.export = async () => failing(new Error('disk'), Buffer.alloc(100_000))
    })
    await expect(server.ask('GET', '/containers/a/export')).rejects.toThrow(/aborted|hang up|reset/i)
  })
})
