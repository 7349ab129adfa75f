import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { play, type Seen, scenarios } from '../fixtures/life-scenarios.ts'
import { type Daemon, TestHost } from '../src/index.ts'

/** What Debian's dockerd 20.10 shows. */
const dockerd = JSON.parse(readFileSync(new URL('../fixtures/life-of-dockerd.json', import.meta.url), 'utf8')) as Record<string, Seen>

/** Where we differ, and why. */
const differences: Record<string, { why: string; seen: Partial<Seen> }> = {
  'stop while paused': {
    why: 'dockerd resumes it while it waits: without time to wait, that comes before or after the next signal',
    seen: { events: ['create', 'start', 'pause', 'kill 15', 'unpause', 'kill 9', 'die 137', 'stop'] },
  },
  'memory, a child of what goes on': {
    why: 'the API promises that a container says so while it runs, as newer versions of Docker do',
    seen: { state: { status: 'running', exitCode: 0, oomKilled: true, restarts: 0 } },
  },
}

describe('what is seen of the life of a container is what dockerd shows', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  it.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('%s', async (name, scenario) => {
    const { seen } = differences[name] ?? { seen: {} }
    expect(await play(scenario, (args) => daemon.docker(args))).toEqual({ state: undefined, ...dockerd[name], ...seen })
  })
})
