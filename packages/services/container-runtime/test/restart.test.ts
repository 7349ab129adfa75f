import { describe, expect, test } from 'vitest'
import { fakeEngine, type FakeEngine } from './fake-engine.ts'

const never = new AbortController().signal
const list = { all: true, size: false, filters: new Map<string, string[]>() }
const forced = { force: true, volumes: true, link: false }

async function run(engine: FakeEngine, name: string, cmd: string[], host: object = {}): Promise<string> {
  const { Id } = await engine.runtime.containers.create(name, { Image: 'busybox', Cmd: cmd, HostConfig: host, OpenStdin: true, StdinOnce: true }, {})
  await engine.runtime.containers.start(Id)
  return Id
}

const stateOf = async (engine: FakeEngine, ref: string) => (await engine.runtime.containers.inspect(ref, { size: false })).State
const exitOf = async (engine: FakeEngine, ref: string) => (await engine.runtime.containers.wait(ref, { condition: 'not-running', signal: never })).result

describe('a new engine over the same records', () => {
  test('finds a running container, its streams, its log and its end', async () => {
    await using engine = await fakeEngine()
    const id = await run(engine, 'c1', ['cat'])
    await engine.restart()
    expect(await stateOf(engine, 'c1')).toMatchObject({ Status: 'running' })
    expect(engine.world.attached.has(id)).toBe(true)
    const attachment = await engine.runtime.containers.attach('c1', { stdin: true, stdout: true, stderr: true, logs: false, stream: true })
    attachment.stdin?.end('after')
    let output = ''
    for await (const chunk of attachment.stdout ?? []) output += String(chunk)
    expect(output).toBe('after')
    expect(await exitOf(engine, 'c1')).toEqual({ StatusCode: 0 })
    let logged = ''
    for await (const { line } of (await engine.runtime.containers.logs('c1', { stdout: true, stderr: true, follow: false, signal: never })).entries) logged += String(line)
    expect(logged).toBe('after')
    await engine.runtime.containers.remove('c1', forced)
    expect(engine.world.tasks.tasks.size).toBe(0)
  })

  test('learns the exit code of what ended meanwhile, and removes what was to be removed', async () => {
    await using engine = await fakeEngine()
    const kept = await run(engine, 'kept', ['sleep'])
    const gone = await run(engine, 'gone', ['sleep'], { AutoRemove: true })
    await engine.runtime[Symbol.asyncDispose]()
    for (const id of [kept, gone]) engine.world.tasks.tasks.get(id)?.init.end(42)
    await engine.restart()
    expect(await exitOf(engine, 'kept')).toEqual({ StatusCode: 42 })
    await engine.event('destroy')
    expect((await engine.runtime.containers.list(list)).map(({ Names }) => Names)).toEqual([['/kept']])
    expect(engine.world.tasks.tasks.size).toBe(0)
  })

  test('after a reboot: unseen ends are 255, restart policies apply', async () => {
    await using engine = await fakeEngine()
    await run(engine, 'plain', ['sleep'])
    await run(engine, 'always', ['sleep'], { RestartPolicy: { Name: 'always' } })
    await run(engine, 'unless', ['serve'], { RestartPolicy: { Name: 'unless-stopped' } })
    await run(engine, 'stopped-always', ['serve'], { RestartPolicy: { Name: 'always' } })
    await engine.runtime.containers.stop('unless', { timeout: 60 })
    await engine.runtime.containers.stop('stopped-always', { timeout: 60 })
    await engine.restart({ reboot: true })
    expect(await stateOf(engine, 'plain')).toMatchObject({ Status: 'exited', ExitCode: 255 })
    expect(await stateOf(engine, 'always')).toMatchObject({ Status: 'running' })
    expect(await stateOf(engine, 'unless')).toMatchObject({ Status: 'exited' })
    expect(await stateOf(engine, 'stopped-always')).toMatchObject({ Status: 'running' })
    await engine.runtime.stopAll({ timeout: 0 })
    expect(await stateOf(engine, 'always')).toMatchObject({ Status: 'exited' })
    // What the engine stopped at its end comes back with it.
    await engine.restart()
    expect(await stateOf(engine, 'always')).toMatchObject({ Status: 'running' })
    for (const name of ['plain', 'always', 'unless', 'stopped-always']) await engine.runtime.containers.remove(name, forced)
  })

  test('undoes a creation and a start that were cut off', async () => {
    await using engine = await fakeEngine()
    const stuck = Promise.withResolvers<void>()
    const reachedReserve = Promise.withResolvers<void>()
    engine.faults.set('reserve', () => (reachedReserve.resolve(), stuck.promise))
    void engine.runtime.containers.create('half', { Image: 'busybox', Cmd: ['true'] }, {}).catch(() => {})
    await reachedReserve.promise
    engine.faults.clear()
    const { Id } = await engine.runtime.containers.create('begun', { Image: 'busybox', Cmd: ['true'] }, {})
    const reachedStart = Promise.withResolvers<void>()
    engine.faults.set('start', () => (reachedStart.resolve(), stuck.promise))
    void engine.runtime.containers.start(Id).catch(() => {})
    await reachedStart.promise
    engine.faults.clear()
    await engine.restart()
    expect((await engine.runtime.containers.list(list)).map(({ Names, State }) => [Names, State])).toEqual([[['/begun'], 'created']])
    expect([engine.world.snapshots.snapshots.size, engine.world.attached.size, engine.world.tasks.tasks.size]).toEqual([1, 0, 0])
    await engine.runtime.containers.start('begun')
    expect(await exitOf(engine, 'begun')).toEqual({ StatusCode: 0 })
  })

  test('goes on with a policy whose start was cut off', async () => {
    await using engine = await fakeEngine()
    await run(engine, 'c1', ['serve'], { RestartPolicy: { Name: 'always' } })
    await engine.runtime.containers.stop('c1', { timeout: 60 })
    const reachedStart = Promise.withResolvers<void>()
    engine.faults.set('start', () => (reachedStart.resolve(), new Promise(() => {})))
    void engine.runtime.containers.start('c1').catch(() => {})
    await reachedStart.promise
    engine.faults.clear()
    await engine.restart()
    expect(await stateOf(engine, 'c1')).toMatchObject({ Status: 'running' })
    await engine.runtime.containers.remove('c1', forced)
  })

  test('finds running execs', async () => {
    await using engine = await fakeEngine()
    await run(engine, 'c1', ['sleep'])
    const { Id } = await engine.runtime.execs.create('c1', { Cmd: ['cat'], AttachStdin: true, AttachStdout: true })
    await engine.runtime.execs.start(Id, { detach: true, tty: false })
    await engine.restart()
    expect(await engine.runtime.execs.inspect(Id)).toMatchObject({ Running: true, ExitCode: null })
    await engine.runtime.containers.remove('c1', forced)
    await expect(engine.runtime.execs.inspect(Id)).rejects.toMatchObject({ kind: 'not-found' })
  })
})

describe('restart policies', () => {
  test('on-failure gives up after its retries', async () => {
    await using engine = await fakeEngine()
    await run(engine, 'c1', ['exit', '1'], { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 } })
    await engine.event('die', 3)
    expect((await engine.runtime.containers.inspect('c1', { size: false })).RestartCount).toBe(2)
    expect(await stateOf(engine, 'c1')).toMatchObject({ Status: 'exited', ExitCode: 1 })
  })

  test('a stop between two runs ends it', async () => {
    await using engine = await fakeEngine()
    await run(engine, 'c1', ['true'], { RestartPolicy: { Name: 'always' } })
    await engine.event('die')
    expect(await stateOf(engine, 'c1')).toMatchObject({ Status: 'restarting', Running: true, Restarting: true })
    await engine.runtime.containers.stop('c1', { timeout: 0 })
    expect(await stateOf(engine, 'c1')).toMatchObject({ Status: 'exited', Running: false })
    await engine.runtime.containers.remove('c1', { force: false, volumes: false, link: false })
  })
})
