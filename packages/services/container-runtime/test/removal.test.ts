import { BerthError } from '@berth/core'
import { expect, test, vi } from 'vitest'
import { fakeEngine, type FakeEngine } from './fake-engine.ts'

const list = { all: true, size: false, filters: new Map<string, string[]>() }
const gently = { force: false, volumes: true, link: false }
const forced = { force: true, volumes: true, link: false }
const never = new AbortController().signal
/** Long enough for what a retry takes. */
const later = { timeout: 10_000, interval: 20 }

const impatient = (patience = 50) => fakeEngine({}, () => ({}), { patience })
const hangs = () => new Promise<void>(() => {})

async function run(engine: FakeEngine, cmd: string[] = ['sleep'], host: object = {}): Promise<string> {
  const { Id } = await engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: cmd, HostConfig: host }, {})
  await engine.runtime.containers.start(Id)
  return Id
}

/** Nothing that a container needs is held by anybody. */
function expectClean({ world }: FakeEngine): void {
  const { reserved, attached, volumes, snapshots, logs, tasks } = world
  expect([reserved, attached, volumes, snapshots.snapshots, logs, tasks.tasks].map(({ size }) => size)).toEqual([0, 0, 0, 0, 0, 0])
}

async function expectGone(engine: FakeEngine): Promise<void> {
  const { containers } = engine.runtime
  expect(await containers.list(list)).toEqual([])
  await expect(containers.inspect('c1', { size: false })).rejects.toMatchObject({ kind: 'not-found' })
}

test('a process that cannot be killed does not keep its container: the name and the network are free at once, the rest when it ends', async () => {
  await using engine = await impatient()
  const id = await run(engine)
  const { result } = await engine.runtime.containers.wait('c1', { condition: 'removed', signal: never })
  const dead = () => Promise.reject(new BerthError('not-found', 'X', 'no such process'))
  engine.faults.set('kill', dead).set('destroy', () => Promise.reject(new Error('it does not die')))
  await engine.runtime.containers.remove('c1', forced)
  await expectGone(engine)
  expect(engine.events.at(-1)).toMatchObject({ action: 'destroy', id })
  expect(await result).toEqual({ StatusCode: 0 })
  expect([engine.world.attached.size, engine.world.snapshots.snapshots.size, engine.runtime.ids().has(id)]).toEqual([0, 1, true])
  // Somebody else is called that now, and is not disturbed by what comes later.
  await engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: ['true'] }, {})
  engine.faults.clear()
  await vi.waitFor(() => expect(engine.world.tasks.tasks.size).toBe(0), later)
  await vi.waitFor(() => expect(engine.runtime.ids().has(id)).toBe(false), later)
  expect((await engine.runtime.containers.inspect('c1', { size: false })).State).toMatchObject({ Status: 'created' })
  await engine.runtime.containers.remove('c1', gently)
  expectClean(engine)
  expect(engine.events.filter((event) => event.id === id).map(({ action }) => action)).toEqual(['create', 'start', 'kill', 'destroy'])
})

test('a supervisor that does not answer is killed', async () => {
  await using engine = await impatient()
  await run(engine)
  engine.faults.set('kill', hangs)
  await engine.runtime.containers.remove('c1', forced)
  expect(engine.events.at(-1)).toMatchObject({ action: 'destroy' })
  await expectGone(engine)
  expectClean(engine)
})

test('what cannot be killed is told as Docker does', async () => {
  await using engine = await impatient()
  const id = await run(engine)
  engine.faults.set('kill', () => Promise.reject(new BerthError('not-found', 'X', 'no such process')))
  const message = `Cannot kill container: ${id}: tried to kill container, but did not receive an exit event`
  await expect(engine.runtime.containers.kill('c1', {})).rejects.toMatchObject({ kind: 'internal', message })
  await expect(engine.runtime.containers.stop('c1', { timeout: 0 })).rejects.toMatchObject({ kind: 'internal', message })
  engine.faults.clear()
  await engine.runtime.containers.remove('c1', forced)
  expectClean(engine)
})

test.each([
  ['fails', () => Promise.reject(new Error('busy'))],
  ['hangs', hangs],
])('a root file system whose removal %s does not keep its container from being removed by force', async (_how, fault) => {
  await using engine = await impatient()
  await run(engine)
  engine.faults.set('remove', fault)
  await engine.runtime.containers.remove('c1', forced)
  await expectGone(engine)
  await engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: ['true'] }, {})
  expect(engine.events.at(-1)).toMatchObject({ action: 'create' })
})

