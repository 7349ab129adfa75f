import { Buffer } from 'node:buffer'
import { isKind } from '@berth/core'
import { BerthError } from '@berth/core'
import { describe, expect, test, vi } from 'vitest'
import { fakeEngine, type FakeEngine } from './fake-engine.ts'

const never = new AbortController().signal
const noFilters = new Map<string, string[]>()
const list = { all: true, size: false, filters: noFilters }
const logOptions = { stdout: true, stderr: true, follow: false, signal: never }
const gently = { force: false, volumes: false, link: false }
const forced = { force: true, volumes: true, link: false }

async function textOf(entries: AsyncIterable<{ line: Uint8Array }>): Promise<string> {
  let text = ''
  for await (const { line } of entries) text += Buffer.from(line).toString()
  return text
}

async function run(engine: FakeEngine, name: string, cmd: string[], host: object = {}, config: object = {}): Promise<string> {
  const { Id } = await engine.runtime.containers.create(name, { Image: 'busybox', Cmd: cmd, ...config, HostConfig: host }, {})
  await engine.runtime.containers.start(Id)
  return Id
}

async function stateOf(engine: FakeEngine, ref: string) {
  return (await engine.runtime.containers.inspect(ref, { size: false })).State
}

const exitOf = async (engine: FakeEngine, ref: string) => (await engine.runtime.containers.wait(ref, { condition: 'not-running', signal: never })).result

/** Nothing that a container needs is held by anybody. */
function expectClean({ world }: FakeEngine): void {
  const { reserved, attached, volumes, snapshots, logs, tasks } = world
  expect([reserved, attached, volumes, snapshots.snapshots, logs, tasks.tasks].map(({ size }) => size)).toEqual([0, 0, 0, 0, 0, 0])
}

test('create, start, wait, logs, inspect, remove', async () => {
  await using engine = await fakeEngine()
  const { containers } = engine.runtime
  const { Id } = await containers.create('one', { Image: 'busybox', Cmd: ['echo', 'hello'], Labels: { a: 'b' } }, {})
  expect(await stateOf(engine, 'one')).toMatchObject({ Status: 'created', StartedAt: '0001-01-01T00:00:00Z' })
  const { result } = await containers.wait('one', { condition: 'next-exit', signal: never })
  await containers.start(Id.slice(0, 12))
  expect(await result).toEqual({ StatusCode: 0 })
  expect(await textOf((await containers.logs('one', logOptions)).entries)).toBe('hello\n')
  const inspected = await containers.inspect('/one', { size: true })
  expect(inspected).toMatchObject({ Id, Name: '/one', Path: 'echo', Args: ['hello'], State: { Status: 'exited', ExitCode: 0, Running: false } })
  expect(await containers.list(list)).toMatchObject([{ Id, Names: ['/one'], State: 'exited', Command: 'echo hello' }])
  expect(engine.runtime.imagesInUse().get('sha256:a')).toMatchObject([{ id: Id, name: 'one', state: 'exited' }])
  await containers.remove('one', gently)
  expect(await containers.list(list)).toEqual([])
  expectClean(engine)
  expect(engine.events.map(({ action }) => action)).toEqual(['create', 'start', 'die', 'destroy'])
  expect(engine.events[2]?.attributes).toMatchObject({ image: 'busybox', name: 'one', a: 'b', exitCode: '0' })
})

