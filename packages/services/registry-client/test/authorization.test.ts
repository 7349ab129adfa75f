import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { digestOf, mediaTypes } from '@berth/oci'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { at, auth, basic, blob, call, content, manifest, newClient, read } from './harness.ts'
import { serve } from './http-server.ts'
import { serveWithTokens } from './token-registry.ts'

const sendManifest = (response: ServerResponse) => response.writeHead(200, { 'Content-Type': mediaTypes.ociManifest }).end(manifest)
const withAuth = { ...call, auth }

afterEach(() => void vi.useRealTimers())

describe('tokens', () => {
  it('are bought once for a scope by those who ask at the same time', async () => {
    await using server = await serveWithTokens((_, response) => sendManifest(response))
    const client = newClient()
    const asked = Array.from({ length: 5 }, () => client.manifest(at(server.address), withAuth))
    for (const { digest } of await Promise.all(asked)) expect(digest).toBe(digestOf(manifest))
    expect(server.tokens.map(({ scopes, authorization }) => [scopes, authorization])).toEqual([[['repository:app:pull'], basic]])
  })

  it('are asked for at once where a registry is known to want them', async () => {
    await using server = await serveWithTokens((_, response) => sendManifest(response))
    const client = newClient()
    await client.manifest(at(server.address), withAuth)
    server.asked.length = 0
    await client.manifest(at(server.address, 'other:v1'), withAuth)
    expect(server.asked.map((line) => line.replace(/\?.*/, ''))).toEqual(['GET /token', 'GET /v2/other/manifests/v1'])
  })

  it('are for one user alone', async () => {
    await using server = await serveWithTokens((_, response) => sendManifest(response))
    const client = newClient()
    await client.manifest(at(server.address), withAuth)
    await client.manifest(at(server.address), { ...call, auth: { ...auth, username: 'you' } })
    await client.manifest(at(server.address), { ...call, auth: { username: 'me', password: 'hunter2hunter2' } })
    await client.manifest(at(server.address), call)
    expect(new Set(server.tokens.map(({ authorization }) => authorization)).size).toBe(4)
  })

  it('are replaced before they expire', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    await using server = await serveWithTokens((_, response) => sendManifest(response), { lifetime: 100 })
    const client = newClient()
    for (const seconds of [0, 80, 95]) {
      vi.setSystemTime(seconds * 1000)
      await client.manifest(at(server.address), withAuth)
    }
    expect(server.tokens).toHaveLength(2)
    // None was refused: the one 401 was the first.
    expect(server.asked.filter((line) => line.startsWith('GET /v2/app'))).toHaveLength(4)
  })

  it('are replaced once when they are refused in the middle of a long pull', async () => {
    await using server = await serveWithTokens((request, response) => {
      const start = Number(/\d+/.exec(request.headers.range ?? '0')![0])
      response.writeHead(start ? 206 : 200, { 'Content-Length': content.length - start, 'Content-Range': `bytes ${start}-${content.length - 1}/${content.length}` })
      if (start) return response.end(content.subarray(start))
      return response.write(content.subarray(0, 100_000), () => {
        server.good.clear()
        setImmediate(() => response.destroy())
      })
    })
    expect(digestOf(await read(newClient(), server.address, { auth }))).toBe(blob.digest)
    expect(server.tokens).toHaveLength(2)
  })

  it('that are refused at once are not bought for ever', async () => {
    await using server = await serveWithTokens((_, response) => sendManifest(response), { onToken: (_, response) => Boolean(response.end('{"token":"secret-token-bad"}')) })
    await expect(newClient().manifest(at(server.address), withAuth)).rejects.toMatchObject({ kind: 'unauthenticated' })
    expect(server.tokens).toHaveLength(1)
  })

  it('are for both repositories of a mount', async () => {
    await using server = await serveWithTokens((_, response) => response.writeHead(201).end())
    expect(await newClient().mountBlob(at(server.address, 'to'), blob.digest, { ...withAuth, from: 'from' })).toBe(true)
    expect(server.tokens.map(({ scopes }) => scopes)).toEqual([['repository:from:pull', 'repository:to:pull,push']])
  })

  it('are not bought by who has left, nor is the connection kept', async () => {
    const begun = Promise.withResolvers<ServerResponse>()
    await using server = await serveWithTokens((_, response) => sendManifest(response), { onToken: (_, response) => (begun.resolve(response), true) })
    const abort = new AbortController()
    const asked = newClient().manifest(at(server.address), { auth, signal: abort.signal })
    const response = await begun.promise
    const closed = once(response, 'close')
    abort.abort(new Error('enough'))
    await expect(asked).rejects.toThrow('enough')
    await closed
  })

  it('are still had by who stays when another leaves', async () => {
    const begun = Promise.withResolvers<ServerResponse>()
    await using server = await serveWithTokens((_, response) => sendManifest(response), { onToken: (_, response) => (begun.resolve(response), true) })
    const client = newClient()
    const abort = new AbortController()
    const [leaving, staying] = [client.manifest(at(server.address), { auth, signal: abort.signal }), client.manifest(at(server.address), withAuth)]
    const response = await begun.promise
    await vi.waitFor(() => expect(server.asked.filter((line) => line.includes('manifests'))).toHaveLength(2))
    abort.abort(new Error('enough'))
    await expect(leaving).rejects.toThrow('enough')
    server.good.add('Bearer secret-token-x')
    response.end('{"token":"secret-token-x"}')
    expect((await staying).digest).toBe(digestOf(manifest))
  })

  it('are asked for again of a server that is not well', async () => {
    await using server = await serveWithTokens((_, response) => sendManifest(response), { onToken: (_, response) => server.tokens.length < 3 && Boolean(response.writeHead(503).end()) })
    await newClient().manifest(at(server.address), withAuth)
    expect(server.tokens).toHaveLength(3)
  })

  it.each([
    ['not JSON: secret-token', 'answered without a token'],
    ['{}', 'answered without a token'],
    ['{"token":"secret-token\\r\\nX-Evil: 1"}', 'answered without a token'],
  ])('are told from %j', async (body, message) => {
    await using server = await serveWithTokens((_, response) => sendManifest(response), { onToken: (_, response) => Boolean(response.end(body)) })
    await expect(newClient().manifest(at(server.address), withAuth)).rejects.toMatchObject({ kind: 'unauthenticated', message: expect.stringContaining(message) })
  })

  it('do not come from an answer that is no HTTP, nor is it repeated', async () => {
    await using server = await serveWithTokens((_, response) => sendManifest(response), { onToken: (_, response) => Boolean(response.socket?.end('HTTP/1.1 secret-token\r\n\r\n')) })
    await expect(newClient().manifest(at(server.address), withAuth)).rejects.toMatchObject({ kind: 'unavailable', message: expect.stringContaining('malformed HTTP response') })
  })
})

