import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { failPoints } from '@berth/container-runtime'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EngineRequest } from '../fixtures/crashing-engine.ts'
import { busyboxTar, eventually, type RunningCommand, TestHost } from '../src/index.ts'

interface Inspected {
  Id: string
  RestartCount: number
  State: { Status: string; Running: boolean; ExitCode: number; Pid: number; StartedAt: string }
  ExecIDs: string[] | null
}

/** The engine of a host in a process of its own, spoken to line by line. */
class CrashingEngine {
  readonly #command: RunningCommand
  readonly #input = new PassThrough()
  #answers = 0

  constructor(host: TestHost) {
    const program = join(import.meta.dirname, '../fixtures/crashing-engine.ts')
    this.#command = host.spawn(process.execPath, [program, join(host.dir, 'data'), join(host.dir, 'exec'), host.cgroupParent], { input: this.#input })
  }

  /** Settles with the next answer, or `undefined` when the engine ended first. */
  async #next(): Promise<{ value?: unknown; error?: string } | undefined> {
    const index = this.#answers++
    const line = (): string | undefined => this.#command.stdout.split('\n').slice(0, -1)[index]
    await this.#command.saw(new RegExp(`^(.*\\n){${index + 1}}`)).catch((error: unknown) => {
      if (index === 0) throw error
    })
    const text = line()
    return text === undefined ? undefined : (JSON.parse(text) as { value?: unknown; error?: string })
  }

  async ready(): Promise<this> {
    await this.#next()
    return this
  }

  async ask<T = unknown>(request: EngineRequest): Promise<T> {
    this.#input.write(`${JSON.stringify(request)}\n`)
    const answer = await this.#next()
    if (!answer) throw new Error('the engine has ended')
    if (answer.error !== undefined) throw new Error(answer.error)
    return answer.value as T
  }

  call<T = unknown>(operation: string, ...args: unknown[]): Promise<T> {
    return this.ask<T>({ do: 'call', area: 'containers', operation, args })
  }

  inspect(name: string): Promise<Inspected> {
    return this.call<Inspected>('inspect', name, { size: false })
  }

  /** Settles when it has come to the step that it was to die at. */
  async died(): Promise<void> {
    await eventually(() => this.#command.child.exitCode ?? this.#command.child.signalCode ?? undefined, { what: `the end of the engine at its step (${this.#command.stderr})` })
  }

  async end(): Promise<void> {
    this.#input.end()
    await this.#command.done
  }
}

const sleeps = ['sleep', '300']
const create = (engine: CrashingEngine, cmd: string[] = sleeps, host: object = {}) => engine.call('create', 'one', { Image: 'busybox', Cmd: cmd, HostConfig: host }, {})
const run = async (engine: CrashingEngine, cmd?: string[], host?: object): Promise<unknown> => (await create(engine, cmd, host), engine.call('start', 'one'))
const gone = async (engine: CrashingEngine): Promise<void> => {
  await expect(engine.inspect('one')).rejects.toThrow('No such container')
  // Its name is free.
  await create(engine)
}
const is = (status: string, more: object = {}) => async (engine: CrashingEngine): Promise<void> => {
  expect((await engine.inspect('one')).State).toMatchObject({ Status: status, ...more })
}
const becomes = (status: string, more: object = {}) => async (engine: CrashingEngine): Promise<void> => {
  await eventually(async () => ((await engine.inspect('one')).State.Status === status ? true : undefined), { what: status })
  await is(status, more)(engine)
}

interface Crash {
  /** Brings the container, which is called `one`, to where the transition begins. */
  before?: (engine: CrashingEngine) => Promise<unknown>
  /** In which the step comes. */
  transition: (engine: CrashingEngine) => Promise<unknown>
  /** What the next engine makes of it. */
  after: (engine: CrashingEngine) => Promise<void>
}

const start = (after: Crash['after']): Crash => ({ before: create, transition: (engine) => engine.call('start', 'one'), after })
const ofRunning = (operation: string, args: unknown[], after: Crash['after']): Crash => ({ before: (engine) => run(engine), transition: (engine) => engine.call(operation, 'one', ...args), after })
const ofPaused = (operation: string, args: unknown[], after: Crash['after']): Crash => ({ ...ofRunning(operation, args, after), before: async (engine) => (await run(engine), engine.call('pause', 'one')) })
const end = (after: Crash['after']): Crash => ({ transition: (engine) => run(engine, ['sh', '-c', 'usleep 100000; exit 3']).then(() => engine.died()), after })
const stop = (after: Crash['after']): Crash => ofRunning('stop', [{ timeout: 0 }], after)
const restart = (after: Crash['after']): Crash => ofRunning('restart', [{ timeout: 0 }], after)
const remove = (after: Crash['after']): Crash => ofRunning('remove', [{ force: true, volumes: true, link: false }], after)
const exec = (after: Crash['after'], cmd = sleeps): Crash => ({
  before: (engine) => run(engine),
  async transition(engine) {
    const { Id } = await engine.ask<{ Id: string }>({ do: 'call', area: 'execs', operation: 'create', args: ['one', { Cmd: cmd }] })
    await engine.ask({ do: 'call', area: 'execs', operation: 'start', args: [Id, { detach: true, tty: false }] })
    await engine.died()
  },
  after,
})
const runsWith = (processes: number) => async (engine: CrashingEngine): Promise<void> => {
  await is('running')(engine)
  const { ExecIDs } = await engine.inspect('one')
  expect(ExecIDs?.length ?? 0).toBe(processes - 1)
  expect((await engine.call<{ Processes: string[][] }>('top', 'one', '-o pid,args')).Processes).toHaveLength(processes)
}