describe('create', () => {
  test.each(['..', 'a', '-a', 'a/b', 'a\0b', ' ', '../../etc', `x${'y'.repeat(3)}\n`])('refuses the name %j', async (name) => {
    await using engine = await fakeEngine()
    const made = engine.runtime.containers.create(name, { Image: 'busybox', Cmd: ['true'] }, {})
    await expect(made).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining('only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed') })
    expectClean(engine)
  })

  test('makes up a name', async () => {
    await using engine = await fakeEngine()
    const { Id } = await engine.runtime.containers.create(undefined, { Image: 'busybox', Cmd: ['true'] }, {})
    expect(engine.runtime.names().get(Id)).toMatch(/^[a-z]+_[a-z]+$/)
  })

  test('a taken name is a conflict that names its owner', async () => {
    await using engine = await fakeEngine()
    const { containers } = engine.runtime
    const { Id } = await containers.create('web', { Image: 'busybox', Cmd: ['true'] }, {})
    await expect(containers.create('web', { Image: 'busybox', Cmd: ['true'] }, {})).rejects.toMatchObject({
      kind: 'conflict',
      message: `Conflict. The container name "/web" is already in use by container "${Id}". You have to remove (or rename) that container to be able to reuse that name.`,
    })
  })

  test.each([
    [{ Image: 'missing' }, 'not-found', 'No such image: missing'],
    [{}, 'invalid-argument', 'no image specified'],
    [{ Image: 'busybox' }, 'invalid-argument', 'No command specified'],
    [{ Image: 'busybox', Cmd: ['true'], WorkingDir: 'x' }, 'invalid-argument', "the working directory 'x' is invalid, it needs to be an absolute path"],
    [{ Image: 'busybox', Cmd: ['true'], HostConfig: { Memory: 1024 } }, 'invalid-argument', 'Minimum memory limit allowed is 6MB'],
    [{ Image: 'busybox', Cmd: ['true'], HostConfig: { NanoCpus: 1e15 } }, 'invalid-argument', 'range of CPUs is from 0.01 to'],
    [{ Image: 'busybox', Cmd: ['true'], HostConfig: { Runtime: 'no' } }, 'invalid-argument', 'unknown or invalid runtime name: no'],
    [{ Image: 'busybox', Cmd: ['true'], HostConfig: { LogConfig: { Type: 'no' } } }, 'invalid-argument', "logger: no log driver named 'no' is registered"],
    [{ Image: 'busybox', Cmd: ['true'], HostConfig: { LogConfig: { Config: { no: 'x' } } } }, 'invalid-argument', "unknown log opt 'no'"],
    [{ Image: 'busybox', Cmd: ['true'], HostConfig: { AutoRemove: true, RestartPolicy: { Name: 'always' } } }, 'invalid-argument', "can't create 'AutoRemove' container with restart policy"],
    [{ Image: 'busybox', Cmd: ['true'], HostConfig: { NetworkMode: 'container:nobody' } }, 'invalid-argument', 'No such container: nobody'],
  ] as const)('refuses %j', async (request, kind, message) => {
    await using engine = await fakeEngine()
    await expect(engine.runtime.containers.create('x1', request as object, {})).rejects.toMatchObject({ kind, message: expect.stringContaining(message) })
    expectClean(engine)
  })

  test.each(['reserve', 'volumes', 'prepare', 'mounts'])('leaves nothing when "%s" fails', async (operation) => {
    await using engine = await fakeEngine()
    engine.faults.set(operation, () => Promise.reject(new Error('broken')))
    await expect(engine.runtime.containers.create('x1', { Image: 'busybox', Cmd: ['true'] }, {})).rejects.toThrow('broken')
    engine.faults.clear()
    expectClean(engine)
    expect(await engine.runtime.containers.list(list)).toEqual([])
    await engine.runtime.containers.create('x1', { Image: 'busybox', Cmd: ['true'] }, {})
  })

  test('takes from the image what the request leaves open', async () => {
    await using engine = await fakeEngine({ Env: ['A=1', 'B=2'], Entrypoint: ['echo'], Cmd: ['image'], WorkingDir: '/srv', Labels: { x: 'image' }, User: 'web' })
    const { containers } = engine.runtime
    await containers.create('c1', { Image: 'busybox', Env: ['B=3'] }, {})
    expect((await containers.inspect('c1', { size: false })).Config).toMatchObject({
      Env: ['B=3', 'A=1'], Entrypoint: ['echo'], Cmd: ['image'], WorkingDir: '/srv', Labels: { x: 'image' }, User: 'web',
    }) // prettier-ignore
    await containers.create('c2', { Image: 'busybox', Entrypoint: ['true'] }, {})
    expect(await containers.inspect('c2', { size: false })).toMatchObject({ Path: 'true', Args: [] })
  })
})

