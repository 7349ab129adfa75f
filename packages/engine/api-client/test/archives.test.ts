import { BerthError } from '@berth/core'
import { describe, expect, it } from 'vitest'
import { connectEngine, isDirectory, isSymbolicLink } from '../src/index.ts'
import { collect, serveBytes, serveEngine } from './serve.ts'

async function* pieces(...texts: string[]): AsyncIterable<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

const text = async (bytes: AsyncIterable<Uint8Array>): Promise<string> => Buffer.concat(await collect(bytes)).toString()

describe('images as archives', () => {
  it('go from one engine to another', async () => {
    await using one = await serveEngine()
    await using other = await serveEngine()
    await one.engine.images.tag('busybox', { repo: 'registry.test:5000/team/app', tag: '1' })
    const messages = await collect(other.engine.images.load(one.engine.images.save(['registry.test:5000/team/app:1', 'busybox'])))
    expect(messages).toEqual([{ stream: 'Loaded image: registry.test:5000/team/app:1\n' }, { stream: 'Loaded image: busybox:latest\n' }])
    expect((await other.engine.images.inspect('registry.test:5000/team/app:1')).Size).toBe(1024)
  })

  it('tell what is not there, what is no archive, and what ends too early', async () => {
    await using test = await serveEngine()
    const { images } = test.engine
    await expect(collect(images.save(['none']))).rejects.toMatchObject({ kind: 'not-found', message: 'No such image: none:latest' })
    await expect(collect(images.load(pieces('nonsense')))).rejects.toMatchObject({ kind: 'invalid-argument' })
    test.backend.images.save = async () =>
      (async function* () {
        yield Buffer.alloc(100_000)
        throw new BerthError('data-loss', 'TEST', 'a blob is lost')
      })()
    await expect(collect(images.save(['busybox']))).rejects.toMatchObject({ kind: 'data-loss', code: 'STREAM_TRUNCATED' })
  })

  it('say the platforms in the form of the API', async () => {
    await using server = await serveBytes('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}')
    await using engine = await connectEngine({ host: server.host, apiVersion: '1.51' })
    await collect(engine.images.save(['a'], { platforms: ['linux/arm/v7', 'amd64'] }))
    await engine.images.history('a', { platform: 'linux/arm64/v8' })
    await engine.images.remove('a', { platforms: ['linux/s390x'] })
    const sent = server.requests.map((request) => new URL(request.split(' ')[1] ?? '', 'http://x').searchParams)
    expect(sent.map((query) => [...query.getAll('platform'), ...query.getAll('platforms')].map((platform) => JSON.parse(platform) as object))).toEqual([
      [
        { os: 'linux', architecture: 'arm', variant: 'v7' },
        { os: 'linux', architecture: 'amd64' },
      ],
      [{ os: 'linux', architecture: 'arm64' }],
      [{ os: 'linux', architecture: 's390x' }],
    ])
    await expect(engine.images.history('a', { platform: 'linux/arm/v7/x' })).rejects.toMatchObject({ kind: 'invalid-argument' })
  })
})

describe('files of containers', () => {
  it('are looked at, go in and come out', async () => {
    await using test = await serveEngine()
    const { containers } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['sleep'] })
    const stat = await containers.statPath(Id, '/tmp')
    expect([stat.name, isDirectory(stat), isSymbolicLink(stat)]).toEqual(['tmp', true, false])
    expect(isSymbolicLink({ ...stat, mode: 2 ** 27 + 0o777 })).toBe(true)
    await containers.writeArchive(Id, '/tmp', pieces('the ', 'archive'))
    const read = await containers.readArchive(Id, '/tmp')
    expect([read.stat, await text(read.archive)]).toEqual([stat, 'the archive'])
    expect(await containers.changes(Id)).toEqual([{ Path: '/tmp', Kind: 0 }])
    await expect(containers.statPath(Id, '/none')).rejects.toMatchObject({ kind: 'not-found' })
    await expect(containers.readArchive(Id, '/none')).rejects.toMatchObject({ kind: 'not-found', message: expect.stringMatching(/^Could not find the file/) })
    await expect(containers.writeArchive(Id, '/none', pieces('x'))).rejects.toMatchObject({ kind: 'not-found' })
  })

  it('do not arrive when their source fails', async () => {
    await using test = await serveEngine()
    const { containers } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['sleep'] })
    const source = async function* (): AsyncIterable<Uint8Array> {
      yield Buffer.from('half')
      throw new Error('the disk broke')
    }
    await expect(containers.writeArchive(Id, '/tmp', source())).rejects.toThrow('the disk broke')
    expect(await containers.changes(Id)).toEqual([])
  })

  it('are told about in a header that must be there', async () => {
    for (const header of ['', 'X-Docker-Container-Path-Stat: e30=\r\n', 'X-Docker-Container-Path-Stat: !\r\n']) {
      await using server = await serveBytes(`HTTP/1.1 200 OK\r\n${header}Content-Length: 0\r\n\r\n`)
        await using engine = await connectEngine({ host: server.host, apiVersion: '1.51' })
      await expect(engine.containers.statPath('a', '/')).rejects.toMatchObject({ kind: 'data-loss' })
    }
  })

  it('are committed', async () => {
    await using test = await serveEngine()
    const { containers, images } = test.engine
    const { Id } = await containers.create({ Image: 'busybox', Cmd: ['sleep'] })
    const made = await containers.commit(Id, { repo: 'mine', tag: '2', changes: ['CMD ls'], pause: false })
    expect((await images.inspect('mine:2')).Id).toBe(made.Id)
    await expect(containers.commit('none')).rejects.toMatchObject({ kind: 'not-found' })
  })
})

describe('registries', () => {
  it('are searched and asked, with credentials', async () => {
    await using test = await serveEngine()
    const { images, system } = test.engine
    expect(await images.search('busy', { limit: 3, filters: { stars: ['1'] } })).toMatchObject([{ name: 'busybox' }])
    expect(await images.distribution('busybox', { auth: { username: 'me', password: 'secret' } })).toMatchObject({ Platforms: [{ architecture: 'amd64' }] })
    expect(await system.auth({ username: 'token', password: 'secret' })).toMatchObject({ IdentityToken: 'identity' })
    expect(Object.keys(await system.diskUsage({ types: ['image'] }))).toEqual(['LayersSize', 'Images'])
  })
})
