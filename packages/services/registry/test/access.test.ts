import { rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashSync } from 'bcryptjs'
import { afterEach, describe, expect, it } from 'vitest'
import { parseHtpasswd } from '../src/htpasswd.ts'
import { startTokenServer, type TokenServer, type TokenServerOptions } from '../src/testing.ts'
import { RegistryHarness } from './registry-harness.ts'

const basic = (user: string, password: string) => ({ Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` })
/** Cheap, for tests. */
const hash = (password: string) => hashSync(password, 4)

describe('an htpasswd file', () => {
  it('keeps out who is not in it, and is read again when it has changed', async () => {
    const file = join('/tmp', `berth-htpasswd-${process.pid}`)
    await writeFile(file, `# users\nme:${hash('secret: ü')}\nold:{SHA}0000\n`)
    await using harness = await RegistryHarness.start({ htpasswd: file })
    const status = async (headers: Record<string, string>) => (await harness.request('GET', '/v2/', { headers })).status
    const refused = await harness.request('GET', '/v2/')
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="Registry", charset="UTF-8"'])
    expect(await harness.refusal('POST', '/v2/a/blobs/uploads/')).toBe('401 UNAUTHORIZED')
    expect(await status(basic('me', 'secret: ü'))).toBe(200)
    expect(await status(basic('me', 'secret: ü'))).toBe(200)
    for (const headers of [basic('me', 'secret'), basic('you', 'secret: ü'), basic('old', ''), { Authorization: 'Basic !' }, { Authorization: 'Bearer x' }]) expect(await status(headers)).toBe(401)
    await writeFile(file, `me:${hash('changed')}\n`)
    await utimes(file, 1, 1)
    expect([await status(basic('me', 'secret: ü')), await status(basic('me', 'changed'))]).toEqual([401, 200])
    await rm(file)
    expect(await harness.refusal('GET', '/v2/', { headers: basic('me', 'changed') })).toBe('500 UNKNOWN')
  })

  it('holds bcrypt hashes of a bearable cost', () => {
    const good = '$2y$05$abcdefghijklmnopqrstuuXGzfJOKNyPDGN0TPmDS3dDDKIYNJbMy'
    expect([...parseHtpasswd(`a:${good}\r\nb:${good.replace('05', '31')}\nc:$apr1$x$y\n#d:${good}\n:${good}\ne`).keys()]).toEqual(['a'])
  })
})

it('a function decides about passwords', async () => {
  await using harness = await RegistryHarness.start({ authenticate: (user, password) => user === password })
  expect((await harness.request('GET', '/v2/', { headers: basic('a', 'a') })).status).toBe(200)
  expect(await harness.refusal('GET', '/v2/', { headers: basic('a', 'b') })).toBe('401 UNAUTHORIZED')
})

it('access control that knows the user and says no', async () => {
  await using harness = await RegistryHarness.start({ access: async ({ scopes }) => (scopes.some(({ actions }) => actions.includes('delete')) ? { status: 403 } : undefined) })
  await harness.putImage('a', 'v1', 'layer')
  expect(await harness.refusal('DELETE', '/v2/a/manifests/v1')).toBe('403 DENIED')
})

