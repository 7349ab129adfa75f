import { once } from 'node:events'
import { connect } from 'node:net'
import { PassThrough, Writable } from 'node:stream'
import { BerthError } from '@berth/core'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { ApiServer, type Attachment } from '../src/index.ts'
import { memoryBackend } from '../src/memory.ts'
import { frame, readAll, readUntil, serve, type TestServer } from './serve.ts'

async function create(server: TestServer, request: object): Promise<string> {
  const { json } = await server.ask('POST', '/containers/create', { body: { Image: 'busybox', ...request } })
  return String(json['Id'])
}

const bodyOf = (answer: Buffer): Buffer => answer.subarray(answer.indexOf('\r\n\r\n') + 4)

/** An attachment whose other ends a test holds. */
function heldAttachment(changes: Partial<Attachment> = {}): { attachment: Attachment; stdout: PassThrough; detached: Promise<void>; finish: () => void } {
  const stdout = new PassThrough()
  const detached = Promise.withResolvers<void>()
  const done = Promise.withResolvers<void>()
  const attachment: Attachment = { tty: false, stdin: undefined, stdout, stderr: undefined, done: done.promise, detach: () => detached.resolve(), ...changes }
  return { attachment, stdout, detached: detached.promise, finish: () => (stdout.end(), done.resolve()) }
}

describe('a client that asks for no upgrade', () => {
  it('has the connection to itself in both directions after the head that dockerd sends', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['cat'], OpenStdin: true })
    await server.ask('POST', `/containers/${id}/start`)
    const socket = await server.raw(`POST /v1.51/containers/${id}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n`)
    const head = await readUntil(socket, '\r\n\r\n')
    expect(head.toString()).toBe('HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n')
    socket.write('one')
    expect((await readUntil(socket, 'one')).subarray(-11)).toEqual(frame(1, 'one'))
    socket.end('two')
    expect(await readAll(socket)).toEqual(frame(1, 'two'))
  })

  it('has it for an exec too, behind the body of the request, and its input may come with it', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['sleep'] })
    await server.ask('POST', `/containers/${id}/start`)
    const { Id } = (await server.ask('POST', `/containers/${id}/exec`, { body: { Cmd: ['cat'], AttachStdin: true, AttachStdout: true } })).json
    const socket = await server.raw(`POST /v1.51/exec/${String(Id)}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"Detach":false}early`)
    const head = await readUntil(socket, 'early')
    expect(head.toString()).toMatch(/^HTTP\/1\.1 200 OK\r\nContent-Type: application\/vnd\.docker\.raw-stream\r\nApi-Version: 1\.51\r\n/)
    socket.end()
    expect((await readAll(socket)).length).toBe(0)
    expect((await server.ask('GET', `/exec/${String(Id)}/json`)).json).toMatchObject({ Running: false, ExitCode: 0 })
  })

  it('is answered as usual when it does not attach', async () => {
    await using server = await serve()
    const answer = (await readAll(await server.raw('POST /containers/none/attach?stream=1 HTTP/1.1\r\nHost: d\r\n\r\n'))).toString()
    expect(answer).toMatch(/^HTTP\/1\.1 404 [^]*\{"message":"No such container: none"\}\n$/)
  })
})

