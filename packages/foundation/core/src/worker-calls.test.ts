import { expect, test, vi } from 'vitest'
import { BerthError, WorkerCalls, type WorkerCallsOptions } from './index.ts'

const errors = JSON.stringify(new URL('./errors.ts', import.meta.url).href)
const calls = JSON.stringify(new URL('./worker-calls.ts', import.meta.url).href)
const source = `
  import { BerthError } from ${errors}
  import { serveCalls } from ${calls}
  serveCalls({
    double: (value) => value * 2,
    later: async (value) => { await new Promise((resolve) => setTimeout(resolve, 5)); return value },
    refuse: () => { throw new BerthError('conflict', 'TAKEN', 'it is taken') },
    fail: () => { throw Object.assign(new Error('no such file'), { code: 'ENOENT' }) },
    never: () => new Promise(() => {}),
    crash: () => { setImmediate(() => { throw new Error('it broke') }); return new Promise(() => {}) },
  })`

interface Jobs {
  double(value: number): number
  later(value: string): Promise<string>
  refuse(): void
  fail(): void
  never(): Promise<void>
  crash(): Promise<void>
}

const open = (options?: WorkerCallsOptions) => new WorkerCalls<Jobs>(new URL(`data:text/javascript,${encodeURIComponent(source)}`), options)

test('answers each call with its own value', async () => {
  await using thread = open()
  const later = thread.call('later', 'text')
  expect(await thread.call('double', 21)).toBe(42)
  expect(await later).toBe('text')
})

test('brings errors over as they were thrown', async () => {
  await using thread = open()
  await expect(thread.call('refuse')).rejects.toEqual(new BerthError('conflict', 'TAKEN', 'it is taken'))
  await expect(thread.call('refuse')).rejects.toMatchObject({ kind: 'conflict', code: 'TAKEN' })
  await expect(thread.call('fail')).rejects.toMatchObject({ code: 'ENOENT', message: 'no such file' })
})

test('a thread that fails refuses what waits, and the next call starts another', async () => {
  const failures: string[] = []
  await using thread = open({ onFailure: ({ message }) => failures.push(message) })
  const waiting = thread.call('never')
  await expect(thread.call('crash')).rejects.toThrow('it broke')
  await expect(waiting).rejects.toThrow('it broke')
  expect(failures).toEqual(['it broke'])
  expect(thread.isRunning).toBe(false)
  expect(await thread.call('double', 2)).toBe(4)
})

test('an end refuses what waits, and is no failure', async () => {
  const failures: Error[] = []
  const thread = open({ onFailure: (error) => failures.push(error) })
  const waiting = thread.call('never')
  const ended = thread[Symbol.asyncDispose]()
  await expect(waiting).rejects.toMatchObject({ kind: 'cancelled' })
  await ended
  expect(failures).toEqual([])
})

test('a thread without work ends after its time, and a later call starts another', async () => {
  await using thread = open({ linger: 1 })
  expect(await thread.call('double', 1)).toBe(2)
  await vi.waitFor(() => expect(thread.isRunning).toBe(false))
  expect(await thread.call('double', 3)).toBe(6)
})
