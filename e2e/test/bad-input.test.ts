import { execFileSync } from 'node:child_process'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, type RunningCommand, TestHost } from '../src/index.ts'

interface Answer {
  status: number
  message: string
}

describe('bad input', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  function ask(method: string, path: string, { body, headers = {} }: { body?: string | Buffer; headers?: Record<string, string> } = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request({ socketPath: daemon.socket, method, path, headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers } }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          let message = text
          try {
            message = (JSON.parse(text) as { message: string }).message
          } catch {
            // not every refusal has a body of ours: a malformed request is refused before it is one
          }
          resolve({ status: response.statusCode ?? 0, message })
        })
        response.on('error', reject)
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }
  const create = (config: unknown, query = ''): Promise<Answer> => ask('POST', `/containers/create${query}`, { body: JSON.stringify(config) })

  it.each([
    ['GET', '/containers/nope/json', 404, /No such container: nope/],
    ['POST', '/containers/nope/start', 404, /No such container: nope/],
    ['DELETE', '/containers/nope', 404, /No such container: nope/],
    ['GET', '/containers/nope/logs?stdout=1', 404, /No such container: nope/],
    ['GET', '/images/nope/json', 404, /No such image: nope/],
    ['DELETE', '/images/nope', 404, /No such image: nope/],
    ['GET', '/networks/nope', 404, /network nope not found/],
    ['GET', '/volumes/nope', 404, /get nope: no such volume/],
    ['GET', '/exec/nope/json', 404, /No such exec instance: nope/],
    ['GET', '/containers/..%2f..%2fetc/json', 404, /No such container/],
    ['GET', '/containers/a%00b/json', 400, /invalid|NUL|character/i],
    ['GET', '/nonsense', 404, /page not found/],
    ['GET', '/containers/json?filters=nonsense', 400, /invalid/],
    ['GET', '/containers/json?limit=many', 400, /limit|many/],
    ['POST', '/images/create?fromImage=UPPER', 400, /invalid reference format: repository name .*must be lowercase/],
    ['POST', '/images/create?fromImage=..%2f..%2fx', 400, /invalid reference format/],
    ['POST', '/images/create?fromImage=a%00b', 400, /invalid reference format/],
    ['POST', '/containers/nope/wait?condition=nonsense', 400, /invalid condition/],
  ])('%s %s', async (method, path, status, message) => {
    expect(await ask(method, path)).toEqual({ status, message: expect.stringMatching(message) })
  })

  it.each([
    ['no image', {}, 400, /image/i],
    ['an unknown image', { Image: 'nope:1' }, 404, /No such image: nope:1/],
    ['a command that is no list', { Image: 'busybox', Cmd: { a: 1 } }, 400, /Cmd/],
    ['memory that is text', { Image: 'busybox', HostConfig: { Memory: 'much' } }, 400, /HostConfig\.Memory/],
    ['memory that is too little', { Image: 'busybox', HostConfig: { Memory: 1 } }, 400, /Minimum memory limit allowed is 6MB/],
    ['a bind that is no list', { Image: 'busybox', HostConfig: { Binds: 'x:/y' } }, 400, /HostConfig\.Binds/],
    ['a bind over the root', { Image: 'busybox', HostConfig: { Binds: ['/:/'] } }, 400, /destination can't be '\/'/],
    ['a port that is none', { Image: 'busybox', HostConfig: { PortBindings: { '99999/tcp': [{}] } } }, 400, /99999|port/i],
    ['an unknown network', { Image: 'busybox', HostConfig: { NetworkMode: 'nowhere' } }, 400, /network nowhere not found/],
    ['an unknown restart policy', { Image: 'busybox', HostConfig: { RestartPolicy: { Name: 'maybe' } } }, 400, /restart policy/i],
    ['an unknown log driver', { Image: 'busybox', HostConfig: { LogConfig: { Type: 'carrier-pigeon' } } }, 400, /carrier-pigeon/],
    ['an unknown runtime', { Image: 'busybox', HostConfig: { Runtime: 'walk' } }, 400, /walk/],
    ['a cgroup parent that climbs', { Image: 'busybox', HostConfig: { CgroupParent: '/../../x' } }, 400, /cgroup/i],
  ])('a container with %s', async (_what, config, status, message) => {
    expect(await create(config)).toEqual({ status, message: expect.stringMatching(message) })
    expect(await daemon.ok('ps', '-aq')).toBe('')
  })

  it.each(['..', '../x', 'a b', 'a/b', '-a', 'a\0b', 'é'])('a container named %j', async (name) => {
    expect(await create({ Image: 'busybox', Cmd: ['true'] }, `?name=${encodeURIComponent(name)}`)).toEqual({ status: 400, message: expect.stringMatching(/Invalid container name/) })
  })

  it('malformed JSON, nothing, a wrong type of content', async () => {
    expect(await ask('POST', '/containers/create', { body: '{"Image":' })).toEqual({ status: 400, message: expect.stringMatching(/JSON/i) })
    expect(await ask('POST', '/containers/create', { body: '' })).toMatchObject({ status: 400 })
    expect(await ask('POST', '/containers/create', { body: '[]' })).toMatchObject({ status: 400 })
    expect(await ask('POST', '/containers/create', { body: '{}', headers: { 'Content-Type': 'text/plain' } })).toMatchObject({ status: 400 })
    expect(await ask('POST', '/volumes/create', { body: '{"Name":"../x"}' })).toMatchObject({ status: 400 })
    expect(await ask('POST', '/networks/create', { body: '{"Name":""}' })).toMatchObject({ status: 400 })
  })

  it('too much of anything', async () => {
    const huge = JSON.stringify({ Image: 'busybox', Labels: { a: 'x'.repeat(16 << 20) } })
    const answer = await ask('POST', '/containers/create', { body: huge }).catch((error: NodeJS.ErrnoException) => ({ status: error.code === 'EPIPE' || error.code === 'ECONNRESET' ? 413 : 0 }))
    expect(answer.status).toBe(413)
    expect(await ask('GET', '/_ping', { headers: { 'X-Big': 'x'.repeat(64 << 10) } })).toMatchObject({ status: 431 })
    let deep = '1'
    for (let depth = 0; depth < 100_000; depth++) deep = `[${deep}]`
    expect((await ask('POST', '/containers/create', { body: `{"Image":"busybox","Cmd":${deep}}` })).status).toBe(400)
    expect((await ask('GET', '/_ping')).status).toBe(200)
  })

  describe('a registry that', () => {
    let registry: RunningCommand
    beforeAll(async () => {
      registry = host.spawn(process.execPath, [join(import.meta.dirname, '../fixtures/hostile-registry.ts')])
      await registry.saw(/ready/)
    })
    afterAll(async () => {
      registry.kill()
      await registry.done
    })
    /** Blobs, partial downloads and layers, but for those of busybox. */
    const stored = (): Set<string> => new Set(execFileSync('find', [join(daemon.dataRoot, 'images'), join(daemon.dataRoot, 'snapshots'), '-mindepth', '1', '-not', '-name', '*.db*'], { encoding: 'utf8' }).split('\n'))

    it.each([
      ['refuses', /pull access denied|denied: not for you/],
      ['truncates', /connection reset by peer|unexpected EOF/],
      ['lies', /verification failed|digest/i],
      ['talks', /manifest|media ?type|not valid|invalid/i],
    ])('%s', async (repository, message) => {
      const before = stored()
      expect(await daemon.docker(['pull', `127.0.0.1:5055/${repository}`])).toMatchObject({ code: 1, stderr: expect.stringMatching(message) })
      expect(await daemon.docker(['run', '--rm', `127.0.0.1:5055/${repository}`])).toMatchObject({ code: 125, stderr: expect.stringMatching(message) })
      // A blob that broke off may be kept for the next try; nothing that was lied about is.
      const kept = repository === 'truncates' ? [] : [...stored().difference(before)]
      expect(kept).toEqual([])
      expect(await daemon.ok('images', '-aq', '--filter', `reference=127.0.0.1:5055/${repository}`)).toBe('')
    })

    it('never answers, until the client has enough', async () => {
      const pull = daemon.spawnDocker(['pull', '127.0.0.1:5055/silent'])
      await registry.saw(/asked and not answered/)
      expect((await ask('GET', '/_ping')).status).toBe(200)
      pull.kill('SIGINT')
      await pull.done
      expect(await daemon.ok('images', '-aq', '--filter', 'reference=127.0.0.1:5055/silent')).toBe('')
    })

    it('refuses the connection', async () => {
      expect(await daemon.docker(['pull', '127.0.0.1:1/x'])).toMatchObject({ code: 1, stderr: expect.stringMatching(/refused|ECONNREFUSED/) })
    })
  })

  it('leaves nothing behind', async () => {
    expect(await daemon.ok('ps', '-aq')).toBe('')
    expect(await daemon.ok('volume', 'ls', '-q')).toBe('')
    expect(await daemon.ok('network', 'ls', '-q', '--filter', 'type=custom')).toBe('')
  })
})
