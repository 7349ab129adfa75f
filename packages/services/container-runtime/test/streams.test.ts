import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { fakeEngine, type FakeEngine } from './fake-engine.ts'

const forced = { force: true, volumes: true, link: false }
const attachAll = { stdin: true, stdout: true, stderr: true, logs: false, stream: true }

async function create(engine: FakeEngine, cmd: string[], config: object = {}): Promise<string> {
  return (await engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: cmd, OpenStdin: true, StdinOnce: true, ...config }, {})).Id
}

async function textOf(stream: AsyncIterable<unknown> | undefined): Promise<string> {
  let text = ''
  for await (const chunk of stream ?? []) text += String(chunk)
  return text
}

describe('attach', () => {
  test('before the start: every byte arrives, the end of input reaches the process', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['cat'])
    const attachment = await engine.runtime.containers.attach('c1', attachAll)
    await engine.runtime.containers.start('c1')
    attachment.stdin?.end('over')
    expect(await textOf(attachment.stdout)).toBe('over')
    await attachment.done
  })

  test('a client that does not read holds up the process, not the log readers, and gets everything in the end', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['cat'])
    const size = 8 * 1024 * 1024
    const attachment = await engine.runtime.containers.attach('c1', attachAll)
    await engine.runtime.containers.start('c1')
    const chunk = Buffer.alloc(64 * 1024, 'x')
    const write = async () => {
      for (let sent = 0; sent < size; sent += chunk.length) if (!attachment.stdin?.write(chunk)) await new Promise((resolve) => attachment.stdin?.once('drain', resolve))
      attachment.stdin?.end()
    }
    const written = write()
    for (let turn = 0; turn < 500; turn++) await setImmediate()
    expect(attachment.stdout?.readableLength).toBeLessThan(2 * 1024 * 1024)
    let received = 0
    for await (const part of attachment.stdout ?? []) received += (part as Buffer).length
    await written
    expect(received).toBe(size)
  })

  test('a client that leaves holds up nobody', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['cat'], { StdinOnce: false })
    const gone = await engine.runtime.containers.attach('c1', { ...attachAll, stdin: false })
    const staying = await engine.runtime.containers.attach('c1', attachAll)
    await engine.runtime.containers.start('c1')
    gone.detach()
    await gone.done
    staying.stdin?.write('still')
    const output = staying.stdout?.iterator({ destroyOnReturn: false })
    expect(String((await output?.next())?.value)).toBe('still')
    await engine.runtime.containers.remove('c1', forced)
    await staying.done
  })

  test('a client that hangs up ends the input of a process that reads once', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['cat'])
    const attachment = await engine.runtime.containers.attach('c1', attachAll)
    await engine.runtime.containers.start('c1')
    attachment.detach()
    expect((await engine.event('die')).attributes['exitCode']).toBe('0')
  })

  test('detach keys leave a terminal, in pieces too, and are not typed', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['cat'], { Tty: true })
    const attachment = await engine.runtime.containers.attach('c1', { ...attachAll, detachKeys: 'ctrl-a,x' })
    expect(attachment.stderr).toBeUndefined()
    await engine.runtime.containers.start('c1')
    attachment.stdin?.write('one\x01')
    attachment.stdin?.write('two')
    const output = attachment.stdout?.iterator({ destroyOnReturn: false })
    let text = ''
    while (!text.endsWith('two')) text += String((await output?.next())?.value)
    expect(text).toBe('one\x01two')
    attachment.stdin?.write('\x01')
    attachment.stdin?.write('x')
    await attachment.done
    expect((await engine.runtime.containers.inspect('c1', { size: false })).State?.Running).toBe(true)
    expect(engine.events.map(({ action }) => action)).toContain('detach')
    await expect(engine.runtime.containers.attach('c1', { ...attachAll, detachKeys: 'ctrl-ö' })).rejects.toMatchObject({ kind: 'invalid-argument' })
    await engine.runtime.containers.remove('c1', forced)
  })

  test('replays the log before what comes', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['serve'])
    await engine.runtime.containers.start('c1')
    const controller = new AbortController()
    const { entries } = await engine.runtime.containers.logs('c1', { stdout: true, stderr: true, follow: true, signal: controller.signal })
    for await (const { line } of entries) if (String(line) === 'ready\n') break
    const attachment = await engine.runtime.containers.attach('c1', { ...attachAll, logs: true })
    await engine.runtime.containers.stop('c1', { timeout: 60 })
    expect(await textOf(attachment.stdout)).toBe('ready\n')
  })

  test('a start that fails ends it', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['nothere'])
    const attachment = await engine.runtime.containers.attach('c1', attachAll)
    await expect(engine.runtime.containers.start('c1')).rejects.toThrow('executable file not found')
    expect(await textOf(attachment.stdout)).toBe('')
  })
})

