import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { silent } from '@berth/core'
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

  /** Writes so much to a container's input, as fast as it is taken. */
  const send = async (attachment: { stdin: Writable | undefined }, chunk: Buffer, count: number): Promise<void> => {
    for (let sent = 0; sent < count; sent++) if (!attachment.stdin?.write(chunk)) await once(attachment.stdin as Writable, 'drain')
    attachment.stdin?.end()
  }

  test('a client that does not read holds up neither the process nor the others, and gets every byte in order after the end', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['cat'])
    const [slow, fast] = [await engine.runtime.containers.attach('c1', { ...attachAll, stdin: false }), await engine.runtime.containers.attach('c1', attachAll)]
    await engine.runtime.containers.start('c1')
    const chunk = Buffer.from(Array.from({ length: 64 * 1024 }, (_, index) => index % 251))
    const sending = send(fast, chunk, 640)
    let taken = 0
    for await (const part of fast.stdout ?? []) taken += (part as Buffer).length
    await sending
    await engine.event('die')
    expect(taken).toBe(640 * chunk.length)
    expect(slow.stdout?.readableLength).toBeLessThan(1 << 20)
    let size = 0
    const hash = createHash('sha256')
    for await (const part of slow.stdout ?? []) {
      size += (part as Buffer).length
      hash.update(part as Buffer)
    }
    const whole = createHash('sha256')
    for (let count = 0; count < 640; count++) whole.update(chunk)
    expect([size, hash.digest('hex')]).toEqual([640 * chunk.length, whole.digest('hex')])
    await slow.done
  })

  test('a client that is too far behind is cut off with the reason, which is logged, and nobody else is', async () => {
    const warnings: unknown[] = []
    const logger = { ...silent, warn: (message: string, fields?: object) => void warnings.push({ message, ...fields }) }
    await using engine = await fakeEngine({}, () => ({ logger }), { backlog: { clientMemory: 64 << 10, clientDisk: 1 << 20 } })
    const id = await create(engine, ['cat'])
    const [slow, fast] = [await engine.runtime.containers.attach('c1', { ...attachAll, stdin: false }), await engine.runtime.containers.attach('c1', attachAll)]
    await engine.runtime.containers.start('c1')
    const failed = once(slow.stdout as Readable, 'error')
    const sending = send(fast, Buffer.alloc(64 << 10), 64)
    let taken = 0
    for await (const part of fast.stdout ?? []) taken += (part as Buffer).length
    await sending
    expect(taken).toBe(64 * (64 << 10))
    expect((await failed)[0]).toMatchObject({ kind: 'resource-exhausted', message: 'the client is too slow: it has not taken 1048576 bytes of output' })
    await slow.done
    expect(warnings).toEqual([{ message: 'a client of a container was cut off', container: id, reason: 'the client is too slow: it has not taken 1048576 bytes of output' }])
  })

  test('a disk that keeps nothing cuts off only who needs it', async () => {
    await using engine = await fakeEngine({}, () => ({}), { backlog: { clientMemory: 0 } })
    await create(engine, ['cat'])
    const [slow, fast] = [await engine.runtime.containers.attach('c1', { ...attachAll, stdin: false }), await engine.runtime.containers.attach('c1', attachAll)]
    await engine.runtime.containers.start('c1')
    writeFileSync(join(engine.directory, 'state', 'backlog'), 'in the way')
    const failed = once(slow.stdout as Readable, 'error')
    fast.stdout?.resume()
    fast.stdin?.write(Buffer.alloc(1 << 20))
    expect((await failed)[0]).toMatchObject({ kind: 'resource-exhausted', message: expect.stringContaining('could not be kept') })
    fast.stdin?.end()
    await fast.done
  })

  test('replays a log of any size without holding it in memory, and what comes meanwhile behind it, without a gap and once', async () => {
    await using engine = await fakeEngine()
    const id = await create(engine, ['cat'], { StdinOnce: false })
    await engine.runtime.containers.start('c1')
    const typist = await engine.runtime.containers.attach('c1', attachAll)
    typist.stdout?.resume()
    const lines = (from: number, to: number): string => Array.from({ length: to - from }, (_, index) => `line ${from + index} ${'x'.repeat(1000)}\n`).join('')
    const logged = async (size: number): Promise<void> => {
      while ((engine.world.logs.get(id)?.entries ?? []).reduce((sum, { line }) => sum + line.length, 0) < size) await setImmediate()
    }
    typist.stdin?.write(lines(0, 2000))
    await logged(lines(0, 2000).length)
    const attachment = await engine.runtime.containers.attach('c1', { ...attachAll, stdin: false, logs: true })
    typist.stdin?.write(lines(2000, 3000))
    await logged(lines(0, 3000).length)
    expect(attachment.stdout?.readableLength).toBeLessThan(512 << 10)
    const collected = textOf(attachment.stdout)
    await engine.runtime.containers.remove('c1', forced)
    // Not compared as texts, whose difference nobody could read.
    expect((await collected) === lines(0, 3000)).toBe(true)
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

  test('is told as Docker tells it: a name with a space behind it, and a relative working directory as what could not be invoked', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['sleep'])
    await engine.runtime.containers.start('c1')
    const { Id } = await engine.runtime.execs.create('c1', { Cmd: ['true'], WorkingDir: 'relative' })
    const refused = { kind: 'invalid-argument', message: 'OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown' }
    await expect(engine.runtime.execs.start(Id, { detach: true, tty: false })).rejects.toMatchObject(refused)
    expect(await engine.runtime.execs.inspect(Id)).toMatchObject({ Running: false, ExitCode: 126 })
    expect(engine.events.map(({ action }) => action).filter((action) => action.startsWith('exec'))).toEqual(['exec_create: true '])
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

describe('exec', () => {
  const attached = { AttachStdin: true, AttachStdout: true, AttachStderr: true }

  test('an unknown user is told in Docker\'s words, and is 126', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['sleep'])
    await engine.runtime.containers.start('c1')
    const { Id } = await engine.runtime.execs.create('c1', { Cmd: ['true'], ...attached, User: 'nosuch' })
    const attachment = await engine.runtime.execs.start(Id, { detach: false, tty: false })
    expect(await textOf(attachment?.stdout)).toBe('unable to find user nosuch: no matching entries in passwd file\r\n')
    await attachment?.done
    expect(await engine.runtime.execs.inspect(Id)).toMatchObject({ Running: false, ExitCode: 126, CanRemove: true })
  })

  test('detach keys leave it running, and are told as an event', async () => {
    await using engine = await fakeEngine({}, () => ({}), { execOnDisconnect: 'kill' })
    await create(engine, ['sleep'])
    await engine.runtime.containers.start('c1')
    const { Id } = await engine.runtime.execs.create('c1', { Cmd: ['cat'], ...attached, Tty: true, DetachKeys: 'ctrl-a' })
    const attachment = await engine.runtime.execs.start(Id, { detach: false, tty: true })
    attachment?.stdin?.write('\x01')
    await attachment?.done
    attachment?.detach()
    expect((await engine.event('exec_detach')).attributes).toMatchObject({ execID: Id })
    expect(await engine.runtime.execs.inspect(Id)).toMatchObject({ Running: true, ExitCode: null })
  })

  test.each([
    ['keep', 'kill', false],
    ['kill', 'keep', true],
    [undefined, 'kill', true],
    [undefined, undefined, false],
  ] as const)('a client that goes: annotation %s, engine %s', async (annotation, execOnDisconnect, isKilled) => {
    await using engine = await fakeEngine({}, () => ({}), { execOnDisconnect })
    await create(engine, ['sleep'], annotation ? { HostConfig: { Annotations: { 'io.berth.exec-on-disconnect': annotation } } } : {})
    await engine.runtime.containers.start('c1')
    const { Id } = await engine.runtime.execs.create('c1', { Cmd: ['sleep'], AttachStdout: true })
    const attachment = await engine.runtime.execs.start(Id, { detach: false, tty: false })
    attachment?.detach()
    if (isKilled) await engine.event('exec_die')
    expect(await engine.runtime.execs.inspect(Id)).toMatchObject(isKilled ? { Running: false, ExitCode: 137 } : { Running: true })
    await engine.runtime.containers.remove('c1', forced)
  })

  test('a new size waits for the start', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['sleep'])
    await engine.runtime.containers.start('c1')
    const { Id } = await engine.runtime.execs.create('c1', { Cmd: ['cat'], ...attached, Tty: true })
    const resized = engine.runtime.execs.resize(Id, { width: 80, height: 24 })
    const attachment = await engine.runtime.execs.start(Id, { detach: false, tty: true })
    await resized
    attachment?.stdin?.end()
    await engine.runtime.containers.remove('c1', forced)
    await expect(engine.runtime.execs.resize(Id, { width: 80, height: 24 })).rejects.toMatchObject({ kind: 'not-found' })
  })

  test('in the background it has no input to wait for', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['sleep'])
    await engine.runtime.containers.start('c1')
    const { Id } = await engine.runtime.execs.create('c1', { Cmd: ['cat'], ...attached })
    await engine.runtime.execs.start(Id, { detach: true, tty: false })
    expect((await engine.event('exec_die')).attributes).toMatchObject({ exitCode: '0' })
  })

  test('those that were never started, and those that have ended, are few in memory', async () => {
    await using engine = await fakeEngine()
    await create(engine, ['sleep'])
    await engine.runtime.containers.start('c1')
    const first = await engine.runtime.execs.create('c1', { Cmd: ['true'] })
    const running = await engine.runtime.execs.create('c1', { Cmd: ['sleep'] })
    await engine.runtime.execs.start(running.Id, { detach: true, tty: false })
    for (let count = 0; count < 999; count++) await engine.runtime.execs.create('c1', { Cmd: ['true'] })
    await expect(engine.runtime.execs.inspect(first.Id)).rejects.toMatchObject({ kind: 'not-found' })
    expect(await engine.runtime.execs.inspect(running.Id)).toMatchObject({ Running: true })
    expect((await engine.runtime.containers.inspect('c1', { size: false })).ExecIDs).toHaveLength(1000)
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