it('frames an exec as the one who starts it says', async () => {
  const { attachment, stdout, finish } = heldAttachment({ tty: true })
  await using server = await serve(({ execs }) => (execs.start = async () => attachment))
  const start = (body: string): string => `POST /v1.51/exec/a/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const socket = await server.raw(start('{}'))
  stdout.write('out')
  finish()
  const answer = await readAll(socket)
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 101 UPGRADED\r\nContent-Type: application\/vnd\.docker\.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nApi-Version: /)
  expect(bodyOf(answer)).toEqual(frame(1, 'out'))
})

it('tells a client that is cut off, as an error of the engine in its stream', async () => {
  const { attachment, stdout } = heldAttachment({ done: Promise.resolve() })
  await using server = await serve(({ containers }) => (containers.attach = async () => attachment))
  const socket = await server.raw('POST /v1.51/containers/a/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n')
  stdout.write('begun')
  const begun = await readUntil(socket, 'begun')
  stdout.destroy(new BerthError('resource-exhausted', 'CLIENT_TOO_SLOW', 'the client is too slow'))
  const rest = await readAll(socket)
  expect(bodyOf(Buffer.concat([begun, rest]))).toEqual(Buffer.concat([frame(1, 'begun'), Buffer.from([3, 0, 0, 0, 0, 0, 0, 22]), Buffer.from('the client is too slow')]))
})

describe('a client that is gone', () => {
  it('is noticed after it had ended its input, while nothing is written to it', async () => {
    const { attachment, detached } = heldAttachment()
    await using server = await serve(({ containers }) => (containers.attach = async () => attachment))
    const socket = await server.raw('POST /containers/a/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n')
    await readUntil(socket, '\r\n\r\n')
    socket.end()
    await once(socket, 'finish')
    socket.destroy()
    await expect(detached).resolves.toBeUndefined()
  })

  it('is noticed while its input waits for a process that does not read', async () => {
    const { attachment, detached } = heldAttachment({ stdin: new Writable({ write() {} }) })
    await using server = await serve(({ containers }) => (containers.attach = async () => attachment))
    const socket = await server.raw('POST /containers/a/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n')
    await readUntil(socket, '\r\n\r\n')
    while (socket.write(Buffer.alloc(64 << 10)));
    socket.destroy()
    await expect(detached).resolves.toBeUndefined()
  })
})

describe('attach over WebSocket', () => {
  const open = (server: TestServer, path: string): WebSocket => new WebSocket(`ws+unix://${server.path}:${path}`)
  const textOf = (data: unknown): string => Buffer.from(data as Buffer).toString()

  async function collect(socket: WebSocket): Promise<{ text: string; isBinary: boolean; code: number; reason: string }> {
    let [text, isBinary] = ['', false]
    socket.on('message', (data: Buffer, binary: boolean) => {
      text += textOf(data)
      isBinary = binary
    })
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
    return { text, isBinary, code, reason: reason.toString() }
  }

  it('carries both outputs unframed in binary messages, and closes normally', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['both'] })
    const socket = open(server, `/v1.51/containers/${id}/attach/ws?stream=1&stdout=1&stderr=1`)
    const collected = collect(socket)
    await once(socket, 'open')
    await server.ask('POST', `/containers/${id}/start`)
    expect(await collected).toEqual({ text: 'out\nerr\n', isBinary: true, code: 1000, reason: '' })
  })

  it('takes input in any fragments, answers pings, and sends text before 1.28', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['cat'], OpenStdin: true })
    await server.ask('POST', `/containers/${id}/start`)
    const socket = open(server, `/v1.27/containers/${id}/attach/ws?stream=1`)
    await once(socket, 'open')
    const first = once(socket, 'message') as Promise<[Buffer, boolean]>
    socket.send('in', { fin: false })
    socket.send(' pieces', { fin: true })
    const [data, isBinary] = await first
    expect([textOf(data), isBinary]).toEqual(['in pieces', false])
    socket.ping('still there')
    expect(textOf((await once(socket, 'pong'))[0])).toBe('still there')
    socket.close()
    expect((await collect(socket)).code).toBe(1005)
  })

  it('lets go of the process when the client leaves', async () => {
    const { attachment, detached } = heldAttachment()
    await using server = await serve(({ containers }) => (containers.attach = async () => attachment))
    const socket = open(server, '/containers/a/attach/ws?stream=1&stdout=1')
    await once(socket, 'open')
    socket.terminate()
    await expect(detached).resolves.toBeUndefined()
  })

  it('closes with the reason for a client that is cut off', async () => {
    const { attachment, stdout } = heldAttachment({ done: Promise.resolve() })
    await using server = await serve(({ containers }) => (containers.attach = async () => attachment))
    const socket = open(server, '/containers/a/attach/ws?stream=1&stdout=1')
    const collected = collect(socket)
    await once(socket, 'open')
    stdout.destroy(new Error('the client is too slow'))
    expect(await collected).toMatchObject({ text: '', code: 1011, reason: 'the client is too slow' })
  })

  it('refuses a message that is too long', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['cat'], OpenStdin: true })
    await server.ask('POST', `/containers/${id}/start`)
    const socket = open(server, `/containers/${id}/attach/ws?stream=1&stdin=1`)
    await once(socket, 'open')
    socket.send(Buffer.alloc((1 << 20) + 1))
    expect((await collect(socket)).code).toBe(1009)
  })

  it('refuses frames that are not masked, as no client sends them', async () => {
    await using server = await serve()
    const id = await create(server, { Cmd: ['cat'], OpenStdin: true })
    const socket = await server.raw(`GET /containers/${id}/attach/ws?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`)
    await readUntil(socket, '\r\n\r\n')
    socket.write(Buffer.from([0x82, 1, 0x78]))
    const answer = await readAll(socket)
    // A closing frame with the code of a protocol error.
    expect([answer[0], answer.readUInt16BE(2)]).toEqual([0x88, 1002])
  })

  it.each([
    ['no handshake', 'Connection: close\r\n', 400],
    ['an old version', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n', 400],
    ['an unknown container', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n', 404],
  ])('answers %s with its status', async (_, headers, status) => {
    await using server = await serve()
    const answer = (await readAll(await server.raw(`GET /containers/none/attach/ws?stream=1 HTTP/1.1\r\nHost: d\r\n${headers}Content-Length: 0\r\n\r\n`))).toString()
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })

  it('cross-site WebSocket hijacking, DNS rebinding: a page of another site may not attach', async () => {
    const server = new ApiServer({ backend: memoryBackend() })
    const port = (await server.listen({ host: '127.0.0.1', port: 0 })) ?? 0
    const handshake = async (host: string, origin: string): Promise<string> => {
      const socket = connect({ host: '127.0.0.1', port })
      socket.write(`GET /containers/none/attach/ws HTTP/1.1\r\nHost: ${host}\r\nOrigin: ${origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`)
      const [, status = ''] = (await readAll(socket)).toString().split(' ')
      return status
    }
    expect(await handshake(`127.0.0.1:${port}`, 'http://evil.test')).toBe('403')
    expect(await handshake(`127.0.0.1:${port}`, 'null')).toBe('403')
    expect(await handshake(`evil.test:${port}`, `http://evil.test:${port}`)).toBe('403')
    expect(await handshake(`127.0.0.1:${port}`, `http://127.0.0.1:${port}`)).toBe('404')
    await server[Symbol.asyncDispose]()
  })
})
