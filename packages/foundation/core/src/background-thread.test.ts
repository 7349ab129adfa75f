import { getPriority } from 'node:os'
import { expect, test } from 'vitest'
import { WorkerCalls } from './index.ts'

const source = `
  import { readlinkSync } from 'node:fs'
  import { getPriority } from 'node:os'
  import { basename } from 'node:path'
  import { workInBackground } from ${JSON.stringify(new URL('./background-thread.ts', import.meta.url).href)}
  import { serveCalls } from ${JSON.stringify(new URL('./worker-calls.ts', import.meta.url).href)}
  workInBackground()
  serveCalls({ priority: () => getPriority(Number(basename(readlinkSync('/proc/thread-self')))) })`

test('a thread gives way, and the program that started it does not', async () => {
  const before = getPriority()
  await using thread = new WorkerCalls<{ priority(): number }>(new URL(`data:text/javascript,${encodeURIComponent(source)}`))
  expect(await thread.call('priority')).toBe(10)
  expect(getPriority()).toBe(before)
})