describe('logs', () => {
  test('a follower ends with the container', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['serve'])
    await engine.runtime.containers.start('c1')
    const { entries } = await engine.runtime.containers.logs('c1', { stdout: true, stderr: true, follow: true, signal: new AbortController().signal })
    let text = ''
    for await (const { line } of entries) {
      text += String(line)
      void engine.runtime.containers.stop('c1', { timeout: 60 })
    }
    expect(text).toBe('ready\n')
  })

  test('a driver that keeps nothing cannot be read', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['true'], { HostConfig: { LogConfig: { Type: 'none' } } })
    const options = { stdout: true, stderr: true, follow: false, signal: new AbortController().signal }
    await expect(engine.runtime.containers.logs('c1', options)).rejects.toMatchObject({ kind: 'not-implemented', message: 'configured logging driver does not support reading' })
    await expect(engine.runtime.containers.logs('c1', { ...options, stdout: false, stderr: false })).rejects.toMatchObject({ kind: 'invalid-argument' })
    await engine.runtime.containers.start('c1')
  })
})

describe('logs', () => {
  test('are read from the one that is written, while a start is not answered yet', async () => {
    await using engine = await fakeEngine()
    const id = await create(engine, ['echo', 'early'])
    engine.faults.set('start', async () => {
      const { entries } = await engine.runtime.containers.logs('c1', { stdout: true, stderr: true, follow: false, signal: new AbortController().signal })
      await Array.fromAsync(entries)
    })
    await engine.runtime.containers.start('c1')
    expect(engine.world.logs.get(id)?.mostOpen).toBe(1)
  })
})

