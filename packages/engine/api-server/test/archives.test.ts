import { gunzipSync } from 'node:zlib'
import { BerthError } from '@berth/core'
import { describe, expect, it } from 'vitest'
import { failing, readAll, readUntil, serve } from './serve.ts'

const json = (value: unknown): string => encodeURIComponent(JSON.stringify(value))

async function* letters(size: number): AsyncIterable<Uint8Array> {
  for (let sent = 0; sent < size; sent += 1000) yield Buffer.alloc(1000, 'a')
}

/** What was passed as the last argument of a call. */
function kept<T>(): { value: T | undefined; keep(value: T): void } {
  return {
    value: undefined,
    keep(value) {
      this.value = value
    },
  }
}

describe('images as archives', () => {
  it('are saved, by names in the query or one in the path with slashes in it', async () => {
    await using server = await serve()
    await server.ask('POST', '/images/busybox/tag?repo=registry.test:5000/team/app&tag=1')
    for (const path of ['/v1.51/images/registry.test:5000/team/app:1/get', '/images/get?names=registry.test%3A5000%2Fteam%2Fapp%3A1']) {
      const answer = await server.ask('GET', path)
      expect([answer.status, answer.headers['content-type'], JSON.parse(answer.text)]).toEqual([200, 'application/x-tar', [{ name: 'registry.test:5000/team/app:1', size: 1024 }]])
    }
    expect(JSON.parse((await server.ask('GET', '/images/get?names=busybox&names=registry.test:5000/team/app:1')).text)).toHaveLength(2)
  })

  it('are not saved when one of them is not there, or none is named', async () => {
    await using server = await serve()
    expect(await server.ask('GET', '/images/get?names=busybox&names=none')).toMatchObject({ status: 404, json: { message: 'No such image: none:latest' } })
    expect(await server.ask('GET', '/images/get')).toMatchObject({ status: 400 })
  })

  it('are saved of the platforms that are asked for, as JSON or as text', async () => {
    const asked = kept<string[] | undefined>()
    await using server = await serve(({ images }) => {
      images.save = async (_, { platforms }) => (asked.keep(platforms), letters(1000))
    })
    await server.ask('GET', `/images/get?names=busybox&platform=${json({ os: 'linux', architecture: 'arm', variant: 'v7' })}&platform=linux/amd64`)
    expect(asked.value).toEqual(['linux/arm/v7', 'linux/amd64'])
    await server.ask('GET', '/images/busybox/get')
    expect(asked.value).toBeUndefined()
    for (const platform of ['{', json({ os: 'linux' }), json({ os: 'linux', architecture: 5 })]) {
      expect(await server.ask('GET', `/images/busybox/get?platform=${platform}`)).toMatchObject({ status: 400, json: { message: expect.stringMatching(/^failed to parse platform/) } })
    }
  })

  it('arrive whole, and break the connection when they cannot', async () => {
    await using server = await serve(({ images }) => {
      images.save = async ([ref]) => (ref === 'whole' ? letters(300_000) : failing(new BerthError('data-loss', 'TEST', 'a blob is lost'), Buffer.alloc(100_000, 'a')))
    })
    expect((await server.ask('GET', '/images/whole/get')).text).toHaveLength(300_000)
    const socket = await server.raw('GET /images/broken/get HTTP/1.1\r\nHost: x\r\n\r\n')
    const data = await readAll(socket)
    expect(data.length).toBeGreaterThan(100_000)
    expect(data.toString()).not.toMatch(/\r\n0\r\n\r\n$/)
    await expect(server.ask('GET', '/images/broken/get')).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  it('answer with a status what fails before the first byte', async () => {
    await using server = await serve(({ images }) => {
      images.save = async () => failing(new BerthError('data-loss', 'TEST', 'a blob is lost'))
    })
    expect(await server.ask('GET', '/images/any/get')).toMatchObject({ status: 500, json: { message: 'a blob is lost' } })
  })

  it('end their source when the client goes', async () => {
    const ended = Promise.withResolvers<void>()
    await using server = await serve(({ images }) => {
      images.save = async () =>
        (async function* () {
          try {
            for (;;) yield Buffer.alloc(100_000)
          } finally {
            ended.resolve()
          }
        })()
    })
    const socket = await server.raw('GET /images/any/get HTTP/1.1\r\nHost: x\r\n\r\n')
    await readUntil(socket, '200 OK')
    socket.destroy()
    await expect(ended.promise).resolves.toBeUndefined()
  })

  it('are loaded, quietly unless asked otherwise', async () => {
    const asked = kept<boolean>()
    await using server = await serve(({ images }) => {
      const load = images.load.bind(images)
      images.load = (source, options) => (asked.keep(options.quiet), load(source, options))
    })
    const answer = await server.ask('POST', '/images/load', { raw: '[{"name":"loaded:1","size":5}]', headers: { 'Content-Type': 'application/x-tar' } })
    expect([answer.status, answer.json]).toEqual([200, { stream: 'Loaded image: loaded:1\n' }])
    expect(asked.value).toBe(true)
    expect((await server.ask('GET', '/images/loaded:1/json')).json).toMatchObject({ Size: 5 })
    await server.ask('POST', '/images/load?quiet=0', { raw: '[]' })
    expect(asked.value).toBe(false)
    expect(await server.ask('POST', '/images/load', { raw: 'nonsense' })).toMatchObject({ status: 400 })
  })
})

describe('bodies that stream', () => {
  it('begin after 100 Continue for clients that wait for it', async () => {
    await using server = await serve()
    const socket = await server.raw('POST /images/load HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n')
    await readUntil(socket, 'HTTP/1.1 100 Continue\r\n\r\n')
    socket.write('[]')
    expect((await readAll(socket)).toString()).toMatch(/^HTTP\/1\.1 200 OK/)
  })

  it('are read no faster than the engine takes them', async () => {
    const [taken, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let size = 0
    await using server = await serve(({ images }) => {
      images.load = async function* (source) {
        for await (const chunk of source) {
          size += chunk.length
          taken.resolve()
          await go.promise
        }
        yield { stream: `${size}` }
      }
    })
    const total = 32 << 20
    const socket = await server.raw(`POST /images/load HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${total}\r\n\r\n`)
    const sent = new Promise((resolve) => socket.write(Buffer.alloc(total), resolve))
    await taken.promise
    // A request on another connection is answered after whatever of this one could move meanwhile.
    for (let asked = 0; asked < 20; asked++) await server.ask('GET', '/_ping')
    expect(size).toBeLessThan(1 << 20)
    expect(socket.writableLength).toBeGreaterThan(0)
    go.resolve()
    await sent
    expect((await readAll(socket)).toString()).toContain(`{"stream":"${total}"}`)
  })

  it('end with an error when the client goes before their end', async () => {
    const begun = Promise.withResolvers<void>()
    const failed = Promise.withResolvers<{ error: unknown; aborted: boolean }>()
    await using server = await serve(({ containers }) => {
      containers.writeArchive = async (_ref, _path, source, { signal }) => {
        try {
          for await (const _ of source) begun.resolve()
          failed.resolve({ error: undefined, aborted: signal.aborted })
        } catch (error) {
          failed.resolve({ error, aborted: signal.aborted })
        }
      }
    })
    const socket = await server.raw('PUT /containers/any/archive?path=/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf of it')
    await begun.promise
    socket.destroy()
    const { error } = await failed.promise
    expect(error).toBeInstanceOf(Error)
  })

  it('may be refused before their end', async () => {
    await using server = await serve()
    const socket = await server.raw(`PUT /containers/none/archive?path=/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n${'a'.repeat(1000)}`)
    const head = await readUntil(socket, 'No such container: none')
    expect(head.toString()).toMatch(/^HTTP\/1\.1 404 /)
    socket.destroy()
  })
})

describe('files of containers', () => {
  const created = async (server: Awaited<ReturnType<typeof serve>>): Promise<string> => {
    await server.ask('POST', '/containers/create?name=web', { body: { Image: 'busybox', Cmd: ['sleep'] } })
    return '/containers/web/archive'
  }

  it('are told about in a header', async () => {
    await using server = await serve()
    const path = await created(server)
    const stat = { name: 'tmp', size: 4096, mode: 0x8000_0000 + 0o755, mtime: '2024-01-02T03:04:05Z', linkTarget: '' }
    for (const method of ['HEAD', 'GET']) {
      const { status, headers } = await server.ask(method, `${path}?path=/tmp`)
      expect([status, JSON.parse(Buffer.from(String(headers['x-docker-container-path-stat']), 'base64').toString())]).toEqual([200, stat])
    }
    expect((await server.ask('HEAD', `${path}?path=/none`)).status).toBe(404)
    expect(await server.ask('GET', `${path}?path=/none`)).toMatchObject({ status: 404, json: { message: expect.stringMatching(/^Could not find the file \/none in container [0-9a-f]{64}$/) } })
    for (const method of ['HEAD', 'GET', 'PUT']) expect((await server.ask(method, path)).status).toBe(400)
  })

  it('go in and come out, compressed for those who ask for it', async () => {
    const asked = kept<object>()
    await using server = await serve(({ containers }) => {
      const write = containers.writeArchive.bind(containers)
      containers.writeArchive = (ref, at, source, options) => (asked.keep({ noOverwriteDirNonDir: options.noOverwriteDirNonDir, copyUidGid: options.copyUidGid }), write(ref, at, source, options))
    })
    const path = await created(server)
    expect(await server.ask('PUT', `${path}?path=/tmp&noOverwriteDirNonDir=true&copyUIDGID=1`, { raw: 'the archive', headers: { 'Content-Type': 'application/x-tar' } })).toMatchObject({ status: 200, text: '' })
    expect(asked.value).toEqual({ noOverwriteDirNonDir: true, copyUidGid: true })
    expect(await server.ask('GET', `${path}?path=/tmp/`)).toMatchObject({ text: 'the archive', headers: { 'content-type': 'application/x-tar' } })
    expect((await server.ask('GET', '/containers/web/changes')).json).toEqual([{ Path: '/tmp', Kind: 0 }])
    for (const accepted of ['identity', 'gzip;q=0', 'br', '*']) expect((await server.ask('GET', `${path}?path=/tmp`, { headers: { 'Accept-Encoding': accepted } })).headers['content-encoding']).toBeUndefined()
    const socket = await server.raw('GET /containers/web/archive?path=/tmp HTTP/1.0\r\nHost: x\r\nAccept-Encoding: deflate, gzip;q=0.5\r\n\r\n')
    const [head = '', ...rest] = (await readAll(socket)).toString('latin1').split('\r\n\r\n')
    expect(head).toContain('Content-Encoding: gzip')
    expect(gunzipSync(Buffer.from(rest.join('\r\n\r\n'), 'latin1')).toString()).toBe('the archive')
  })

  it.each([undefined, 'gzip'])('break the connection when they cannot come out whole (%s)', async (encoding) => {
    await using server = await serve(({ containers }) => {
      containers.readArchive = async () => ({ stat: await containers.statPath('web', '/tmp'), archive: failing(new BerthError('internal', 'TEST', 'a file is gone'), Buffer.alloc(1_000_000)) })
    })
    const path = await created(server)
    await expect(server.ask('GET', `${path}?path=/tmp`, { headers: encoding ? { 'Accept-Encoding': encoding } : {} }).then(({ status }) => Promise.reject(new Error(String(status))))).rejects.toThrow(encoding ? /500|hang up|aborted|ECONNRESET/ : /aborted|ECONNRESET/)
  })

  it('are committed, paused unless told otherwise', async () => {
    const asked = kept<object>()
    await using server = await serve(({ containers }) => {
      const commit = containers.commit.bind(containers)
      containers.commit = (ref, { signal, ...options }) => (asked.keep({ ref, ...options }), commit(ref, { signal, ...options }))
    })
    await created(server)
    const answer = await server.ask('POST', '/commit?container=web&repo=mine&tag=2&comment=why&author=me&changes=ENV%20A=b&changes=CMD%20ls', { body: { Env: ['C=d'] } })
    expect(answer).toMatchObject({ status: 201, json: { Id: expect.stringMatching(/^sha256:/) } })
    expect(asked.value).toEqual({ ref: 'web', repo: 'mine', tag: '2', comment: 'why', author: 'me', pause: true, changes: ['ENV A=b', 'CMD ls'], config: { Env: ['C=d'] } })
    expect((await server.ask('GET', '/images/mine:2/json')).status).toBe(200)
    await server.ask('POST', '/commit?container=web&pause=0')
    expect(asked.value).toMatchObject({ pause: false, repo: undefined, changes: [], config: {} })
    expect((await server.ask('POST', '/commit?container=none')).status).toBe(404)
    expect((await server.ask('POST', '/commit?container=web', { body: { Env: 'C=d' } })).status).toBe(400)
  })
})

describe('registries', () => {
  it('are searched', async () => {
    const asked = kept<object>()
    await using server = await serve(({ images }) => {
      const search = images.search.bind(images)
      images.search = (term, { signal, ...options }) => (asked.keep(options), search(term, { signal, ...options }))
    })
    const { json: found } = await server.ask('GET', `/images/search?term=busy&limit=5&filters=${json({ stars: ['2'] })}`, { headers: { 'X-Registry-Auth': Buffer.from('{"username":"me"}').toString('base64url') } })
    expect(found).toEqual([{ name: 'busybox', description: 'all about busybox', star_count: 3, is_official: true, is_automated: false }])
    expect(asked.value).toEqual({ limit: 5, filters: new Map([['stars', ['2']]]), auth: { username: 'me' } })
    expect((await server.ask('GET', '/images/search')).status).toBe(400)
    expect((await server.ask('GET', '/images/search?term=a&limit=many')).status).toBe(400)
  })

  it('are asked what a name is there', async () => {
    await using server = await serve()
    await server.ask('POST', '/images/busybox/tag?repo=registry.test:5000/team/app&tag=1')
    expect((await server.ask('GET', '/distribution/registry.test:5000/team/app:1/json')).json).toMatchObject({ Descriptor: { digest: expect.stringMatching(/^sha256:/) }, Platforms: [{ os: 'linux', architecture: 'amd64' }] })
    expect((await server.ask('GET', '/distribution/none/json')).status).toBe(404)
  })

  it('check credentials, and may give an identity token for them', async () => {
    await using server = await serve()
    expect((await server.ask('POST', '/auth', { body: { username: 'token', password: 'secret', serveraddress: 'registry.test' } })).json).toEqual({ Status: 'Login Succeeded', IdentityToken: 'identity' })
    expect((await server.ask('POST', '/auth', { body: { username: 'me', password: 'wrong' } })).status).toBe(401)
  })
})

describe('platforms', () => {
  it('choose what is shown, pulled, pushed and removed', async () => {
    const seen: Record<string, unknown> & { push?: string; pull?: string } = {}
    await using server = await serve(({ images }) => {
      images.inspect = async (_, options) => ((seen['inspect'] = options), { Id: 'x' })
      images.history = async (_, options) => ((seen['history'] = options), [])
      images.remove = async (_, options) => ((seen['remove'] = options), [])
      images.list = async ({ manifests }) => ((seen['list'] = manifests), [])
      images.push = async function* ({ platform }) {
        yield { status: (seen.push = platform) }
      }
      images.pull = async function* ({ platform }) {
        yield { status: (seen.pull = platform) }
      }
    })
    const platform = json({ os: 'linux', architecture: 'arm64' })
    await server.ask('GET', `/images/a/b/json?platform=${platform}`)
    await server.ask('GET', `/images/a/b/history?platform=${platform}`)
    await server.ask('DELETE', `/images/a/b?platforms=${platform}&platforms=${json({ os: 'linux', architecture: 'amd64' })}`)
    await server.ask('POST', `/images/a/b/push?platform=${platform}`)
    await server.ask('POST', '/images/create?fromImage=a&platform=linux/arm64')
    await server.ask('GET', '/images/json?manifests=1')
    expect(seen).toEqual({
      inspect: { platform: 'linux/arm64', manifests: false },
      history: { platform: 'linux/arm64' },
      remove: { force: false, noPrune: false, platforms: ['linux/arm64', 'linux/amd64'] },
      push: 'linux/arm64',
      pull: 'linux/arm64',
      list: true,
    })
    expect(await server.ask('GET', `/images/a/json?manifests=1&platform=${platform}`)).toMatchObject({ status: 400, json: { message: 'conflicting options: manifests and platform options cannot both be set' } })
  })
})

describe('the use of the disk', () => {
  it('is told of the kinds asked for', async () => {
    await using server = await serve()
    expect(Object.keys((await server.ask('GET', '/system/df')).json)).toEqual(['LayersSize', 'Images', 'Containers', 'Volumes', 'BuildCache'])
    expect(Object.keys((await server.ask('GET', '/system/df?type=image&type=volume')).json)).toEqual(['LayersSize', 'Images', 'Volumes'])
    expect(await server.ask('GET', '/system/df?type=plugin')).toMatchObject({ status: 400, json: { message: 'unknown object type: plugin' } })
  })
})