test('a creation answers `not-found` for its image alone, as clients pull that', async () => {
  await using engine = await fakeEngine()
  const create = (request: object) => engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: ['true'], ...request }, {})
  await expect(create({ Image: 'missing' })).rejects.toMatchObject({ kind: 'not-found' })
  for (const host of [{ VolumesFrom: ['nobody'] }, { PidMode: 'container:nobody' }, { NetworkMode: 'container:nobody' }]) {
    await expect(create({ HostConfig: host })).rejects.toMatchObject({ kind: 'invalid-argument', message: 'No such container: nobody' })
  }
  engine.faults.set('reserve', () => Promise.reject(new BerthError('not-found', 'NETWORK_NOT_FOUND', 'network x not found')))
  await expect(create({})).rejects.toMatchObject({ kind: 'invalid-argument', code: 'NETWORK_NOT_FOUND', message: 'network x not found' })
  expectClean(engine)
})

test('a creation refuses what would silently not be given', async () => {
  await using engine = await fakeEngine()
  const create = (host: object) => engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: ['true'], HostConfig: host }, {})
  await expect(create({ DeviceRequests: [{ Driver: '', Capabilities: [['gpu']] }] })).rejects.toMatchObject({
    kind: 'invalid-argument', message: 'could not select device driver "" with capabilities: [[gpu]]',
  }) // prettier-ignore
  await expect(create({ StorageOpt: { size: '1g' } })).rejects.toMatchObject({ kind: 'invalid-argument' })
})

describe('start', () => {
  test('a missing command leaves a created container with exit code 127', async () => {
    await using engine = await fakeEngine()
    await expect(run(engine, 'c1', ['nothere'])).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining('executable file not found in $PATH') })
    expect(await stateOf(engine, 'c1')).toMatchObject({ Status: 'created', ExitCode: 127, Error: expect.stringContaining('failed to create task for container') })
    expect(engine.world.attached.size).toBe(0)
    expect(engine.world.tasks.tasks.size).toBe(0)
  })

  test('a container to be removed goes when it cannot be started', async () => {
    await using engine = await fakeEngine()
    await expect(run(engine, 'c1', ['nothere'], { AutoRemove: true })).rejects.toThrow('executable file not found')
    expect(await engine.runtime.containers.list(list)).toEqual([])
    expectClean(engine)
  })

  test('a container to be removed goes when its port is taken', async () => {
    await using engine = await fakeEngine()
    engine.faults.set('attach', () => {
      throw new BerthError('conflict', 'PORT_TAKEN', 'port is already allocated')
    })
    await expect(run(engine, 'c1', ['true'], { AutoRemove: true })).rejects.toThrow('port is already allocated')
    expect(await engine.runtime.containers.list(list)).toEqual([])
    expectClean(engine)
  })

  test.each(['attach', 'create', 'start', 'mounts'])('gives everything back when "%s" fails', async (operation) => {
    await using engine = await fakeEngine()
    const { Id } = await engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: ['true'] }, {})
    engine.faults.set(operation, () => Promise.reject(new Error('broken')))
    await expect(engine.runtime.containers.start(Id)).rejects.toThrow('broken')
    expect([engine.world.attached.size, engine.world.tasks.tasks.size]).toEqual([0, 0])
    expect(await stateOf(engine, 'c1')).toMatchObject({ Status: 'created', ExitCode: 128, Error: expect.stringContaining('broken') })
    engine.faults.clear()
    await engine.runtime.containers.start(Id)
    expect(await exitOf(engine, Id)).toEqual({ StatusCode: 0 })
  })

  test('two at once start it once', async () => {
    await using engine = await fakeEngine()
    const { containers } = engine.runtime
    await containers.create('c1', { Image: 'busybox', Cmd: ['sleep'] }, {})
    const results = await Promise.allSettled([containers.start('c1'), containers.start('c1')])
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(results.some((result) => result.status === 'rejected' && isKind(result.reason, 'not-modified'))).toBe(true)
    expect(engine.events.filter(({ action }) => action === 'start')).toHaveLength(1)
    await containers.remove('c1', forced)
    expectClean(engine)
  })

  test('a removal by force during a start waits for it and leaves nothing', async () => {
    await using engine = await fakeEngine()
    const { containers } = engine.runtime
    await containers.create('c1', { Image: 'busybox', Cmd: ['sleep'] }, {})
    const reached = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    engine.faults.set('create', () => (reached.resolve(), gate.promise))
    const started = containers.start('c1')
    await reached.promise
    const removed = containers.remove('c1', forced)
    await expect(containers.remove('c1', forced)).rejects.toMatchObject({ kind: 'conflict', message: 'removal of container c1 is already in progress' })
    gate.resolve()
    await Promise.all([started, removed])
    expectClean(engine)
  })
})

