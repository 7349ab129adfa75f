import { chmodSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import { Readable, Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { connectEngine, type OutputChunk } from '../src/index.ts'
import { collect, serveBytes, serveEngine } from './serve.ts'

async function text(output: AsyncIterable<OutputChunk>): Promise<{ stdout: string; stderr: string }> {
  const parts = { stdout: '', stderr: '' }
  for await (const { stream, data } of output) parts[stream] += Buffer.from(data).toString()
  return parts
}

describe('attach', () => {
  it('gives both outputs of a process that starts later', async () => {
    await using test = await serveEngine()
    const { containers } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['both'] })
    await using connection = await containers.attach(Id)
    await containers.start(Id)
    expect(connection.tty).toBe(false)
    expect(await text(connection.output)).toEqual({ stdout: 'out\n', stderr: 'err\n' })
  })

  it('is one stream with a terminal', async () => {
    await using test = await serveEngine()
    const { containers } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['both'], Tty: true })
    await using connection = await containers.attach(Id)
    await containers.start(Id)
    expect(connection.tty).toBe(true)
    expect(await text(connection.output)).toEqual({ stdout: 'out\nerr\n', stderr: '' })
  })

  it('passes 20 MB through a process byte for byte, its output going on after its input ended', async () => {
    await using test = await serveEngine()
    const { containers } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['cat'], OpenStdin: true })
    await using connection = await containers.attach(Id, { stdin: true })
    await containers.start(Id)
    const piece = Buffer.from(Array.from({ length: 1 << 16 }, (_, index) => index % 251))
    const sending = pipeline(Readable.from(Array.from({ length: 320 }, () => piece)), connection.stdin)
    let size = 0
    for await (const { data } of connection.output) {
      // The pieces repeat, so where a byte stands says what it must be.
      for (const at of [0, data.length - 1]) expect(data[at]).toBe(piece[(size + at) % piece.length])
      size += data.length
    }
    await sending
    expect(size).toBe(320 * piece.length)
  })

  it('throws instead of attaching to what is not there', async () => {
    await using test = await serveEngine()
    await expect(test.engine.containers.attach('none')).rejects.toMatchObject({ kind: 'not-found', message: 'No such container: none' })
  })

  it('ends with the signal', async () => {
    await using test = await serveEngine()
    const { containers } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['sleep'] })
    await containers.start(Id)
    const ending = new AbortController()
    await using connection = await containers.attach(Id, { signal: ending.signal })
    const reading = text(connection.output)
    ending.abort()
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' })
  })

  it.each([
    ['a stream in another form', 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello, I am no frame', 'STREAM_CORRUPT'],
    ['a stream that breaks off', 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n\x01\0\0\0\0\0\0\x09half', 'STREAM_TRUNCATED'],
  ])('takes %s for what it is', async (_, answer, code) => {
    await using server = await serveBytes(answer)
    await using engine = await connectEngine({ host: server.host, apiVersion: '1.51' })
    await using connection = await engine.containers.attach('a')
    await expect(text(connection.output)).rejects.toMatchObject({ kind: 'data-loss', code })
  })

  it('does not take a usual answer for a stream', async () => {
    await using server = await serveBytes('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK')
    await using engine = await connectEngine({ host: server.host, apiVersion: '1.51' })
    await expect(engine.containers.attach('a')).rejects.toMatchObject({ code: 'UPGRADE_REFUSED' })
  })
})

describe('exec', () => {
  it('runs a command with its streams in hand', async () => {
    await using test = await serveEngine()
    const { containers, execs } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['sleep'] })
    await containers.start(Id)
    const exec = await execs.create(Id, { Cmd: ['cat'], AttachStdin: true, AttachStdout: true })
    await using connection = await execs.start(exec.Id)
    connection.stdin.end('typed')
    expect(await text(connection.output)).toEqual({ stdout: 'typed', stderr: '' })
    expect(await execs.inspect(exec.Id)).toMatchObject({ Running: false, ExitCode: 0 })
  })

  it('tells the size of the terminal', async () => {
    await using test = await serveEngine()
    const { containers, execs } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['sleep'] })
    await containers.start(Id)
    const exec = await execs.create(Id, { Cmd: ['size'], AttachStdin: true, AttachStdout: true, Tty: true })
    await using connection = await execs.start(exec.Id, { tty: true, size: { width: 100, height: 30 } })
    await execs.resize(exec.Id, { width: 80, height: 24 })
    connection.stdin.write('x')
    expect(await text(connection.output)).toEqual({ stdout: '24 80\n', stderr: '' })
  })
})

