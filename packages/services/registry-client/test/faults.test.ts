import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { digestOf, mediaTypes, parseReference } from '@berth/oci'
import { describe, expect, it } from 'vitest'
import { at, auth, blob, call, content, manifest, newClient, read } from './harness.ts'
import { serve } from './http-server.ts'

const sendManifest = (response: ServerResponse, headers: Record<string, string> = {}) =>
  response.writeHead(200, { 'Content-Type': mediaTypes.ociManifest, ...headers }).end(manifest)

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

describe('a registry that', () => {
  it('is not there is told in the words of Go', async () => {
    const address = `127.0.0.1:${await freePort()}`
    await expect(newClient().manifest(at(address), call)).rejects.toMatchObject({
      kind: 'unavailable',
      message: `Get "http://${address}/v2/": dial tcp ${address}: connect: connection refused`,
    })
  })

  it('never answers is left after a time', async () => {
    await using server = await serve(() => {})
    await expect(newClient({ answerTimeout: 50 }).manifest(at(server.address), call)).rejects.toMatchObject({
      kind: 'deadline-exceeded',
      message: `http://${server.address}/v2/app/manifests/v1: the registry does not answer`,
    })
  })

  it('accepts connections and is silent from the start is left after a time', async () => {
    const silent = createServer((socket) => void socket.on('error', () => {}).resume()).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const client = newClient({ answerTimeout: 50 })
    await expect(client.manifest(at(`127.0.0.1:${(silent.address() as AddressInfo).port}`), call)).rejects.toMatchObject({ kind: 'deadline-exceeded' })
    silent.close()
    await once(silent, 'close')
  })

  it('falls silent in the middle is left after a time, unless it got on', async () => {
    await using server = await serve((_, response) => void response.writeHead(200, { 'Content-Length': content.length }).write(content.subarray(0, 1000)))
    await expect(read(newClient({ idleTimeout: 50 }), server.address)).rejects.toMatchObject({ kind: 'deadline-exceeded' })
    expect(server.asked.length).toBeGreaterThan(1)
  })

  it('trickles a document is left after a time', async () => {
    await using server = await serve((_, response) => {
      response.writeHead(200, { 'Content-Type': mediaTypes.ociManifest })
      const timer = setInterval(() => response.write(' '), 5)
      response.once('close', () => clearInterval(timer))
    })
    await expect(newClient({ idleTimeout: 100 }).manifest(at(server.address), call)).rejects.toMatchObject({ kind: 'deadline-exceeded' })
  })

  it('lies about a manifest is found out, by digest and by its own header', async () => {
    await using server = await serve((_, response) => sendManifest(response, { 'Docker-Content-Digest': digestOf('other') }))
    await expect(newClient().manifest(at(server.address), call)).rejects.toMatchObject({ kind: 'data-loss', message: expect.stringContaining('manifest verification failed for digest') })
    await expect(newClient().manifest(at(server.address, `app@${digestOf(manifest)}`), call)).rejects.toMatchObject({ kind: 'data-loss' })
    await using honest = await serve((_, response) => sendManifest(response))
    await expect(newClient().manifest(at(honest.address, `app@${digestOf('other')}`), call)).rejects.toMatchObject({ kind: 'data-loss' })
    expect((await newClient().manifest(at(honest.address), call)).digest).toBe(digestOf(manifest))
  })

  it('lies about a blob is found out at its end', async () => {
    await using server = await serve((_, response) => response.end(Buffer.alloc(content.length)))
    await expect(read(newClient(), server.address)).rejects.toMatchObject({ kind: 'data-loss', code: 'DIGEST_MISMATCH' })
  })

  it('sends more than it said is cut off', async () => {
    await using server = await serve((_, response) => {
      const pour = (): void => void (response.destroyed || response.write(content, pour))
      pour()
    })
    await expect(read(newClient(), server.address)).rejects.toMatchObject({ kind: 'data-loss', code: 'BLOB_TOO_LONG' })
  })

  it('has a manifest without end is cut off', async () => {
    await using server = await serve((_, response) => {
      response.writeHead(200, { 'Content-Type': mediaTypes.ociManifest })
      const pour = (): void => void (response.destroyed || response.write(content, pour))
      pour()
    })
    await expect(newClient().manifest(at(server.address), call)).rejects.toMatchObject({ kind: 'data-loss', code: 'REGISTRY_ANSWER_TOO_LONG' })
  })

  it('breaks off is asked for the rest', async () => {
    const ranges: (string | undefined)[] = []
    await using server = await serve((request, response) => {
      ranges.push(request.headers.range)
      const start = Number(/\d+/.exec(request.headers.range ?? '0')![0])
      response.writeHead(start ? 206 : 200, { 'Content-Length': content.length - start, 'Content-Range': `bytes ${start}-${content.length - 1}/${content.length}` })
      const part = content.subarray(start, start + 120_000)
      if (start + part.length === content.length) response.end(part)
      else response.write(part, () => setImmediate(() => response.destroy()))
    })
    expect(digestOf(await read(newClient(), server.address))).toBe(blob.digest)
    expect(ranges.length).toBeGreaterThan(2)
    expect(ranges[0]).toBeUndefined()
    expect(ranges[1]).toMatch(/^bytes=\d+-$/)
  })

  it('breaks off and knows no ranges sends all again, and is passed on once', async () => {
    let times = 0
    await using server = await serve((_, response) => {
      if (times++ > 0) return response.end(content)
      response.writeHead(200, { 'Content-Length': content.length })
      return response.write(content.subarray(0, 120_000), () => setImmediate(() => response.destroy()))
    })
    expect(digestOf(await read(newClient(), server.address))).toBe(blob.digest)
    expect(await read(newClient(), server.address, { offset: 299_000 })).toEqual(content.subarray(299_000))
  })

  it('always breaks off is given up', async () => {
    await using server = await serve((_, response) => response.destroy())
    await expect(read(newClient(), server.address)).rejects.toMatchObject({ kind: 'unavailable', message: expect.stringMatching(/^Get "http:.*connection reset by peer$/) })
    // Five tries, and one more for the connection that was kept from the probe.
    expect(server.asked).toHaveLength(6)
  })

  it('ends early without breaking off is given up with what is missing', async () => {
    await using server = await serve((request, response) => (request.headers.range ? response.writeHead(206, { 'Content-Range': `bytes 1000-1000/${content.length}` }).end() : response.end(content.subarray(0, 1000))))
    await expect(read(newClient(), server.address)).rejects.toMatchObject({ message: expect.stringContaining(`after 1000 of ${content.length} bytes`) })
  })

  it('sends another part than was asked for is found out', async () => {
    await using server = await serve((_, response) => response.writeHead(206, { 'Content-Range': `bytes 5000-${content.length - 1}/${content.length}` }).end(content.subarray(5000)))
    await expect(read(newClient(), server.address, { offset: 1000 })).rejects.toMatchObject({ kind: 'data-loss', code: 'RANGE_MISMATCH' })
  })

  it('is overloaded is asked again, and given up in the words of Docker Hub', async () => {
    let times = 0
    await using server = await serve((_, response) => (times++ < 2 ? response.writeHead(times === 1 ? 429 : 503, { 'Retry-After': '0' }).end() : sendManifest(response)))
    expect((await newClient().manifest(at(server.address), call)).digest).toBe(digestOf(manifest))
    await using full = await serve((_, response) => response.writeHead(429).end('{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}'))
    await expect(newClient().manifest(at(full.address), call)).rejects.toMatchObject({ kind: 'resource-exhausted', message: 'toomanyrequests: toomanyrequests: You have reached your pull rate limit.' })
    expect(full.asked).toHaveLength(5)
  })

  it('is a web site is told from a registry', async () => {
    await using server = await serve((_, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<html>'))
    await expect(newClient().manifest(at(server.address), call)).rejects.toMatchObject({ kind: 'unavailable', message: expect.stringContaining('answered with text/html, which is no manifest') })
    await expect(newClient().tags(at(server.address, 'app'), call)).rejects.toMatchObject({ kind: 'unavailable' })
  })

  it('answers an error in HTML is quoted by its status alone', async () => {
    await using server = await serve((_, response) => response.writeHead(500, { 'Content-Type': 'text/html' }).end('<html>\u001b[31m</html>'))
    await expect(newClient().manifest(at(server.address), call)).rejects.toMatchObject({
      kind: 'unavailable',
      message: `received unexpected HTTP status: 500 from http://${server.address}/v2/app/manifests/v1`,
    })
  })

  it('plays with the terminal in its errors does not get through', async () => {
    await using server = await serve((_, response) => response.writeHead(404).end(JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: `\u001b[2J\n${'x'.repeat(5000)}` }] })))
    const error = await newClient().manifest(at(server.address), call).catch((thrown: Error) => thrown)
    expect((error as Error).message).not.toMatch(/[\p{Cc}]/u)
    expect((error as Error).message.length).toBeLessThan(500)
  })

  it('pages its tags without end is left', async () => {
    await using server = await serve((_, response) => response.writeHead(200, { Link: '</v2/app/tags/list?n=1&last=x>; rel="next"' }).end('{"tags":[]}'))
    expect(await newClient().tags(at(server.address, 'app'), call)).toEqual([])
    await using paged = await serve((request, response) =>
      request.url!.includes('last=a') ? response.end('{"tags":["b"]}') : response.writeHead(200, { Link: '</v2/app/tags/list?n=1&last=a>; rel="next"' }).end('{"tags":["a"]}'))
    expect(await newClient().tags(at(paged.address, 'app'), call)).toEqual(['a', 'b'])
  })

  it('is left when the caller goes', async () => {
    const abort = new AbortController()
    const gone = Promise.withResolvers<void>()
    await using server = await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': content.length }).write(content.subarray(0, 1000))
      response.once('close', () => gone.resolve())
    })
    const reading = newClient().blob(at(server.address), blob, { signal: abort.signal })
    await reading.next()
    abort.abort(new Error('enough'))
    await expect(reading.next()).rejects.toThrow('enough')
    await gone.promise
    await expect(newClient().manifest(at(server.address), { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before')
  })
})

describe('credentials', () => {
  /** Wants a token from itself; answers manifests to who has it. */
  const tokenServer = () => {
    const tokens: { url: string; authorization: string | undefined; method: string | undefined; body: string }[] = []
    return {
      tokens,
      start: () =>
        serve((request, response) => {
          const url = new URL(request.url!, `http://${request.headers.host}`)
          if (url.pathname === '/token') {
            let body = ''
            request.on('data', (chunk: Buffer) => (body += chunk.toString())).on('end', () => {
              tokens.push({ url: url.search, authorization: request.headers.authorization, method: request.method, body })
              response.end(JSON.stringify({ token: 'secret-token', expires_in: 300 }))
            })
          } else if (request.headers.authorization === 'Bearer secret-token') {
            sendManifest(response)
          } else {
            response.writeHead(401, { 'WWW-Authenticate': `Bearer realm="${url.origin}/token",service="test"` }).end()
          }
        }),
    }
  }

  it('buy a token for the scope, which is kept for it', async () => {
    const { tokens, start } = tokenServer()
    await using server = await start()
    const client = newClient()
    for (let times = 0; times < 3; times++) await client.manifest(at(server.address), { ...call, auth })
    expect(tokens).toEqual([{ url: '?service=test&scope=repository%3Aapp%3Apull&account=me', authorization: `Basic ${Buffer.from('me:hunter2').toString('base64')}`, method: 'GET', body: '' }])
    await client.manifest(at(server.address, 'other:v1'), { ...call, auth })
    await client.manifest(at(server.address), call)
    expect(tokens.map(({ url, authorization }) => [new URLSearchParams(url).get('scope'), authorization !== undefined])).toEqual([
      ['repository:app:pull', true],
      ['repository:other:pull', true],
      ['repository:app:pull', false],
    ])
  })

  it('may be an identity token', async () => {
    const { tokens, start } = tokenServer()
    await using server = await start()
    await newClient().manifest(at(server.address), { ...call, auth: { identitytoken: 'refresh' } })
    expect(tokens).toMatchObject([{ method: 'POST', authorization: undefined, body: expect.stringContaining('grant_type=refresh_token&refresh_token=refresh') }])
  })

  it('go by Basic where the registry wants that, and only there', async () => {
    const seen: (string | undefined)[] = []
    await using server = await serve((request, response) => {
      seen.push(request.headers.authorization)
      return request.headers.authorization ? sendManifest(response) : response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end()
    })
    const client = newClient()
    await client.manifest(at(server.address), { ...call, auth })
    await client.manifest(at(server.address), { ...call, auth })
    const basic = `Basic ${Buffer.from('me:hunter2').toString('base64')}`
    expect(seen).toEqual([undefined, basic, basic])
    await expect(client.manifest(at(server.address), call)).rejects.toMatchObject({ kind: 'unauthenticated', message: `Get "http://${server.address}/v2/app/manifests/v1": unauthorized: authentication required` })
  })

  it('that are wrong are told in the words of Docker, without repeating them', async () => {
    const denied = '{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}'
    await using server = await serve((request, response) =>
      request.url!.startsWith('/token') ? response.writeHead(401).end() : response.writeHead(request.url!.includes('denied') ? 403 : 401, { 'WWW-Authenticate': `Bearer realm="http://${request.headers.host}/token"` }).end(denied))
    const client = newClient()
    const wrong = await client.login({ ...auth, serveraddress: server.address }, call).catch((error: Error) => error)
    expect(wrong).toMatchObject({ kind: 'unauthenticated', message: `cannot get a token for http://${server.address}: unauthorized: incorrect username or password` })
    expect(inspect(wrong)).not.toContain('hunter2')
    await expect(client.manifest(at(server.address, 'denied:v1'), call)).rejects.toMatchObject({
      kind: 'not-found',
      message: `pull access denied for ${server.address}/denied, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`,
    })
    await expect(client.putManifest(at(server.address, 'denied:v1'), { bytes: Buffer.from(manifest), mediaType: mediaTypes.ociManifest }, call)).rejects.toMatchObject({
      kind: 'permission-denied',
      message: 'denied: requested access to the resource is denied',
    })
  })

  it('do not follow a redirect to another origin', async () => {
    const seen: (string | undefined)[] = []
    await using storage = await serve((request, response) => {
      seen.push(request.headers.authorization)
      response.end(content)
    })
    await using server = await serve((request, response) => {
      if (!request.headers.authorization) return response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end()
      return response.writeHead(307, { Location: `http://${storage.address}/elsewhere?signature=secret-signature` }).end()
    })
    expect(digestOf(Buffer.concat(await Array.fromAsync(newClient().blob(at(server.address), blob, { ...call, auth }))))).toBe(blob.digest)
    expect(seen).toEqual([undefined])
  })

  it('are not given to who asks for them after a redirect (CVE-2020-15157)', async () => {
    const stolen: (string | undefined)[] = []
    await using thief = await serve((request, response) => {
      stolen.push(request.headers.authorization)
      response.writeHead(401, { 'WWW-Authenticate': `Bearer realm="http://${request.headers.host}/steal"` }).end()
    })
    await using server = await serve((_, response) => response.writeHead(307, { Location: `http://${thief.address}/v2/x` }).end())
    await expect(newClient().manifest(at(server.address), { ...call, auth })).rejects.toMatchObject({ kind: 'unauthenticated' })
    expect(stolen).toEqual([undefined])
    expect(thief.asked).toEqual(['GET /v2/x'])
  })

  it('do not go where an upload is sent to', async () => {
    const seen: (string | undefined)[] = []
    await using storage = await serve((request, response) => {
      seen.push(request.headers.authorization)
      request.resume().on('end', () => response.writeHead(201).end())
    })
    await using server = await serve((request, response) => {
      if (!request.headers.authorization) return response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end()
      return response.writeHead(202, { Location: `http://${storage.address}/upload` }).end()
    })
    await newClient().putBlob(at(server.address), blob, async function* () { yield content }, { ...call, auth })
    expect(seen).toEqual([undefined])
  })
})

describe('redirects', () => {
  it.each([
    ['in circles', '', 'redirects too often'],
    ['to another kind of address', 'file:///etc/passwd', 'redirects to an unencrypted or unknown address'],
    ['to nowhere', 'http://[', 'redirects to nowhere'],
  ])('%s end', async (_, location, message) => {
    await using server = await serve((request, response) => response.writeHead(302, { Location: location || request.url! }).end())
    await expect(newClient().manifest(at(server.address), call)).rejects.toThrow(message)
    expect(server.asked.length).toBeLessThan(10)
  })
})

describe('mirrors', () => {
  const hub = parseReference('docker.io/library/busybox:v1')

  it('are asked first, without the credentials for Docker Hub', async () => {
    const seen: (string | undefined)[] = []
    await using mirror = await serve((request, response) => {
      seen.push(request.headers.authorization)
      sendManifest(response)
    })
    expect((await newClient({ mirrors: [`http://${mirror.address}/`] }).manifest(hub, { ...call, auth })).digest).toBe(digestOf(manifest))
    expect(mirror.asked).toEqual(['GET /v2/library/busybox/manifests/v1'])
    expect(seen).toEqual([undefined])
  })

  it('that lie, lack the image or are silent are passed over', async () => {
    await using liar = await serve((_, response) => sendManifest(response, { 'Docker-Content-Digest': digestOf('other') }))
    await using poor = await serve((_, response) => response.writeHead(404).end())
    await using silent = await serve(() => {})
    await using good = await serve((_, response) => sendManifest(response))
    const client = newClient({ mirrors: [liar, poor, silent, good].map(({ address }) => `http://${address}`), answerTimeout: 100 })
    for (let times = 0; times < 2; times++) expect((await client.manifest(hub, call)).digest).toBe(digestOf(manifest))
    // Who did not answer is not waited for again.
    expect([liar, poor, silent, good].map(({ asked }) => asked.length)).toEqual([2, 2, 1, 2])
  })

  it('that break off in the middle are replaced where they broke', async () => {
    await using breaking = await serve((_, response) => response.writeHead(200, { 'Content-Length': content.length }).write(content.subarray(0, 1000), () => setImmediate(() => response.destroy())))
    await using good = await serve((_, response) => response.end(content))
    const client = newClient({ mirrors: [`http://${breaking.address}`, `http://${good.address}`] })
    expect(digestOf(Buffer.concat(await Array.fromAsync(client.blob(hub, blob, call))))).toBe(blob.digest)
    expect([breaking.asked.length, good.asked.length]).toEqual([1, 1])
  })

  it('are for Docker Hub alone', async () => {
    await using mirror = await serve((_, response) => sendManifest(response))
    await using server = await serve((_, response) => response.writeHead(404).end())
    await expect(newClient({ mirrors: [`http://${mirror.address}`] }).manifest(at(server.address), call)).rejects.toMatchObject({ kind: 'not-found' })
    expect(mirror.asked).toEqual([])
  })

  it.each(['nothing', 'ftp://mirror', 'http://mirror/?query'])('%s is none', (mirror) => {
    expect(() => newClient({ mirrors: [mirror] })).toThrow('invalid mirror')
  })

  it('with a password in them are refused without repeating it', () => {
    expect(() => newClient({ mirrors: ['http://me:hunter2@mirror'] })).toThrow(/^invalid mirror: username\/password not allowed in URI$/)
  })
})

describe('a manifest', () => {
  const both = JSON.stringify({ ...(JSON.parse(manifest) as object), manifests: [] })
  const { mediaType: _, ...untyped } = JSON.parse(manifest) as Record<string, unknown>
  const serveDocument = (body: string, type: string) => serve((_request, response) => response.writeHead(200, { 'Content-Type': type }).end(body))

  it.each([mediaTypes.ociManifest, mediaTypes.ociIndex, mediaTypes.dockerManifest, 'application/json'])('that is an index, too, is refused under %s (CVE-2021-41190)', async (type) => {
    await using server = await serveDocument(both, type)
    await expect(newClient().manifest(at(server.address), call)).rejects.toMatchObject({ kind: 'invalid-argument' })
  })

  it.each([
    ['an index', manifest, mediaTypes.ociIndex],
    ["Docker's", manifest, mediaTypes.dockerManifest],
    ['an index, without a word of its own', JSON.stringify(untyped), mediaTypes.ociIndex],
  ])('that comes as %s is refused (CVE-2021-41190)', async (_name, body, type) => {
    await using server = await serveDocument(body, type)
    await expect(newClient().manifest(at(server.address), call)).rejects.toMatchObject({ kind: 'invalid-argument' })
  })

  it('is taken as what it says where a server of files knows no better', async () => {
    await using server = await serveDocument(manifest, 'application/json; charset=utf-8')
    expect((await newClient().manifest(at(server.address), call)).mediaType).toBe(mediaTypes.ociManifest)
  })

  it('is asked for again when the connection breaks, before and in the middle of it', async () => {
    let times = 0
    await using server = await serve((_request, response) => {
      times++
      if (times === 1) return response.destroy()
      response.writeHead(200, { 'Content-Type': mediaTypes.ociManifest, 'Content-Length': manifest.length })
      return times === 2 ? response.write(manifest.slice(0, 50), () => setImmediate(() => response.destroy())) : response.end(manifest)
    })
    expect((await newClient().manifest(at(server.address), call)).digest).toBe(digestOf(manifest))
    // The connection that was kept from the probe is replaced without counting.
    expect(server.asked.length).toBeGreaterThanOrEqual(3)
  })

  it('that is said to come back in an hour is not waited for', async () => {
    await using server = await serve((_request, response) => response.writeHead(429, { 'Retry-After': '3600' }).end())
    await expect(newClient().manifest(at(server.address), call)).rejects.toMatchObject({ kind: 'resource-exhausted' })
    expect(server.asked).toHaveLength(1)
  })

  it('is waited for until a date', async () => {
    let times = 0
    await using server = await serve((_request, response) => (times++ === 0 ? response.writeHead(503, { 'Retry-After': new Date(Date.now() - 1000).toUTCString() }).end() : sendManifest(response)))
    // A back-off of its own would outlast the test.
    expect((await newClient({ retryDelay: 1e6 }).manifest(at(server.address), call)).digest).toBe(digestOf(manifest))
  })
})

describe('a blob', () => {
  it('is not hashed for a reader who does, but still counted', async () => {
    await using server = await serve((_, response) => response.end(Buffer.alloc(content.length)))
    expect(digestOf(await read(newClient(), server.address, { verify: false }))).toBe(digestOf(Buffer.alloc(content.length)))
    await using longer = await serve((_, response) => response.end(Buffer.alloc(content.length + 1)))
    await expect(read(newClient(), longer.address, { verify: false })).rejects.toMatchObject({ code: 'BLOB_TOO_LONG' })
  })

  it('whose digest is none is not asked for', async () => {
    await using server = await serve((_, response) => response.end())
    await expect(newClient().blob(at(server.address), { ...blob, digest: '../../x' }, call).next()).rejects.toMatchObject({ kind: 'invalid-argument' })
    expect(server.asked).toEqual([])
  })
})

describe('a foreign layer', () => {
  const missing = '{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}'
  const foreign = (...urls: string[]) => ({ ...blob, mediaType: mediaTypes.ociForeignLayer, urls })
  const registry = (status = 404) =>
    serve((request, response) => (request.headers.authorization ? response.writeHead(status).end(missing) : response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end()))
  const fetch = async (address: string, urls: string[]) => Buffer.concat(await Array.fromAsync(newClient().blob(at(address), foreign(...urls), { ...call, auth })))

  it('is fetched from where it lies, without credentials, if its registry lacks it', async () => {
    const seen: (string | undefined)[] = []
    await using elsewhere = await serve((request, response) => {
      seen.push(request.headers.authorization)
      response.end(content)
    })
    await using server = await registry()
    expect(await fetch(server.address, ['ftp://x/', `http://me:hunter2@${elsewhere.address}/layer?secret-signature`])).toEqual(content)
    expect(seen).toEqual([undefined])
  })

  it('is verified', async () => {
    await using elsewhere = await serve((_, response) => response.end(Buffer.alloc(content.length)))
    await using server = await registry()
    await expect(fetch(server.address, [`http://${elsewhere.address}/`])).rejects.toMatchObject({ kind: 'data-loss' })
  })

  it('is not looked for elsewhere if its registry has it, or does not answer', async () => {
    await using elsewhere = await serve((_, response) => response.end(content))
    await using broken = await registry(403)
    await expect(fetch(broken.address, [`http://${elsewhere.address}/`])).rejects.toMatchObject({ kind: 'not-found' })
    expect(elsewhere.asked).toEqual([])
  })

  it('is not fetched by HTTP from where that is not allowed', async () => {
    await using server = await registry()
    await expect(fetch(server.address, ['http://192.0.2.1/layer'])).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' })
  })
})
