import { expect, test } from 'vitest'
import { fakeEngine } from './fake-engine.ts'

const never = new AbortController().signal
const noFilters = new Map<string, string[]>()
const list = { all: true, size: false, filters: noFilters }

async function textOf(entries: AsyncIterable<{ line: Uint8Array }>): Promise<string> {
  let text = ''
  for await (const { line } of entries) text += Buffer.from(line).toString()
  return text
}

const logOptions = { stdout: true, stderr: true, follow: false, signal: never }

test('create, start, wait, logs, inspect, remove', async () => {
  await using engine = await fakeEngine()
  const { containers } = engine.runtime
  const { Id } = await containers.create('one', { Image: 'busybox', Cmd: ['echo', 'hello'], Labels: { a: 'b' } }, {})
  expect((await containers.inspect('one', { size: false })).State?.Status).toBe('created')
  const { result } = await containers.wait('one', { condition: 'next-exit', signal: never })
  await containers.start(Id.slice(0, 12))
  expect(await result).toEqual({ StatusCode: 0 })
  expect(await textOf((await containers.logs('one', logOptions)).entries)).toBe('hello\n')
  const inspected = await containers.inspect('/one', { size: true })
  expect(inspected).toMatchObject({ Id, Name: '/one', Path: 'echo', Args: ['hello'], State: { Status: 'exited', ExitCode: 0, Running: false } })
  expect(await containers.list(list)).toMatchObject([{ Id, Names: ['/one'], State: 'exited', Command: 'echo hello' }])
  await containers.remove('one', { force: false, volumes: true, link: false })
  expect(await containers.list(list)).toEqual([])
  expect([engine.world.reserved.size, engine.world.attached.size, engine.world.volumes.size, engine.world.snapshots.snapshots.size, engine.world.logs.size]).toEqual([0, 0, 0, 0, 0])
  expect(engine.world.tasks.tasks.size).toBe(0)
  expect(engine.events.map(({ action }) => action)).toEqual(['create', 'start', 'die', 'destroy'])
  expect(engine.events[2]?.attributes).toMatchObject({ image: 'busybox', name: 'one', a: 'b', exitCode: '0' })
})