test('a start whose runtime hangs does not hold up a removal by force, and begins nothing when it goes on after all', async () => {
  await using engine = await impatient()
  const begun = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  engine.faults.set('create', () => (begun.resolve(), goOn.promise))
  const { Id } = await engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: ['sleep'] }, {})
  const started = engine.runtime.containers.start(Id).catch((error: unknown) => error)
  await begun.promise
  await engine.runtime.containers.remove('c1', forced)
  await expectGone(engine)
  await engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: ['true'] }, {})
  goOn.resolve()
  expect(await started).toMatchObject({ kind: 'conflict' })
  await vi.waitFor(() => expect(engine.runtime.ids().has(Id)).toBe(false), later)
  expect(engine.events.filter((event) => event.id === Id).map(({ action }) => action)).toEqual(['create', 'destroy'])
  await engine.runtime.containers.remove('c1', gently)
  expectClean(engine)
})

test('a prune goes on behind a container that cannot be removed', async () => {
  await using engine = await impatient()
  const { containers } = engine.runtime
  const stuck = await containers.create('stuck', { Image: 'busybox', Cmd: ['true'] }, {})
  const other = await containers.create('other', { Image: 'busybox', Cmd: ['true'] }, {})
  engine.faults.set('remove', (id) => (id === stuck.Id ? Promise.reject(new Error('busy')) : undefined))
  expect((await containers.prune(new Map())).ContainersDeleted).toEqual([other.Id])
  expect(await containers.list(list)).toMatchObject([{ Id: stuck.Id, State: 'dead' }])
})

test('what a forced removal left is given back in the background, or by the next engine', async () => {
  await using engine = await impatient()
  await run(engine)
  engine.faults.set('remove', () => Promise.reject(new Error('busy')))
  await engine.runtime.containers.remove('c1', forced)
  await run(engine)
  await engine.runtime.containers.remove('c1', forced)
  await engine.restart()
  await expectGone(engine)
  expect(engine.world.snapshots.snapshots.size).toBe(2)
  engine.faults.clear()
  await vi.waitFor(() => expectClean(engine), later)
  expect(engine.runtime.ids().size).toBe(0)
})

test('a container that could not be removed is dead, is found by its name until somebody has it, and goes by itself later', async () => {
  await using engine = await impatient()
  const id = await run(engine, ['true'])
  await engine.event('die')
  engine.faults.set('remove', () => Promise.reject(new Error('busy')))
  await expect(engine.runtime.containers.remove('c1', gently)).rejects.toThrow('busy')
  expect(await engine.runtime.containers.list(list)).toMatchObject([{ Id: id, Names: ['/c1'], State: 'dead' }])
  expect(engine.runtime.resolveId('c1')).toBe(id)
  const { Id: other } = await engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: ['true'] }, {})
  expect(engine.runtime.resolveId('c1')).toBe(other)
  await expect(engine.runtime.containers.rename(id, 'c2')).rejects.toMatchObject({ kind: 'conflict' })
  await expect(engine.runtime.containers.start(id)).rejects.toMatchObject({ kind: 'conflict' })
  engine.faults.clear()
  await vi.waitFor(() => expect(engine.runtime.ids().has(id)).toBe(false), later)
  expect(engine.events.at(-1)).toMatchObject({ action: 'destroy', id })
  await engine.runtime.containers.remove('c1', gently)
  expectClean(engine)
})

test('the engine ends in order: what others depend on is stopped after these', async () => {
  await using engine = await fakeEngine()
  await run(engine, ['serve'])
  for (const name of ['c2', 'c3']) {
    await engine.runtime.containers.create(name, { Image: 'busybox', Cmd: ['serve'], HostConfig: { NetworkMode: name === 'c2' ? 'container:c1' : 'bridge', VolumesFrom: name === 'c3' ? ['c2'] : [] } }, {})
    await engine.runtime.containers.start(name)
  }
  await engine.runtime.stopAll({ timeout: 60 })
  expect(engine.events.filter(({ action }) => action === 'die').map(({ attributes }) => attributes['name'])).toEqual(['c3', 'c2', 'c1'])
})