describe('exec', () => {
  test('a client that was told of the end finds the exit code', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['cat'])
    await engine.runtime.containers.start('c1')
    const { Id } = await engine.runtime.execs.create('c1', { Cmd: ['quiet'], AttachStdin: true, AttachStdout: true, AttachStderr: true })
    const attachment = await engine.runtime.execs.start(Id, { detach: false, tty: false })
    attachment?.stdin?.end()
    await Promise.all([textOf(attachment?.stdout), textOf(attachment?.stderr)])
    await attachment?.done
    expect(await engine.runtime.execs.inspect(Id)).toMatchObject({ Running: false, ExitCode: 7 })
  })

  test('runs attached, tells its exit code, and is asked about', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['sleep'])
    await expect(engine.runtime.execs.create('c1', { Cmd: ['true'] })).rejects.toMatchObject({ kind: 'conflict', message: expect.stringMatching(/^Container [0-9a-f]{64} is not running$/) })
    await engine.runtime.containers.start('c1')
    await expect(engine.runtime.execs.create('c1', {})).rejects.toMatchObject({ kind: 'invalid-argument', message: 'No exec command specified' })
    const { Id } = await engine.runtime.execs.create('c1', { Cmd: ['echo', 'inside'], AttachStdout: true, AttachStderr: true, User: 'web' })
    const attachment = await engine.runtime.execs.start(Id, { detach: false, tty: false })
    expect(await textOf(attachment?.stdout)).toBe('inside\n')
    await engine.event('exec_die')
    expect(await engine.runtime.execs.inspect(Id)).toMatchObject({ ID: Id, Running: false, ExitCode: 0, ProcessConfig: { entrypoint: 'echo', arguments: ['inside'] } })
    await expect(engine.runtime.execs.start(Id, { detach: true, tty: false })).rejects.toMatchObject({ kind: 'conflict' })
    expect(engine.events.map(({ action }) => action).filter((action) => action.startsWith('exec'))).toEqual(['exec_create: echo inside', 'exec_start: echo inside', 'exec_die'])
    await engine.runtime.containers.remove('c1', forced)
    await expect(engine.runtime.execs.inspect('nope')).rejects.toMatchObject({ kind: 'not-found', message: 'No such exec instance: nope' })
  })

  test('a missing command is told on the output when attached, thrown when not, and is 127 both ways', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['sleep'])
    await engine.runtime.containers.start('c1')
    const first = await engine.runtime.execs.create('c1', { Cmd: ['nothere'], AttachStdout: true, AttachStderr: true })
    const attachment = await engine.runtime.execs.start(first.Id, { detach: false, tty: false })
    expect(await textOf(attachment?.stdout)).toMatch(/executable file not found in \$PATH.*\r\n$/)
    expect(await engine.runtime.execs.inspect(first.Id)).toMatchObject({ Running: false, ExitCode: 127 })
    const second = await engine.runtime.execs.create('c1', { Cmd: ['nothere'] })
    await expect(engine.runtime.execs.start(second.Id, { detach: true, tty: false })).rejects.toMatchObject({ kind: 'invalid-argument' })
    expect((await engine.runtime.containers.inspect('c1', { size: false })).ExecIDs).toBeNull()
    await engine.runtime.containers.remove('c1', forced)
  })
})

test('health: probes change the status and are told', async () => {
  await using engine = await fakeEngine()
  const millisecond = 1_000_000
  await create(engine, ['sleep'], { Healthcheck: { Test: ['CMD', 'exit', '1'], Interval: millisecond, Retries: 2 } })
  await engine.runtime.containers.start('c1')
  expect((await engine.runtime.containers.inspect('c1', { size: false })).State?.Health?.Status).toBe('starting')
  await engine.event('health_status: unhealthy')
  const { Health } = (await engine.runtime.containers.inspect('c1', { size: false })).State ?? {}
  expect(Health).toMatchObject({ Status: 'unhealthy' })
  expect(Health?.Log?.[0]).toMatchObject({ ExitCode: 1 })
  expect((await engine.runtime.containers.list({ all: true, size: false, filters: new Map([['health', ['unhealthy']]]) }))[0]?.Status).toContain('(unhealthy)')
  await engine.runtime.containers.remove('c1', forced)
})

test('health: a probe whose time is up before it runs is killed too', async () => {
  await using engine = await fakeEngine()
  const millisecond = 1_000_000
  engine.faults.set('exec', () => new Promise((resolve) => setTimeout(resolve, 20)))
  await create(engine, ['sleep'], { Healthcheck: { Test: ['CMD', 'sleep'], Interval: millisecond, Timeout: millisecond, Retries: 1 } })
  await engine.runtime.containers.start('c1')
  await engine.event('health_status: unhealthy')
  const { Health } = (await engine.runtime.containers.inspect('c1', { size: false })).State ?? {}
  expect(Health?.Log?.[0]).toMatchObject({ ExitCode: -1, Output: 'Health check exceeded timeout (1ms)' })
  await engine.runtime.containers.remove('c1', forced)
})

test('stats of what does not run are zero, and one sample is one', async () => {
  await using engine = await fakeEngine()
  await create(engine, ['true'])
  const samples: unknown[] = []
  for await (const sample of engine.runtime.containers.stats('c1', { stream: false, oneShot: true, signal: new AbortController().signal })) samples.push(sample)
  expect(samples).toMatchObject([{ name: '/c1', read: '0001-01-01T00:00:00Z', memory_stats: {} }])
})
