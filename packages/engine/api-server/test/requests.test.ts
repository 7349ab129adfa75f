import { BerthError, type ErrorKind } from '@berth/core'
import { describe, expect, it } from 'vitest'
import { failing, readAll, readUntil, serve } from './serve.ts'

describe('versions and ping', () => {
  it.each(['GET', 'HEAD'])('answers %s /_ping with the headers that clients negotiate by', async (method) => {
    await using server = await serve()
    const { status, headers, text } = await server.ask(method, '/_ping')
    expect(status).toBe(200)
    expect(text).toBe(method === 'GET' ? 'OK' : '')
    expect(headers).toMatchObject({ 'api-version': '1.51', 'docker-experimental': 'false', ostype: 'linux', server: 'Berth/9.9.9 (linux)', 'builder-version': '1', swarm: 'inactive', 'cache-control': 'no-cache, no-store, must-revalidate' })
  })

  it.each(['', '/v1.22', '/v1.24', '/v1.40', '/v1.51'])('serves the API under "%s"', async (prefix) => {
    await using server = await serve()
    expect((await server.ask('GET', `${prefix}/info`)).json).toMatchObject({ ID: 'memory' })
  })

  it.each([
    ['1.52', 'client version 1.52 is too new. Maximum supported API version is 1.51'],
    ['2.0', 'client version 2.0 is too new. Maximum supported API version is 1.51'],
    ['1.21', 'client version 1.21 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version'],
  ])('refuses version %s', async (version, message) => {
    await using server = await serve()
    const answer = await server.ask('GET', `/v${version}/info`)
    expect([answer.status, answer.json.message]).toEqual([400, message])
  })
})

describe('routing', () => {
  it('answers 404 for a path that the API does not have', async () => {
    await using server = await serve()
    const { status, json, headers } = await server.ask('GET', '/v1.51/nothing')
    expect([status, json.message, headers['content-type']]).toEqual([404, 'page not found', 'application/json'])
  })

  it('answers 405 for a method that the path does not have', async () => {
    await using server = await serve()
    expect((await server.ask('PUT', '/containers/json')).status).toBe(405)
  })

  it('takes slashes in names of images', async () => {
    await using server = await serve()
    await server.ask('POST', '/images/busybox/tag?repo=registry.test:5000/team/app&tag=1')
    expect((await server.ask('GET', '/images/registry.test:5000/team/app:1/json')).json['RepoTags']).toEqual(['registry.test:5000/team/app:1'])
  })

  it.each([
    ['POST', '/build', 501],
    ['GET', '/configs', 503],
    ['GET', '/services', 503],
    ['POST', '/swarm/join', 503],
  ])('says of %s %s that it is not there: %i', async (method, path, status) => {
    await using server = await serve()
    const answer = await server.ask(method, path)
    expect(answer.status).toBe(status)
    expect(answer.json.message).toMatch(status === 503 ? /^This node is not a swarm manager/ : /not supported by Berth yet$/)
  })

  it('has no build cache to prune', async () => {
    await using server = await serve()
    const { status, json } = await server.ask('POST', '/v1.51/build/prune?all=1')
    expect([status, json]).toEqual([200, { CachesDeleted: [], SpaceReclaimed: 0 }])
  })

  it('has no plugins', async () => {
    await using server = await serve()
    expect((await server.ask('GET', '/plugins')).text).toBe('[]\n')
  })

  it.each(['/containers/a%00b/json', '/containers/a%0Ab/json', '/images/a%00/json', '/networks/%1b[31m', '/containers/%zz/json'])('refuses the name in %s', async (path) => {
    await using server = await serve()
    const { status, json } = await server.ask('GET', path)
    expect([status, json.message]).toEqual([400, expect.stringContaining('in the path')])
  })

  it.each(['..', '%2e%2e', '..%2f..%2fetc', '.'])('finds no container by the name %s', async (name) => {
    await using server = await serve()
    const { status, json } = await server.ask('GET', `/containers/${name}/json`)
    expect([status, json.message]).toEqual([404, `No such container: ${decodeURIComponent(name)}`])
  })
})