it('sends a password that was refused no second time', async () => {
  await using server = await serve((_, response) => response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end())
  const client = newClient()
  for (const times of [2, 3]) {
    await expect(client.manifest(at(server.address), withAuth)).rejects.toMatchObject({ kind: 'unauthenticated' })
    expect(server.asked).toHaveLength(times)
  }
})

describe('identity tokens', () => {
  it('buy tokens by OAuth2', async () => {
    await using server = await serveWithTokens((_, response) => sendManifest(response))
    await newClient().manifest(at(server.address), { ...call, auth: { identitytoken: 'secret-refresh' } })
    expect(server.tokens.map(({ method, authorization, form }) => [method, authorization, Object.fromEntries(form)])).toEqual([
      ['POST', undefined, { grant_type: 'refresh_token', refresh_token: 'secret-refresh', client_id: 'berth', service: 'test', scope: 'repository:app:pull' }],
    ])
  })

  it('are what the user <token> has for a password', async () => {
    await using server = await serveWithTokens((_, response) => sendManifest(response))
    await newClient().manifest(at(server.address), { ...call, auth: { username: '<token>', password: 'secret-refresh' } })
    expect(server.tokens[0]!.form.get('refresh_token')).toBe('secret-refresh')
  })

  it.each([401, 404, 405])('buy them by the older way from who answers OAuth2 with %i', async (status) => {
    await using server = await serveWithTokens((_, response) => sendManifest(response), { onToken: ({ method }, response) => method === 'POST' && Boolean(response.writeHead(status).end()) })
    await newClient().manifest(at(server.address), { ...call, auth: { username: 'me', identitytoken: 'hunter2' } })
    expect(server.tokens.map(({ method, authorization }) => [method, authorization])).toEqual([['POST', undefined], ['GET', basic]])
  })
})

it('sends a registry token as it is, and asks nobody for another', async () => {
  await using server = await serveWithTokens((_, response) => sendManifest(response))
  server.good.add('Bearer secret-token-given')
  const client = newClient()
  await client.manifest(at(server.address), { ...call, auth: { registrytoken: 'secret-token-given' } })
  await expect(client.manifest(at(server.address), { ...call, auth: { registrytoken: 'secret-token-bad' } })).rejects.toMatchObject({ kind: 'unauthenticated' })
  expect(server.tokens).toEqual([])
})