const isRestarted = async (engine: CrashingEngine): Promise<void> => {
  await becomes('running')(engine)
  expect((await engine.inspect('one')).RestartCount).toBeGreaterThan(0)
}

const isRenamed = async (engine: CrashingEngine): Promise<void> => {
  expect((await engine.inspect('other')).State.Status).toBe('running')
  await engine.call('rename', 'other', 'one')
}

/** A crash at every declared step. */
const crashes: Record<(typeof failPoints)[number], Crash> = {
  'create.recorded': { transition: (engine) => create(engine), after: gone },
  'create.reserved': { transition: (engine) => create(engine), after: gone },
  'create.ready': { transition: (engine) => create(engine), after: is('created') },
  'start.recorded': start(is('created')),
  'start.attached': start(is('created')),
  'start.task-made': start(is('created')),
  'start.started': start(is('running')),
  'start.running': start(is('running')),
  'stop.recorded': stop(becomes('exited', { ExitCode: 137 })),
  'stop.signalled': stop(becomes('exited', { ExitCode: 137 })),
  'kill.recorded': ofRunning('kill', [{}], becomes('exited', { ExitCode: 137 })),
  'kill.signalled': ofRunning('kill', [{}], becomes('exited', { ExitCode: 137 })),
  'pause.recorded': ofRunning('pause', [], is('running')),
  'pause.frozen': ofRunning('pause', [], is('paused')),
  'unpause.recorded': ofPaused('unpause', [], is('paused')),
  'unpause.thawed': ofPaused('unpause', [], is('running')),
  'restart.recorded': restart(becomes('running')),
  'restart.stopped': restart(becomes('running')),
  'end.seen': end(becomes('exited', { ExitCode: 3 })),
  'end.recorded': end(is('exited', { ExitCode: 3 })),
  'end.given-back': end(is('exited', { ExitCode: 3 })),
  'retry.recorded': {
    transition: (engine) => run(engine, ['sh', '-c', '[ -e /ran ] && exec sleep 300; touch /ran'], { RestartPolicy: { Name: 'always' } }).then(() => engine.died()),
    after: isRestarted,
  },
  'rename.recorded': ofRunning('rename', ['other'], isRenamed),
  'rename.renamed': ofRunning('rename', ['other'], isRenamed),
  'remove.recorded': remove(gone),
  'remove.ended': remove(gone),
  'remove.released': remove(gone),
  'remove.forgotten': remove(gone),
  'exec.recorded': exec(runsWith(1)),
  'exec.made': exec(runsWith(1)),
  'exec.started': exec(runsWith(2)),
  'exec.ended': exec(runsWith(1), ['true']),
}

describe('an engine that is killed', () => {
  let host: TestHost
  let engine: CrashingEngine
  let bystander: Inspected
  let baseline: string[]
  /** What is on the host, but for what the bystander starts and ends all the time. */
  const present = (): string[] => host.leftovers().filter((line) => line !== 'processes: usleep').toSorted()
  beforeAll(async () => {
    host = await TestHost.start()
    engine = await new CrashingEngine(host).ready()
    await engine.ask({ do: 'import', tar: busyboxTar() })
    await engine.call('create', 'bystander', { Image: 'busybox', Cmd: ['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; usleep 20000; done'] }, {})
    await engine.call('start', 'bystander')
    bystander = await engine.inspect('bystander')
    baseline = present()
  })
  afterAll(async () => {
    await engine.end()
    await host[Symbol.asyncDispose]()
  })

  it.each(failPoints)('at %s loses no container, leaves nothing behind and lets the others run', async (point) => {
    const { before, transition, after } = crashes[point]
    await before?.(engine)
    await engine.ask({ do: 'die-at', step: `container.${point}` })
    await transition(engine).catch(() => {})
    await engine.died()
    engine = await new CrashingEngine(host).ready()
    const { State, Id } = await engine.inspect('bystander')
    expect({ State, Id }).toEqual({ State: bystander.State, Id: bystander.Id })
    await after(engine)
    await engine.call('remove', 'one', { force: true, volumes: true, link: false })
    expect(await engine.ask({ do: 'names' })).toEqual(['/bystander'])
    await eventually(() => (present().join() === baseline.join() ? true : undefined), { seconds: 5 }).catch(() => {})
    expect(present()).toEqual(baseline)
  })

  it('loses no line of a container that ran on, and tells none twice', async () => {
    const numbers = (await engine.ask<string>({ do: 'logs', container: 'bystander' })).trim().split('\n').map(Number)
    await engine.call('remove', 'bystander', { force: true, volumes: true, link: false })
    expect(numbers.length).toBeGreaterThan(100)
    expect(numbers).toEqual(numbers.map((_, index) => index + 1))
  })
})
