import { BerthError, type ErrorKind } from '@berth/core'
import { describe, expect, it } from 'vitest'
import { connectEngine } from '../src/index.ts'
import { collect, serveBytes, serveEngine } from './serve.ts'

describe('connecting', () => {
  it.each([
    ['1.51', '1.51'],
    ['1.40', '1.40'],
    ['1.99', '1.51'],
    ['2.0', '1.24'],
    ['', '1.24'],
  ])('agrees with an engine of version "%s" on %s', async (theirs, agreed) => {
    await using server = await serveBytes(`HTTP/1.1 200 OK\r\nApi-Version: ${theirs}\r\nContent-Length: 2\r\n\r\nOK`)
    await using engine = await connectEngine({ host: server.host })
    expect(engine.apiVersion).toBe(agreed)
  })

  it('speaks a version that was asked for, without a greeting', async () => {
    await using server = await serveBytes('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[]\n')
    await using engine = await connectEngine({ host: server.host, apiVersion: '1.44' })
    await engine.networks.list({ filters: { name: ['a b'] } })
    expect(server.requests).toEqual([expect.stringMatching(/^GET \/v1\.44\/networks\?filters=%7B%22name%22%3A%5B%22a\+b%22%5D%7D HTTP\/1\.1\r\n/)])
  })

  it('says that nothing answers', async () => {
    await expect(connectEngine({ host: 'unix:///nowhere/berth.sock' })).rejects.toMatchObject({ kind: 'unavailable', message: 'Cannot connect to the engine at unix:///nowhere/berth.sock. Is the daemon running?' })
  })

  it('gives up on an engine that never answers when the signal says so', async () => {
    await using server = await serveBytes('', { end: false })
    await expect(connectEngine({ host: server.host, signal: AbortSignal.timeout(20) })).rejects.toMatchObject({ name: 'TimeoutError' })
  })

  it('ends what is under way when disposed', async () => {
    await using server = await serveBytes('', { end: false })
    const engine = await connectEngine({ host: server.host, apiVersion: '1.51' })
    const asked = engine.system.info()
    await engine[Symbol.asyncDispose]()
    await expect(asked).rejects.toMatchObject({ kind: 'unavailable' })
  })
})

