import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Limiter } from './limiter.ts'

function setUp(width: number) {
  const limiter = new Limiter(width)
  const started: string[] = []
  const ends = new Map<string, () => void>()
  const run = (name: string, signal = new AbortController().signal): Promise<string> => {
    const work = (): Promise<string> => {
      started.push(name)
      return new Promise((resolve) => ends.set(name, () => resolve(name)))
    }
    return limiter.run(work, { signal })
  }
  return { run, started, end: (name: string) => ends.get(name)?.() }
}

it('runs so many at a time, in order', async () => {
  const { run, started, end } = setUp(2)
  const all = ['a', 'b', 'c', 'd'].map((name) => run(name))
  expect(started).toEqual(['a', 'b'])
  end('b')
  await all[1]
  expect(started).toEqual(['a', 'b', 'c'])
  for (const name of ['a', 'c']) end(name)
  await all[2]
  end('d')
  expect(await Promise.all(all)).toEqual(['a', 'b', 'c', 'd'])
})

it('lets go whom its signal calls away, whose turn is the next one in line', async () => {
  const { run, started, end } = setUp(1)
  const ending = new AbortController()
  const first = run('first')
  const gone = run('gone', ending.signal)
  const last = run('last')
  ending.abort(new Error('no more'))
  await expect(gone).rejects.toThrow('no more')
  await expect(run('late', ending.signal)).rejects.toThrow('no more')
  end('first')
  await first
  await setImmediate()
  end('last')
  expect([await last, started]).toEqual(['last', ['first', 'last']])
})