describe('stop and kill', () => {
  test('a stop asks first', async () => {
    await using engine = await fakeEngine()
    await run(engine, 'c1', ['serve'])
    await engine.runtime.containers.stop('c1', { timeout: 60 })
    expect(await stateOf(engine, 'c1')).toMatchObject({ Status: 'exited', ExitCode: 0 })
    expect(engine.events.map(({ action }) => action)).toEqual(['create', 'start', 'kill', 'die', 'stop'])
    await expect(engine.runtime.containers.stop('c1', {})).rejects.toMatchObject({ kind: 'not-modified' })
  })

  test('a stop kills when its time is over', async () => {
    await using engine = await fakeEngine()
    await run(engine, 'c1', ['stubborn'])
    await engine.runtime.containers.stop('c1', { timeout: 0 })
    expect(await stateOf(engine, 'c1')).toMatchObject({ Status: 'exited', ExitCode: 137 })
    expect(engine.events.filter(({ action }) => action === 'kill').map(({ attributes }) => attributes['signal'])).toEqual(['15', '9'])
  })

  test('two stops at once both succeed', async () => {
    await using engine = await fakeEngine()
    await run(engine, 'c1', ['serve'])
    await Promise.all([engine.runtime.containers.stop('c1', { timeout: 60 }), engine.runtime.containers.stop('c1', { timeout: 60 })])
    expect((await stateOf(engine, 'c1'))?.Running).toBe(false)
  })

  test('kill by name, number, and of what does not run', async () => {
    await using engine = await fakeEngine()
    const id = await run(engine, 'c1', ['serve'])
    const { containers } = engine.runtime
    await expect(containers.kill('c1', { signal: 'NOPE' })).rejects.toMatchObject({ kind: 'invalid-argument', message: 'Invalid signal: NOPE' })
    await containers.kill('c1', { signal: 'SIGHUP' })
    expect((await stateOf(engine, 'c1'))?.Running).toBe(true)
    await containers.kill('c1', { signal: '9' })
    expect(await exitOf(engine, 'c1')).toEqual({ StatusCode: 137 })
    await expect(containers.kill('c1', {})).rejects.toMatchObject({ kind: 'conflict', message: `Cannot kill container: c1: Container ${id} is not running` })
  })

  test('a running container is not removed without force, a paused one not even stopped without being thawed', async () => {
    await using engine = await fakeEngine()
    await run(engine, 'c1', ['serve'])
    const { containers } = engine.runtime
    await expect(containers.remove('c1', gently)).rejects.toMatchObject({
      kind: 'conflict', message: 'cannot remove container "/c1": container is running: stop the container before removing or force remove',
    }) // prettier-ignore
    await containers.pause('c1')
    expect(await stateOf(engine, 'c1')).toMatchObject({ Status: 'paused', Running: true, Paused: true })
    await expect(containers.pause('c1')).rejects.toMatchObject({ kind: 'conflict' })
    await expect(containers.start('c1')).rejects.toThrow('cannot start a paused container, try unpause instead')
    await containers.unpause('c1')
    await containers.pause('c1')
    await containers.stop('c1', { timeout: 60 })
    expect(await stateOf(engine, 'c1')).toMatchObject({ Status: 'exited', Paused: false })
    await containers.remove('c1', gently)
    expectClean(engine)
  })

  test('restart', async () => {
    await using engine = await fakeEngine()
    await run(engine, 'c1', ['serve'], { AutoRemove: true })
    await engine.runtime.containers.restart('c1', { timeout: 60 })
    expect(await stateOf(engine, 'c1')).toMatchObject({ Status: 'running' })
    expect(engine.events.map(({ action }) => action)).toEqual(['create', 'start', 'kill', 'die', 'stop', 'start', 'restart'])
    await engine.runtime.containers.stop('c1', { timeout: 60 })
    expect(await engine.runtime.containers.list(list)).toEqual([])
    await vi.waitFor(() => expectClean(engine))
  })
})