describe('errors', () => {
  const kinds: [ErrorKind, number][] = [
    ['invalid-argument', 400],
    ['unauthenticated', 401],
    ['permission-denied', 403],
    ['not-found', 404],
    ['already-exists', 409],
    ['conflict', 409],
    ['resource-exhausted', 429],
    ['deadline-exceeded', 504],
    ['unavailable', 503],
    ['not-implemented', 501],
    ['data-loss', 500],
    ['internal', 500],
  ]
  it.each(kinds)('answers %s with %i and the message', async (kind, status) => {
    await using server = await serve(({ system }) => (system.info = () => Promise.reject(new BerthError(kind, 'TEST', 'what went wrong'))))
    const answer = await server.ask('GET', '/info')
    expect([answer.status, answer.text]).toEqual([status, '{"message":"what went wrong"}\n'])
  })

  it('answers 304 without a body for what is done already', async () => {
    await using server = await serve()
    const { Id } = (await server.ask('POST', '/containers/create', { body: { Image: 'busybox', Cmd: ['sleep'] } })).json
    expect((await server.ask('POST', `/containers/${String(Id)}/start`)).status).toBe(204)
    const again = await server.ask('POST', `/containers/${String(Id)}/start`)
    expect([again.status, again.text]).toEqual([304, ''])
  })

  it('tells of an unknown container before the head of a stream', async () => {
    await using server = await serve()
    for (const path of ['/containers/none/stats', '/containers/none/stats?stream=0', '/containers/none/logs?stdout=1', '/containers/none/export']) {
      expect(await server.ask('GET', path)).toMatchObject({ status: 404 })
    }
    expect((await server.ask('POST', '/containers/none/wait')).status).toBe(404)
  })

  it('tells of a wrong filter before the head of the events', async () => {
    await using server = await serve(({ system }) => {
      system.events = () => failing(new BerthError('invalid-argument', 'FILTER', 'invalid filter'))
    })
    expect((await server.ask('GET', '/events')).status).toBe(400)
  })
})