describe('answers', () => {
  const kinds: ErrorKind[] = ['invalid-argument', 'unauthenticated', 'permission-denied', 'not-found', 'conflict', 'resource-exhausted', 'deadline-exceeded', 'unavailable', 'not-implemented', 'internal']
  it.each(kinds)('throws what the engine refuses as %s with its message', async (kind) => {
    await using test = await serveEngine(({ system }) => (system.info = () => Promise.reject(new BerthError(kind, 'TEST', 'what went wrong'))))
    await expect(test.engine.system.info()).rejects.toMatchObject({ kind, message: 'what went wrong' })
  })

  it('tells a change that was none by its kind', async () => {
    await using test = await serveEngine()
    const { Id } = await test.engine.containers.create({ Image: 'busybox', Cmd: ['sleep'] })
    await test.engine.containers.start(Id)
    await expect(test.engine.containers.start(Id)).rejects.toMatchObject({ kind: 'not-modified' })
    await test.engine.containers.remove(Id, { force: true })
    await expect(test.engine.containers.inspect(Id)).rejects.toMatchObject({ kind: 'not-found', message: `No such container: ${Id}` })
  })

  it('keeps what a name holds out of the path', async () => {
    await using test = await serveEngine()
    await expect(test.engine.containers.inspect('../info?x=#')).rejects.toMatchObject({ message: 'No such container: ../info?x=#' })
    await expect(test.engine.volumes.inspect('a/../b')).rejects.toMatchObject({ message: 'get a/../b: no such volume' })
    await expect(test.engine.images.inspect('registry.test/a b')).rejects.toMatchObject({ message: 'No such image: registry.test/a b:latest' })
  })

  it.each([
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', 'unavailable'],
    ['no JSON', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<htm>', 'data-loss'],
    ['half an answer', 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"ID":', 'data-loss'],
    ['an end', '', 'unavailable'],
    ['an error page', 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>', 'internal'],
    ['an error without a word', 'HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n', 'internal'],
    ['a redirect', 'HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n', 'internal'],
  ])('takes %s for what it is', async (_, answer, kind) => {
    await using server = await serveBytes(answer)
    await using engine = await connectEngine({ host: server.host, apiVersion: '1.51' })
    await expect(engine.system.info()).rejects.toMatchObject({ name: 'BerthError', kind })
  })
})

describe('areas', () => {
  it('manages volumes and networks', async () => {
    await using test = await serveEngine()
    const { engine } = test
    expect(await engine.volumes.create({ Name: 'data', Labels: { a: 'b' } })).toMatchObject({ Name: 'data', Labels: { a: 'b' } })
    expect((await engine.volumes.list()).Volumes).toHaveLength(1)
    await engine.volumes.remove('data')
    expect((await engine.volumes.prune()).VolumesDeleted).toEqual([])
    const { Id } = await engine.networks.create({ Name: 'web' })
    await engine.networks.connect(Id, { Container: 'c1', EndpointConfig: { IPAMConfig: { IPv4Address: '10.0.0.2' } } })
    expect((await engine.networks.inspect('web')).Containers).toEqual({ c1: { Name: 'c1', IPv4Address: '10.0.0.2' } })
    await engine.networks.disconnect('web', { Container: 'c1' })
    await engine.networks.remove('web')
    expect((await engine.networks.list()).map(({ Name }) => Name)).toEqual(['bridge'])
    await expect(engine.networks.create({ Name: 'bridge' })).rejects.toMatchObject({ kind: 'conflict' })
  })

  it('manages images', async () => {
    await using test = await serveEngine()
    const { images } = test.engine
    const messages = await collect(images.pull('registry.test/app', { tag: '1' }))
    expect(messages.at(-1)).toEqual({ status: 'Status: Downloaded newer image for registry.test/app:1' })
    await images.tag('registry.test/app:1', { repo: 'mine', tag: '2' })
    expect((await images.list()).flatMap(({ RepoTags }) => RepoTags)).toEqual(['busybox:latest', 'registry.test/app:1', 'mine:2'])
    expect(await collect(images.push('registry.test/app', { tag: '1' }))).toHaveLength(2)
    expect(await images.remove('mine:2')).toEqual([{ Untagged: 'mine:2' }])
    expect(await images.history('busybox')).toHaveLength(1)
  })

  it('throws what a pull tells of, first or later', async () => {
    await using test = await serveEngine()
    await expect(collect(test.engine.images.pull('nowhere'))).rejects.toMatchObject({ kind: 'not-found' })
    const seen: (string | undefined)[] = []
    const pulling = (async () => {
      for await (const { status } of test.engine.images.pull('registry.test/broken')) seen.push(status)
    })()
    await expect(pulling).rejects.toMatchObject({ code: 'PROGRESS_FAILED', message: 'the registry sent other content than its digest says' })
    expect(seen).toEqual(['Pulling from registry.test/broken', 'Downloading'])
  })

  it('sends credentials as a header', async () => {
    let got: unknown
    await using test = await serveEngine(({ images }) => {
      images.pull = async function* ({ auth }) {
        got = auth
        yield {}
      }
    })
    await collect(test.engine.images.pull('a', { auth: { username: 'me', password: 'pässword' } }))
    expect(got).toEqual({ username: 'me', password: 'pässword' })
  })

  it('imports an archive, and sends none that failed halfway for a whole one', async () => {
    await using test = await serveEngine()
    const { images } = test.engine
    const archive = async function* (failure?: Error): AsyncIterable<Uint8Array> {
      yield Buffer.alloc(100_000)
      if (failure) throw failure
      yield Buffer.alloc(100_000)
    }
    await collect(images.import(archive(), { repo: 'mine', tag: '1' }))
    expect((await images.inspect('mine:1')).Size).toBe(200_000)
    await expect(collect(images.import(archive(new Error('no disk')), { repo: 'half' }))).rejects.toThrow('no disk')
    const missing = Object.assign(new Error('ENOENT: archive.tar'), { code: 'ENOENT' })
    await expect(collect(images.import(archive(missing), { repo: 'half' }))).rejects.toBe(missing)
    await expect(images.inspect('half')).rejects.toMatchObject({ kind: 'not-found' })
  })

  it('follows events until the signal', async () => {
    await using test = await serveEngine()
    const ending = new AbortController()
    const seen: string[] = []
    const following = (async () => {
      for await (const { Action } of test.engine.system.events({ since: '1', signal: ending.signal })) {
        seen.push(Action ?? '')
        if (Action === 'die') ending.abort()
      }
    })()
    const { Id } = await test.engine.containers.create({ Image: 'busybox', Cmd: ['true'] })
    await test.engine.containers.start(Id)
    await expect(following).rejects.toMatchObject({ name: 'AbortError' })
    expect(seen).toEqual(['create', 'start', 'die'])
  })

  it('is served over TCP too', async () => {
    const { ApiServer } = await import('@berth/api-server')
    const { memoryBackend } = await import('@berth/api-server/memory')
    await using server = new ApiServer({ backend: memoryBackend() })
    const port = await server.listen({ host: '127.0.0.1', port: 0 })
    await using engine = await connectEngine({ host: `tcp://127.0.0.1:${port}` })
    expect(await engine.system.info()).toMatchObject({ ID: 'memory' })
  })
})