describe('logs, stats, wait, export', () => {
  it('gives logs by stream and follows them to the end', async () => {
    await using test = await serveEngine()
    const { containers } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['cat'], OpenStdin: true })
    await containers.start(Id)
    const following = text(containers.logs(Id, { follow: true }))
    await using connection = await containers.attach(Id, { stdin: true })
    connection.stdin.end('line\n')
    expect(await following).toEqual({ stdout: 'line\n', stderr: '' })
    expect(await text(containers.logs(Id, { tail: 0 }))).toEqual({ stdout: '', stderr: '' })
    await expect(collect(containers.logs('none'))).rejects.toMatchObject({ kind: 'not-found' })
  })

  it('knows that the engine watches before the container starts', async () => {
    await using test = await serveEngine()
    const { containers } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['exit', '3'] })
    const { result } = await containers.wait(Id, { condition: 'next-exit' })
    await containers.start(Id)
    expect(await result).toEqual({ StatusCode: 3 })
  })

  it('stops waiting with the signal', async () => {
    await using test = await serveEngine()
    const { containers } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['sleep'] })
    const ending = new AbortController()
    const { result } = await containers.wait(Id, { condition: 'next-exit', signal: ending.signal })
    ending.abort()
    await expect(result).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('samples once, or until left', async () => {
    await using test = await serveEngine()
    const { containers } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['sleep'] })
    expect(await collect(containers.stats(Id, { stream: false }))).toHaveLength(1)
    let samples = 0
    for await (const _ of containers.stats(Id)) if (++samples === 3) break
    expect(samples).toBe(3)
  })

  it('exports, and throws when it breaks off', async () => {
    await using test = await serveEngine()
    const { containers } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['true'] }, { name: 'web' })
    expect(Buffer.concat(await collect(containers.export(Id))).toString()).toBe('tar of web')
    await using server = await serveBytes('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
    await using engine = await connectEngine({ host: server.host, apiVersion: '1.51' })
    await expect(collect(engine.containers.export('a'))).rejects.toMatchObject({ kind: 'data-loss', code: 'STREAM_TRUNCATED' })
  })

  it('leaves no connection of a stream that is not read to its end', async () => {
    await using server = await serveBytes('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n', { end: false })
    await using engine = await connectEngine({ host: server.host, apiVersion: '1.51' })
    for await (const message of engine.system.events()) {
      expect(message).toEqual({})
      break
    }
  })
})

describe('ssh', () => {
  it('reaches an engine through the ssh program, streams included', async () => {
    await using test = await serveEngine()
    // Stands for ssh: checks how it is called and carries the engine's socket on its streams.
    const program = `#!${process.execPath}
const args = process.argv.slice(2).join(' ')
if (args !== '-o ConnectTimeout=30 -T -l me -p 2222 -- far docker system dial-stdio') { console.error('wrong: ' + args); process.exit(255) }
const socket = require('net').connect({ path: ${JSON.stringify(`${test.directory}/berth.sock`)}, allowHalfOpen: true })
process.stdin.pipe(socket).pipe(process.stdout)
`
    writeFileSync(`${test.directory}/ssh`, program)
    chmodSync(`${test.directory}/ssh`, 0o755)
    const path = process.env['PATH']
    process.env['PATH'] = `${test.directory}:${path}`
    try {
      await using engine = await connectEngine({ host: 'ssh://me@far:2222' })
      const { Id } = await engine.containers.create({ Image: 'busybox', Cmd: ['cat'], OpenStdin: true })
      await using connection = await engine.containers.attach(Id, { stdin: true })
      await engine.containers.start(Id)
      connection.stdin.end('over ssh')
      expect(await text(connection.output)).toEqual({ stdout: 'over ssh', stderr: '' })
      await expect(connectEngine({ host: 'ssh://other@far' })).rejects.toMatchObject({ kind: 'unavailable', message: expect.stringMatching(/^ssh to far ended with code 255: wrong: /) })
    } finally {
      process.env['PATH'] = path
    }
  })
})

describe('backpressure', () => {
  it('holds back a sender while the process does not read', async () => {
    await using test = await serveEngine(({ containers }) => {
      const attach = containers.attach.bind(containers)
      containers.attach = async (ref, options) => {
        const attachment = await attach(ref, options)
        return { ...attachment, stdin: attachment.stdin && new Writable({ write() {} }) }
      }
    })
    const { containers } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['sleep'], OpenStdin: true })
    await containers.start(Id)
    await using connection = await containers.attach(Id, { stdin: true })
    let sent = 0
    const chunk = Buffer.alloc(64 << 10)
    const drained = async (): Promise<boolean> => {
      const idle = new AbortController()
      const turns = (async () => {
        for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve))
        idle.abort()
      })()
      return Promise.race([once(connection.stdin, 'drain', { signal: idle.signal }).then(() => true, () => false), turns.then(() => false)])
    }
    do sent += chunk.length
    while ((connection.stdin.write(chunk) || (await drained())) && sent < 64 << 20)
    expect(sent).toBeLessThan(16 << 20)
  })
})