describe('bodies', () => {
  it.each([
    ['{"Image": ', /^invalid JSON: /],
    ['', /^invalid JSON: got EOF while reading request body$/],
    ['[]', /the body must be an object, not array/],
    ['{"Cmd": [1]}', /Cmd\[0\] must be a string, not number/],
    ['{"HostConfig": {"Memory": "64m"}}', /HostConfig\.Memory must be a number, not string/],
    ['{"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": 80}]}}}', /HostConfig\.PortBindings\["80\/tcp"\]\[0\]\.HostPort must be a string, not number/],
  ])('refuses %s', async (raw, message) => {
    await using server = await serve()
    const { status, json } = await server.ask('POST', '/containers/create', { raw })
    expect(status).toBe(400)
    expect(json.message).toMatch(message)
  })

  it.each(['text/plain', 'application/json-patch', 'application/x-www-form-urlencoded'])('refuses %s', async (type) => {
    await using server = await serve()
    const { status, json } = await server.ask('POST', '/containers/create', { raw: '{}', headers: { 'Content-Type': type } })
    expect([status, json.message]).toEqual([400, `unsupported Content-Type header (${type}): must be 'application/json'`])
  })

  it('takes a content type with parameters', async () => {
    await using server = await serve()
    expect((await server.ask('POST', '/containers/create', { raw: '{"Image":"busybox"}', headers: { 'Content-Type': 'application/json; charset=utf-8' } })).status).toBe(201)
  })

  it('refuses a body that says it is too long, without reading it', async () => {
    await using server = await serve()
    const socket = await server.raw('POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n{')
    expect((await readUntil(socket, 'too large"}')).toString()).toMatch(/^HTTP\/1\.1 413 /)
  })

  it('refuses a body that turns out too long', async () => {
    await using server = await serve()
    const socket = await server.raw('POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n')
    const answer = readUntil(socket, 'too large"}')
    const piece = Buffer.alloc(1 << 20, 'x')
    for (let sent = 0; sent < 10 && socket.writable; sent++) {
      socket.write('100000\r\n')
      socket.write(piece)
      socket.write('\r\n')
    }
    expect((await answer).toString()).toMatch(/^HTTP\/1\.1 413 /)
  })

  it('refuses a body in front of a stream that is too long or has no length', async () => {
    await using server = await serve()
    const head = 'POST /exec/abc/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n'
    const long = await server.raw(`${head}Content-Length: 100000\r\n\r\n`)
    expect((await readAll(long)).toString()).toMatch(/^HTTP\/1\.1 413 /)
    const chunked = await server.raw(`${head}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`)
    expect((await readAll(chunked)).toString()).toMatch(/^HTTP\/1\.1 400 /)
  })

  it('refuses a header that is too long', async () => {
    await using server = await serve()
    const socket = await server.raw(`GET /info HTTP/1.1\r\nHost: d\r\nX-Long: ${'x'.repeat(100_000)}\r\n\r\n`)
    expect((await readAll(socket)).toString()).toMatch(/^HTTP\/1\.1 431 [^]*\{"message":"the header of the request is too large"\}\n$/)
  })

  it('answers 400 to what is not HTTP', async () => {
    await using server = await serve()
    expect((await readAll(await server.raw('\x16\x03\x01\x02\x00garbage\r\n\r\n'))).toString()).toMatch(/^HTTP\/1\.1 400 [^]*\{"message":"the request is not valid HTTP"\}\n$/)
  })
})

describe('query parameters', () => {
  const asked = async (query: string): Promise<unknown> => {
    let options: unknown
    await using server = await serve(({ containers }) => {
      containers.list = async (given) => {
        options = given
        return []
      }
    })
    const { status, json } = await server.ask('GET', `/containers/json?${query}`)
    return status === 200 ? options : [status, json.message]
  }

  it('reads flags as Docker does', async () => {
    for (const no of ['', 'all=', 'all=0', 'all=false', 'all=no', 'all=None']) expect(await asked(no)).toMatchObject({ all: false })
    for (const yes of ['all=1', 'all=true', 'all=yes']) expect(await asked(yes)).toMatchObject({ all: true })
  })

  it('reads both forms of filters', async () => {
    expect(await asked(`filters=${encodeURIComponent('{"name":["a","b"]}')}`)).toMatchObject({ filters: new Map([['name', ['a', 'b']]]) })
    expect(await asked(`filters=${encodeURIComponent('{"name":{"a":true,"b":false}}')}`)).toMatchObject({ filters: new Map([['name', ['a']]]) })
  })

  it.each(['filters=x', 'filters=[]', 'filters=null', 'filters=%7B%22a%22:1%7D', 'filters=%7B%22a%22:%5B1%5D%7D', 'limit=x', 'limit=1e3'])('refuses %s', async (query) => {
    expect(await asked(query)).toEqual([400, expect.stringMatching(/^invalid (filters|value for limit)/)])
  })

  it.each(['', 'condition=not-running'])('refuses no known condition, "%s"', async (query) => {
    await using server = await serve()
    const { Id } = (await server.ask('POST', '/containers/create', { body: { Image: 'busybox', Cmd: ['true'] } })).json
    expect((await server.ask('POST', `/containers/${String(Id)}/wait?${query}`)).json).toEqual({ StatusCode: 0 })
  })

  it('refuses an unknown condition', async () => {
    await using server = await serve()
    expect((await server.ask('POST', '/containers/a/wait?condition=tired')).json.message).toBe('invalid condition: "tired"')
  })
})