test.each(['stop', 'kill'] as const)('a %s waits for a start that is under way', async (operation) => {
  await using engine = await fakeEngine()
  await engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: ['serve'] }, {})
  const reached = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  engine.faults.set('start', () => (reached.resolve(), goOn.promise))
  const started = engine.runtime.containers.start('c1')
  await reached.promise
  const ended = engine.runtime.containers[operation]('c1', { timeout: 60 })
  goOn.resolve()
  await Promise.all([started, ended])
  expect(await stateOf(engine, 'c1')).toMatchObject({ Status: 'exited' })
})

test('--rm: the removal is told after the end', async () => {
  await using engine = await fakeEngine()
  const { containers } = engine.runtime
  await containers.create('c1', { Image: 'busybox', Cmd: ['exit', '3'], HostConfig: { AutoRemove: true } }, {})
  const { result } = await containers.wait('c1', { condition: 'removed', signal: never })
  await containers.start('c1')
  expect(await result).toEqual({ StatusCode: 3 })
  await expect(containers.inspect('c1', { size: false })).rejects.toMatchObject({ kind: 'not-found', message: 'No such container: c1' })
  expect([engine.world.reserved.size, engine.runtime.imagesInUse().size]).toEqual([0, 0])
  await containers.create('c1', { Image: 'busybox', Cmd: ['true'] }, {})
  await containers.remove('c1', gently)
  await vi.waitFor(() => expectClean(engine))
})

test('--rm: a container with volumes is gone with all of them', async () => {
  await using engine = await fakeEngine({}, ({ volumes }) => ({ volumes: { ...volumes, mountPoints: () => [{ Type: 'volume', Destination: '/data' }] } }))
  await run(engine, 'c1', ['exit', '3'], { AutoRemove: true })
  const { action } = await engine.event('destroy')
  expect(action).toBe('destroy')
  expectClean(engine)
})

test('--rm: what is not given back when the engine ends is given back by the next', async () => {
  await using engine = await fakeEngine()
  engine.faults.set('remove', () => Promise.reject(new Error('busy')))
  await run(engine, 'c1', ['exit', '3'], { AutoRemove: true })
  await engine.event('destroy')
  engine.faults.clear()
  await engine.restart()
  expect(await engine.runtime.containers.list(list)).toEqual([])
  expectClean(engine)
})

test('a removal that fails is told, can be repeated, and survives a restart of the engine', async () => {
  await using engine = await fakeEngine()
  await engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: ['true'] }, {})
  engine.faults.set('remove', () => Promise.reject(new Error('busy')))
  await expect(engine.runtime.containers.remove('c1', gently)).rejects.toThrow('busy')
  expect(await engine.runtime.containers.list(list)).toMatchObject([{ State: 'dead' }])
  engine.faults.clear()
  await engine.restart()
  expect(await engine.runtime.containers.list(list)).toEqual([])
  expectClean(engine)
})