describe('a login', () => {
  it('is answered with a token that replaces the password', async () => {
    await using server = await serveWithTokens((_, response) => response.end('{}'))
    await expect(newClient().login({ ...auth, serveraddress: `https://${server.address}/v1/` }, call)).resolves.toEqual({ identityToken: 'secret-refresh' })
    expect(server.tokens.map(({ authorization, query }) => [authorization, query.get('offline_token'), query.get('service')])).toEqual([[basic, 'true', 'test']])
  })

  it('fails if the registry does not take the token', async () => {
    await using server = await serveWithTokens((_, response) => response.end('{}'), { onToken: (_, response) => Boolean(response.end('{"token":"secret-token-bad","refresh_token":"secret-refresh"}')) })
    await expect(newClient().login({ ...auth, serveraddress: server.address }, call)).rejects.toMatchObject({ kind: 'unauthenticated', message: expect.stringContaining('incorrect username or password') })
  })

  it('does not take what anybody gets for a success', async () => {
    await using server = await serveWithTokens((_, response) => response.end('{}'), { onToken: ({ authorization }, response) => authorization !== undefined && Boolean(response.writeHead(401).end()) })
    await expect(newClient().login({ ...auth, serveraddress: server.address }, call)).rejects.toMatchObject({ kind: 'unauthenticated' })
    await expect(newClient().login({ serveraddress: server.address }, call)).rejects.toMatchObject({ kind: 'unauthenticated' })
  })

  it('goes by Basic where the registry wants that', async () => {
    await using server = await serve((request, response) => (request.headers.authorization === basic ? response.end('{}') : response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end()))
    await expect(newClient().login({ ...auth, serveraddress: server.address }, call)).resolves.toEqual({})
    await expect(newClient().login({ ...auth, password: 'wrong', serveraddress: server.address }, call)).rejects.toMatchObject({ kind: 'unauthenticated' })
    await expect(newClient().login({ auth: Buffer.from('me:hunter2').toString('base64'), serveraddress: server.address }, call)).resolves.toEqual({})
  })

  it('is told what the registry answers instead', async () => {
    await using server = await serve((_, response) => response.writeHead(404).end())
    await expect(newClient().login({ ...auth, serveraddress: server.address }, call)).rejects.toMatchObject({ kind: 'unavailable', message: `login attempt to http://${server.address}/v2/ failed with status: 404` })
  })
})

describe('credentials', () => {
  it('go to another host for tokens, if the registry names it, and to it alone', async () => {
    const seen: (string | undefined)[] = []
    await using tokens = await serve((request, response) => {
      seen.push(request.headers.authorization)
      response.end('{"token":"secret-token-x"}')
    })
    await using server = await serveWithTokens((_, response) => sendManifest(response), { realm: `http://${tokens.address}/auth?a=secret-signature` })
    server.good.add('Bearer secret-token-x')
    await newClient().manifest(at(server.address), withAuth)
    expect(seen).toEqual([basic])
    expect(tokens.asked[0]).toContain('/auth?a=secret-signature&service=test')
  })

  it.each(['', 'nothing', 'file:///etc/passwd', 'javascript:alert(1)'])('go to no realm like %j', async (realm) => {
    await using server = await serveWithTokens((_, response) => sendManifest(response), { realm })
    await expect(newClient().manifest(at(server.address), withAuth)).rejects.toMatchObject({ kind: 'unauthenticated', message: expect.stringContaining('names no address') })
  })

  it('do not follow a redirect of the token server to another origin (CVE-2020-15157)', async () => {
    const stolen: (string | undefined)[] = []
    await using thief = await serve((request, response) => {
      stolen.push(request.headers.authorization)
      response.end('{"token":"secret-token-x"}')
    })
    await using server = await serveWithTokens((_, response) => sendManifest(response), { onToken: (_, response) => Boolean(response.writeHead(307, { Location: `http://${thief.address}/` }).end()) })
    await expect(newClient().manifest(at(server.address), withAuth)).rejects.toMatchObject({ kind: 'unauthenticated' })
    expect(stolen).toEqual([undefined])
  })

  it('that are an identity token are not posted on to where the token server redirects', async () => {
    await using thief = await serve((_, response) => response.end('{"token":"secret-token-x"}'))
    await using server = await serveWithTokens((_, response) => sendManifest(response), { onToken: (_, response) => Boolean(response.writeHead(307, { Location: `http://${thief.address}/` }).end()) })
    await expect(newClient().manifest(at(server.address), { ...call, auth: { identitytoken: 'secret-refresh' } })).rejects.toMatchObject({ kind: 'unauthenticated' })
    expect(thief.asked).toEqual([])
  })
})
