import { expect, test, vi } from 'vitest'
import { fakeEngine, type FakeEngine } from './fake-engine.ts'

const forced = { force: true, volumes: true, link: false }
const soon = { timeout: 10_000, interval: 10 }
const everyTime = (cmd: string[], more: object = {}) => ({ Test: ['CMD', ...cmd], Interval: 10_000_000, Retries: 2, ...more })

async function run(engine: FakeEngine, cmd: string[], host: object = {}, config: object = {}): Promise<string> {
  const { Id } = await engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: cmd, ...config, HostConfig: host }, {})
  await engine.runtime.containers.start(Id)
  return Id
}

const inspect = (engine: FakeEngine) => engine.runtime.containers.inspect('c1', { size: false })
const actions = ({ events }: FakeEngine) => events.map(({ action }) => action).filter((action) => !action.startsWith('exec_'))

/** Leaves an operation in the middle, as a crash does. */
async function cutOff(engine: FakeEngine, step: string, operation: () => Promise<void>): Promise<void> {
  const reached = Promise.withResolvers<void>()
  engine.faults.set(step, () => (reached.resolve(), new Promise(() => {})))
  void operation().catch(() => {})
  await reached.promise
  engine.faults.clear()
  await engine.restart()
}

test('a stop that was cut off is completed, and the restart policy does not undo it', async () => {
  await using engine = await fakeEngine()
  await run(engine, ['serve'], { RestartPolicy: { Name: 'always' } })
  await cutOff(engine, 'kill', () => engine.runtime.containers.stop('c1', { timeout: 60 }))
  await engine.event('stop')
  expect((await inspect(engine)).State).toMatchObject({ Status: 'exited', ExitCode: 0 })
})

test('a kill that was cut off is completed', async () => {
  await using engine = await fakeEngine()
  await run(engine, ['stubborn'], { RestartPolicy: { Name: 'always' } })
  await cutOff(engine, 'kill', () => engine.runtime.containers.kill('c1', {}))
  await engine.event('die')
  expect((await inspect(engine)).State).toMatchObject({ Status: 'exited', ExitCode: 137 })
})

test.each(['kill', 'create'])('a restart that was cut off at its %s is completed', async (step) => {
  await using engine = await fakeEngine()
  await run(engine, ['serve'])
  await cutOff(engine, step, () => engine.runtime.containers.restart('c1', { timeout: 60 }))
  await engine.event('restart')
  expect((await inspect(engine)).State).toMatchObject({ Status: 'running' })
  await engine.runtime.containers.remove('c1', forced)
})

test('a pause that was cut off is what the kernel says it is', async () => {
  await using engine = await fakeEngine()
  await run(engine, ['serve'])
  await cutOff(engine, 'pause', () => engine.runtime.containers.pause('c1'))
  expect((await inspect(engine)).State).toMatchObject({ Status: 'running' })
  await engine.runtime.containers.remove('c1', forced)
})

test('what the engine was stopping when it was killed goes on', async () => {
  await using engine = await fakeEngine()
  await run(engine, ['stubborn'])
  await cutOff(engine, 'kill', () => engine.runtime.stopAll({ timeout: 60 }))
  expect((await inspect(engine)).State).toMatchObject({ Status: 'running' })
  await engine.runtime.containers.remove('c1', forced)
})

test('the back-off and the count of restarts go on in the next engine', async () => {
  await using engine = await fakeEngine()
  await run(engine, ['exit', '1'], { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 } })
  await engine.event('die', 2)
  expect((await inspect(engine)).RestartCount).toBe(1)
  await engine.restart()
  expect(await inspect(engine)).toMatchObject({ RestartCount: 1, State: { Status: 'restarting' } })
  await engine.event('die', 4)
  expect(await inspect(engine)).toMatchObject({ RestartCount: 3, State: { Status: 'exited', ExitCode: 1 } })
  expect(actions(engine)).toEqual(['create', 'start', 'die', 'start', 'die', 'start', 'die', 'start', 'die'])
})

test('health goes on in the next engine, and a stopped container is unhealthy as in Docker', async () => {
  await using engine = await fakeEngine()
  await run(engine, ['serve'], {}, { Healthcheck: everyTime(['true']) })
  await engine.event('health_status: healthy')
  await engine.restart()
  const { Status, Log } = (await inspect(engine)).State?.Health ?? {}
  expect([Status, Log?.length]).toEqual(['healthy', expect.toSatisfy((length: number) => length > 0)])
  await vi.waitFor(async () => expect((await inspect(engine)).State?.Health?.Log).toHaveLength(5), soon)
  await engine.runtime.containers.stop('c1', { timeout: 60 })
  expect((await inspect(engine)).State?.Health).toMatchObject({ Status: 'unhealthy', FailingStreak: 0 })
  expect(actions(engine).filter((action) => action.startsWith('health'))).toEqual(['health_status: healthy'])
  await engine.runtime.containers.start('c1')
  expect((await inspect(engine)).State?.Health).toMatchObject({ Status: 'starting' })
  await engine.runtime.containers.remove('c1', forced)
})

test('a health check that takes too long has failed, and says what came', async () => {
  await using engine = await fakeEngine()
  await run(engine, ['serve'], {}, { Healthcheck: everyTime(['serve'], { Timeout: 20_000_000, Retries: 1 }) })
  await engine.event('health_status: unhealthy')
  expect((await inspect(engine)).State?.Health).toMatchObject({ FailingStreak: 1, Log: [{ ExitCode: -1, Output: 'Health check exceeded timeout (20ms): ready\n' }] })
  await engine.runtime.containers.remove('c1', forced)
})

test('no health check', async () => {
  await using engine = await fakeEngine({ Healthcheck: everyTime(['true']) })
  await run(engine, ['serve'], {}, { Healthcheck: { Test: ['NONE'] } })
  expect((await inspect(engine)).State?.Health).toBeUndefined()
  await engine.runtime.containers.remove('c1', forced)
})

const restartUnhealthy = { Annotations: { 'io.berth.restart-unhealthy': 'true' } }

test('what becomes unhealthy is started again on request, as often as its policy allows', async () => {
  await using engine = await fakeEngine()
  await run(engine, ['serve'], { ...restartUnhealthy, RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 } }, { Healthcheck: everyTime(['exit', '1']) })
  await engine.event('die', 3)
  await vi.waitFor(async () => expect((await inspect(engine)).State?.Status).toBe('exited'), soon)
  expect((await inspect(engine)).RestartCount).toBe(2)
  const once = ['start', 'health_status: unhealthy', 'kill', 'die']
  expect(actions(engine)).toEqual(['create', ...once, ...once, ...once])
})

test('what becomes unhealthy is started again without a policy too, and not after a stop', async () => {
  await using engine = await fakeEngine()
  await run(engine, ['serve'], restartUnhealthy, { Healthcheck: everyTime(['exit', '1']) })
  await engine.event('start', 2)
  expect((await inspect(engine)).RestartCount).toBe(1)
  await engine.runtime.containers.stop('c1', { timeout: 60 })
  expect((await inspect(engine)).State).toMatchObject({ Status: 'exited' })
  await engine.runtime.containers.remove('c1', forced)
})

test('what became unhealthy when the engine was killed is started again by the next', async () => {
  await using engine = await fakeEngine()
  await run(engine, ['serve'], restartUnhealthy, { Healthcheck: everyTime(['exit', '1']) })
  await cutOff(engine, 'kill', () => engine.event('health_status: unhealthy').then(() => {}))
  await engine.event('start', 2)
  expect((await inspect(engine)).RestartCount).toBe(1)
  await engine.runtime.containers.remove('c1', forced)
})
