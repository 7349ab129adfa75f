import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { play, type Seen, scenarios } from '../fixtures/life-scenarios.ts'
import { type Daemon, TestHost } from '../src/index.ts'

/** What Debian's dockerd 20.10 shows. */
const dockerd = JSON.parse(readFileSync(new URL('../fixtures/life-of-dockerd.json', import.meta.url), 'utf8')) as Record<string, Seen>

/** Where we differ, and why. */
const differences: Record<string, { why: string; seen: Partial<Seen> }> = {}

describe('what is seen of the life of a container is what dockerd shows', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  it.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('%s', async (name, scenario) => {
    const { why, seen } = differences[name] ?? { why: 'as dockerd', seen: {} }
    expect(await play(scenario, (args) => daemon.docker(args)), why).toEqual({ ...dockerd[name], ...seen })
  })
})