test('memory: a killed container says so', async () => {
  await using engine = await fakeEngine()
  await run(engine, 'c1', ['oom'])
  expect(await exitOf(engine, 'c1')).toEqual({ StatusCode: 137 })
  expect(await stateOf(engine, 'c1')).toMatchObject({ OOMKilled: true })
  expect(engine.events.map(({ action }) => action)).toContain('oom')
})

test('names: rename, prefixes, conflicts', async () => {
  await using engine = await fakeEngine()
  const { containers } = engine.runtime
  const { Id } = await containers.create('old', { Image: 'busybox', Cmd: ['true'] }, {})
  await containers.create('other', { Image: 'busybox', Cmd: ['true'] }, {})
  await expect(containers.rename('old', 'other')).rejects.toMatchObject({ kind: 'conflict' })
  await expect(containers.rename('old', 'old')).rejects.toMatchObject({ kind: 'invalid-argument' })
  await containers.rename('old', 'new')
  expect(engine.runtime.resolveId('new')).toBe(Id)
  expect(() => engine.runtime.resolveId('old')).toThrow('No such container: old')
  expect(engine.events.at(-1)).toMatchObject({ action: 'rename', attributes: { oldName: '/old', name: 'new' } })
  engine.faults.set('rename', () => Promise.reject(new Error('broken')))
  await expect(containers.rename('new', 'newer')).rejects.toThrow('broken')
  expect(engine.runtime.resolveId('new')).toBe(Id)
  for (let n = 0; n < 16; n++) await containers.create(`c${n}-`, { Image: 'busybox', Cmd: ['true'] }, {})
  const ids = [...engine.runtime.names().keys()].map((id) => id[0] ?? '')
  const twice = ids.find((digit, index) => ids.indexOf(digit) !== index) ?? ''
  expect(() => engine.runtime.resolveId(twice)).toThrow(`Multiple IDs found with provided prefix: ${twice}`)
})

test('update changes limits at once and keeps what is not said', async () => {
  await using engine = await fakeEngine()
  const id = await run(engine, 'c1', ['serve'], { Memory: 64 * 2 ** 20, CpuShares: 512 })
  await engine.runtime.containers.update('c1', { Memory: 128 * 2 ** 20, RestartPolicy: { Name: 'always' } })
  expect(engine.world.tasks.tasks.get(id)?.resources).toMatchObject({ memory: { limit: 128 * 2 ** 20 }, cpu: { shares: 512 } })
  expect((await engine.runtime.containers.inspect('c1', { size: false })).HostConfig).toMatchObject({ CpuShares: 512, RestartPolicy: { Name: 'always' } })
  await expect(engine.runtime.containers.update('c1', { Memory: 1 })).rejects.toThrow('Minimum memory limit')
  await engine.runtime.containers.remove('c1', forced)
})

test('prune takes what does not run', async () => {
  await using engine = await fakeEngine()
  await run(engine, 'on', ['serve'])
  await run(engine, 'off', ['true'], {}, { Labels: { keep: 'yes' } })
  await exitOf(engine, 'off')
  expect((await engine.runtime.containers.prune(new Map([['label!', ['keep']]]))).ContainersDeleted).toEqual([])
  expect((await engine.runtime.containers.prune(new Map([['until', ['1h']]]))).ContainersDeleted).toEqual([])
  await expect(engine.runtime.containers.prune(new Map([['nope', ['x']]]))).rejects.toMatchObject({ kind: 'invalid-argument' })
  expect((await engine.runtime.containers.prune(noFilters)).ContainersDeleted).toHaveLength(1)
  expect(await engine.runtime.containers.list(list)).toMatchObject([{ Names: ['/on'] }])
})