describe('tokens', () => {
  let tokens: TokenServer
  let harness: RegistryHarness
  const start = async (options?: TokenServerOptions) => {
    tokens = await startTokenServer(options)
    harness = await RegistryHarness.start({ access: tokens.access })
  }
  afterEach(async () => {
    await harness[Symbol.asyncDispose]()
    await tokens[Symbol.asyncDispose]()
  })

  const challenge = async (method: string, path: string, headers = {}) => {
    const response = await harness.request(method, path, { headers })
    await response.arrayBuffer()
    return [response.status, response.headers.get('www-authenticate')]
  }
  const ask = async (query: string, init: RequestInit = {}) => {
    const response = await fetch(`${tokens.realm}?${query}`, init)
    return { status: response.status, ...((await response.json()) as { token?: string; access_token?: string; refresh_token?: string }) }
  }
  const bearer = (token: string | undefined) => ({ Authorization: `Bearer ${token}` })

  it('are asked for by a challenge that names what is wanted', async () => {
    await start()
    expect(await challenge('GET', '/v2/')).toEqual([401, `Bearer realm="${tokens.realm}",service="registry"`])
    expect(await challenge('GET', '/v2/a/b/tags/list')).toEqual([401, `Bearer realm="${tokens.realm}",service="registry",scope="repository:a/b:pull"`])
    expect(await challenge('GET', '/v2/_catalog')).toEqual([401, `Bearer realm="${tokens.realm}",service="registry",scope="registry:catalog:*"`])
    expect(await challenge('POST', '/v2/a/blobs/uploads/?mount=x&from=c')).toEqual([
      401,
      `Bearer realm="${tokens.realm}",service="registry",scope="repository:a:pull,push repository:c:pull"`,
    ])
  })

  it('are good for what they were granted, until they expire', async () => {
    await start({ users: { me: 'secret' }, anonymous: true, grant: (user, { actions }) => (user === 'me' ? actions : actions.filter((action) => action === 'pull')) })
    const { token: reading } = await ask('service=registry&scope=repository:a:pull,push')
    const { token: writing } = await ask('service=registry&scope=repository:a:pull,push', { headers: basic('me', 'secret') })
    expect((await harness.request('GET', '/v2/', { headers: bearer(reading) })).status).toBe(200)
    expect(await harness.refusal('GET', '/v2/a/tags/list', { headers: bearer(reading) })).toBe('404 NAME_UNKNOWN')
    expect((await challenge('POST', '/v2/a/blobs/uploads/', bearer(reading)))[1]).toMatch(/error="insufficient_scope"$/)
    expect((await harness.request('POST', '/v2/a/blobs/uploads/', { headers: bearer(writing) })).status).toBe(202)
    expect((await harness.request('GET', '/v2/b/tags/list', { headers: bearer(writing) })).status).toBe(401)
    tokens.expire()
    expect((await challenge('GET', '/v2/', bearer(writing)))[1]).toMatch(/error="invalid_token"$/)
    expect(tokens.requests.map(({ user, scopes, status }) => [user, scopes, status])).toEqual([
      [undefined, ['repository:a:pull,push'], 200],
      ['me', ['repository:a:pull,push'], 200],
    ])
  })

  it('are not given for a wrong password, or for another service', async () => {
    await start({ users: { me: 'secret' } })
    expect((await ask('service=registry', { headers: basic('me', 'guess') })).status).toBe(401)
    expect((await ask('service=registry', { headers: basic('constructor', 'guess') })).status).toBe(401)
    expect((await ask('service=registry')).status).toBe(401)
    expect((await ask('service=other', { headers: basic('me', 'secret') })).status).toBe(400)
  })

  it('are given for identity tokens', async () => {
    await start({ users: { me: 'secret' }, lifetime: 5 })
    const post = (form: Record<string, string>) => ask('', { method: 'POST', body: new URLSearchParams({ service: 'registry', client_id: 'test', scope: 'repository:a:pull', ...form }) })
    const { refresh_token: identity } = await post({ grant_type: 'password', username: 'me', password: 'secret', access_type: 'offline' })
    const { access_token: token } = await post({ grant_type: 'refresh_token', refresh_token: identity! })
    expect(await harness.refusal('GET', '/v2/a/tags/list', { headers: bearer(token) })).toBe('404 NAME_UNKNOWN')
    expect((await post({ grant_type: 'refresh_token', refresh_token: 'guess' })).status).toBe(401)
  })

  it('that have lived their time are refused', async () => {
    await start({ lifetime: 0 })
    const { token } = await ask('service=registry')
    expect((await harness.request('GET', '/v2/', { headers: bearer(token) })).status).toBe(401)
  })
})