test.each<[Record<string, string[]>, string[]]>([
  [{ label: ['app'] }, ['web', 'db']],
  [{ label: ['app=web'] }, ['web']],
  [{ label: ['app', 'tier=b'] }, ['db']],
  [{ 'label!': ['app'] }, ['plain']],
  [{ 'label!': ['app=web'] }, ['db', 'plain']],
  [{ label: ['app'], 'label!': ['tier=b'] }, ['web']],
  [{ until: ['1h'] }, []],
  [{ until: [String(Math.floor(Date.now() / 1000) + 3600)] }, ['web', 'db', 'plain']],
  [{ until: ['1h'], label: ['app'] }, []],
])('prune with %j takes %j', async (filters, expected) => {
  await using engine = await fakeEngine()
  const { containers } = engine.runtime
  const names = new Map<string, string>()
  for (const [name, Labels] of [['web', { app: 'web', tier: 'a' }], ['db', { app: 'db', tier: 'b' }], ['plain', {}]] as const) {
    names.set((await containers.create(name, { Image: 'busybox', Cmd: ['true'], Labels }, {})).Id, name)
  }
  const { ContainersDeleted } = await containers.prune(new Map(Object.entries(filters)))
  expect(ContainersDeleted.map((id) => names.get(id))).toEqual(expected)
  const left = [...names.keys()].filter((id) => !ContainersDeleted.includes(id))
  expect(new Set((await containers.list(list)).map(({ Id }) => Id))).toEqual(new Set(left))
})

test('prune refuses a filter that it cannot read', async () => {
  await using engine = await fakeEngine()
  await engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: ['true'] }, {})
  for (const until of [['yesterday'], ['1h', '2h']]) await expect(engine.runtime.containers.prune(new Map([['until', until]]))).rejects.toMatchObject({ kind: 'invalid-argument' })
  expect(await engine.runtime.containers.list(list)).toHaveLength(1)
})

test('list filters', async () => {
  await using engine = await fakeEngine()
  const { containers } = engine.runtime
  const first = await run(engine, 'web-1', ['serve'], {}, { Labels: { app: 'web', tier: 'a' } })
  await run(engine, 'job', ['exit', '3'], {}, { Labels: { app: 'job' } })
  await exitOf(engine, 'job')
  const names = async (filters: Record<string, string[]>, all = true) =>
    (await containers.list({ all, size: false, filters: new Map(Object.entries(filters)) })).map(({ Names }) => Names?.[0])
  expect(await names({})).toEqual(['/job', '/web-1'])
  expect(await names({}, false)).toEqual(['/web-1'])
  expect(await names({ status: ['exited'] }, false)).toEqual(['/job'])
  expect(await names({ exited: ['3'] })).toEqual(['/job'])
  expect(await names({ exited: ['0'] })).toEqual([])
  expect(await names({ label: ['app'] })).toEqual(['/job', '/web-1'])
  expect(await names({ label: ['app=web', 'tier=a'] })).toEqual(['/web-1'])
  expect(await names({ label: ['app=web', 'tier=b'] })).toEqual([])
  expect(await names({ name: ['web'] })).toEqual(['/web-1'])
  expect(await names({ name: ['^/job$', '^web'] })).toEqual(['/job', '/web-1'])
  expect(await names({ id: [first.slice(0, 8)] })).toEqual(['/web-1'])
  expect(await names({ since: ['web-1'] })).toEqual(['/job'])
  expect(await names({ before: ['job'] })).toEqual(['/web-1'])
  expect(await names({ ancestor: ['busybox'] })).toHaveLength(2)
  expect(await names({ ancestor: ['other'] })).toEqual([])
  expect(await names({ network: ['bridge'], status: ['running'] })).toEqual(['/web-1'])
  expect(await names({ publish: ['8080'] })).toHaveLength(2)
  expect(await names({ publish: ['8081-8090'] })).toEqual([])
  await expect(names({ status: ['nope'] })).rejects.toThrow("invalid filter 'status=nope'")
  await expect(names({ nope: ['x'] })).rejects.toThrow("invalid filter 'nope'")
  expect((await containers.list({ all: false, limit: 1, size: false, filters: noFilters })).map(({ Names }) => Names?.[0])).toEqual(['/job'])
  expect((await containers.list({ ...list, filters: new Map([['name', ['job']]]) }))[0]?.Status).toMatch(/^Exited \(3\) Less than a second ago$/)
  await containers.remove('web-1', forced)
})
