import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable, type Writable } from 'node:stream'
import { BerthError, isErrno } from '@berth/core'
import type { CreateTaskOptions, Exit, OciRuntime, RuntimeProcess, StdioOptions, Task } from './index.ts'

/** What a program of the fake is given; the counterpart of a process's view of the world. */
export interface MemoryProcessContext {
  args: string[]
  env: string[]
  cwd: string
  stdin: Readable
  stdout: Writable
  /** The same as `stdout` with a terminal. */
  stderr: Writable
  /** The terminal's size as it is now; 0 by 0 without one. */
  size(): { width: number; height: number }
  /** Handles a signal; without a handler the process ends with 128 + n. SIGKILL cannot be handled. */
  onSignal(listener: (signal: number) => void): void
  /** Aborts when the process was ended from outside. */
  ended: AbortSignal
  /** What a checkpoint keeps of the program, as JSON; from the checkpoint where it goes on from one. */
  memory: { value?: unknown }
  /** Tells `onOom` listeners, as the kernel does before it kills. */
  oom(): void
}

/** Returns its exit status; a throw is status 1. */
export type MemoryProgram = (context: MemoryProcessContext) => number | Promise<number>

export interface MemoryRuntimeOptions {
  /** By `process.args[0]`; another name fails as a missing executable does. */
  programs: Readonly<Record<string, MemoryProgram>>
  /** Where tasks live; give a second runtime the same one to play a restarted daemon. */
  world?: MemoryWorld
  /** Called before each operation (`create`, `start`, `kill`, …); throws or waits to play a failing or slow runtime. */
  before?: (operation: string, id: string) => void | Promise<void>
}

/** The tasks of the fake, which outlive its runtimes. */
export class MemoryWorld {
  /** By task id. */
  readonly tasks = new Map<string, MemoryTaskState>()
  nextPid = 1000
}

interface ProcessSpec {
  args?: string[]
  env?: string[]
  cwd?: string
}

const ignoredSignals = new Set([0, 17, 18, 23, 28])

class MemoryProcessState {
  readonly pid: number
  readonly stdin = new PassThrough()
  readonly stdout = new PassThrough()
  readonly stderr = new PassThrough()
  readonly exited: Promise<Exit>
  readonly id: string
  readonly stdio: StdioOptions
  readonly memory: { value?: unknown }
  exit: Exit | undefined
  started = false
  size = { width: 0, height: 0 }
  readonly #program: MemoryProgram
  readonly #spec: ProcessSpec
  readonly #listeners: ((signal: number) => void)[] = []
  readonly #ended = new AbortController()
  #settle!: (exit: Exit) => void

  constructor(init: { id: string; pid: number; stdio: StdioOptions; program: MemoryProgram; spec: ProcessSpec; memory: { value?: unknown } }) {
    this.id = init.id
    this.pid = init.pid
    this.stdio = init.stdio
    this.#program = init.program
    this.#spec = init.spec
    this.memory = init.memory
    this.exited = new Promise((resolve) => (this.#settle = resolve))
    if (!init.stdio.stdin) this.stdin.end()
  }

  start(oom: () => void): void {
    this.started = true
    const run = async () =>
      this.#program({
        args: this.#spec.args ?? [],
        env: this.#spec.env ?? [],
        cwd: this.#spec.cwd ?? '/',
        stdin: this.stdin,
        stdout: this.stdout,
        stderr: this.stdio.terminal ? this.stdout : this.stderr,
        size: () => this.size,
        onSignal: (listener) => this.#listeners.push(listener),
        ended: this.#ended.signal,
        memory: this.memory,
        oom,
      })
    run().then(
      (status) => this.end(status),
      () => this.end(1),
    )
  }

  signal(signal: number): void {
    if (signal === 9 || (this.#listeners.length === 0 && !ignoredSignals.has(signal))) this.end(128 + signal)
    else for (const listener of this.#listeners) listener(signal)
  }

  end(status: number): void {
    if (this.exit) return
    this.exit = { status, at: new Date() }
    this.#ended.abort()
    this.stdout.end()
    this.stderr.end()
    this.stdin.resume()
    this.#settle(this.exit)
  }
}

class MemoryTaskState {
  readonly execs = new Map<string, MemoryProcessState>()
  readonly oomListeners = new Set<() => void>()
  paused = false
  resources: object = {}
  readonly init: MemoryProcessState
  constructor(init: MemoryProcessState) {
    this.init = init
  }
}

/** An {@link OciRuntime} whose processes are functions. It reads each bundle's config.json for `process.args` and runs nothing. */
export function memoryRuntime({ programs, world = new MemoryWorld(), before = () => {} }: MemoryRuntimeOptions): OciRuntime {
  const releases: (() => void)[] = []

  const spawn = (id: string, spec: ProcessSpec, stdio: StdioOptions, memory: { value?: unknown } = {}) => {
    const name = spec.args?.[0] ?? ''
    const program = programs[name]
    if (!program) {
      const reason = `exec: "${name}": executable file not found in $PATH: unknown`
      throw new BerthError('not-found', 'EXECUTABLE_NOT_FOUND',
        `failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ${reason}`)
    }
    return new MemoryProcessState({ id, pid: world.nextPid++, stdio, program, spec, memory })
  }

  /** One user's ends of a process's streams; letting go leaves what was not read to the next. */
  const attach = (state: MemoryProcessState) => {
    // Takes a chunk only when its reader asks, so that nothing is lost with a reader that goes.
    const tap = (source: PassThrough) => {
      const pull = () => {
        const chunk = source.read() as Buffer | null
        if (chunk !== null) mine.push(chunk)
        else if (source.readableEnded) mine.push(null)
        else wanting = true
      }
      const more = () => {
        if (!wanting) return
        wanting = false
        pull()
      }
      let wanting = false
      const mine = new Readable({ highWaterMark: 0, read: pull })
      source.on('readable', more).on('end', more)
      releases.push(() => {
        source.off('readable', more).off('end', more)
        mine.destroy()
      })
      return mine
    }
    const stdin = state.stdio.stdin ? new PassThrough() : undefined
    if (stdin) {
      // A closed reader must not break the writer: what an ended process did not read is dropped.
      stdin.pipe(state.stdin)
      releases.push(() => stdin.unpipe(state.stdin))
    }
    return { stdin, stdout: tap(state.stdout), stderr: state.stdio.terminal ? undefined : tap(state.stderr) }
  }

  const connect = (state: MemoryProcessState, task: MemoryTaskState, taskId: string, forget: () => void): RuntimeProcess => {
    const alive = () => {
      if (world.tasks.get(taskId) !== task) throw new BerthError('not-found', 'TASK_NOT_FOUND', `task ${taskId}: not found`)
    }
    const running = () => {
      alive()
      if (state.exit) throw new BerthError('not-found', 'PROCESS_FINISHED', 'process already finished')
    }
    return {
      id: state.id,
      get pid() {
        return state === task.init || state.started ? state.pid : 0
      },
      ...attach(state),
      async start() {
        await before('start', state.id)
        running()
        if (state.started) throw new BerthError('conflict', 'PROCESS_STARTED', `process ${state.id}: already started`)
        state.start(() => {
          for (const listener of task.oomListeners) listener()
        })
      },
      async kill(signal, { all = false } = {}) {
        await before('kill', state.id)
        running()
        state.signal(signal)
        if (all) for (const exec of task.execs.values()) exec.signal(signal)
      },
      async resize(size) {
        await before('resize', state.id)
        running()
        state.size = size
        if (state.stdio.terminal) state.signal(28)
      },
      wait: () => state.exited,
      async delete() {
        await before('delete', state.id)
        if (!state.exit && state.started) throw new BerthError('conflict', 'PROCESS_RUNNING', `process ${state.id}: still running`)
        state.end(137)
        forget()
        return state.exited
      },
    }
  }

  const connectTask = (id: string, state: MemoryTaskState): Task => {
    const execs = new Map<string, RuntimeProcess>()
    const connectExec = (exec: MemoryProcessState) => {
      const process = connect(exec, state, id, () => {
        state.execs.delete(exec.id)
        execs.delete(exec.id)
      })
      execs.set(exec.id, process)
      return process
    }
    const alive = () => {
      if (world.tasks.get(id) !== state) throw new BerthError('not-found', 'TASK_NOT_FOUND', `task ${id}: not found`)
    }
    for (const exec of state.execs.values()) connectExec(exec)
    const init = connect(state.init, state, id, () => {
      for (const exec of state.execs.values()) exec.end(137)
      // By now there may be another of this id.
      if (world.tasks.get(id) === state) world.tasks.delete(id)
    })
    void state.init.exited.then(() => {
      for (const exec of state.execs.values()) exec.end(137)
    })
    return Object.defineProperties(init as Task, Object.getOwnPropertyDescriptors({
      async exec({ id: execId, process, stdio }: { id: string; process: object; stdio: StdioOptions }) {
        await before('exec', execId)
        alive()
        if (state.init.exit || !state.init.started) throw new BerthError('conflict', 'TASK_NOT_RUNNING', `task ${id}: not running`)
        if (state.execs.has(execId)) throw new BerthError('already-exists', 'EXEC_EXISTS', `exec ${execId}: already exists`)
        const exec = spawn(execId, process, stdio)
        state.execs.set(execId, exec)
        return connectExec(exec)
      },
      execs: () => [...execs.values()],
      async pause() {
        await before('pause', id)
        alive()
        state.paused = true
      },
      async resume() {
        await before('resume', id)
        alive()
        state.paused = false
      },
      async pids() {
        alive()
        return [state.init, ...state.execs.values()].filter((process) => !process.exit).map((process) => process.pid)
      },
      async update(resources: object) {
        await before('update', id)
        alive()
        state.resources = { ...state.resources, ...resources }
      },
      async checkpoint({ directory, exit }: { directory: string; exit: boolean }) {
        await before('checkpoint', id)
        alive()
        if (state.init.exit || !state.init.started) throw new BerthError('conflict', 'TASK_NOT_RUNNING', `task ${id}: not running`)
        await mkdir(directory, { recursive: true })
        await writeFile(join(directory, checkpointFile), JSON.stringify(state.init.memory))
        if (exit) state.init.signal(9)
      },
      async status(): ReturnType<Task['status']> {
        alive()
        if (state.init.exit) return 'stopped'
        if (!state.init.started) return 'created'
        return state.paused ? 'paused' : 'running'
      },
      onOom(listener: () => void) {
        state.oomListeners.add(listener)
        return () => void state.oomListeners.delete(listener)
      },
    })) as Task
  }

  return {
    name: 'memory',
    async create({ id, bundle, rootfs, stdio, checkpoint, signal }: CreateTaskOptions) {
      await rootfs
      await before('create', id)
      signal?.throwIfAborted()
      if (world.tasks.has(id)) throw new BerthError('already-exists', 'TASK_EXISTS', `task ${id}: already exists`)
      const config = JSON.parse(await readFile(join(bundle, 'config.json'), 'utf8').catch((error: unknown) => {
        if (isErrno(error, 'ENOENT')) throw new BerthError('not-found', 'BUNDLE_NOT_FOUND', `bundle ${bundle}: no config.json`)
        throw error
      })) as { process?: ProcessSpec }
      const state = new MemoryTaskState(spawn(id, config.process ?? {}, stdio, checkpoint === undefined ? {} : await readCheckpoint(checkpoint)))
      world.tasks.set(id, state)
      return connectTask(id, state)
    },
    async reconnect({ id }) {
      await before('reconnect', id)
      const state = world.tasks.get(id)
      return state && connectTask(id, state)
    },
    async destroy({ id }) {
      await before('destroy', id)
      const state = world.tasks.get(id)
      world.tasks.delete(id)
      for (const exec of state?.execs.values() ?? []) exec.end(137)
      state?.init.end(137)
    },
    async [Symbol.asyncDispose]() {
      for (const release of releases.splice(0)) release()
    },
  }
}

const checkpointFile = 'memory.json'

async function readCheckpoint(directory: string): Promise<{ value?: unknown }> {
  try {
    return JSON.parse(await readFile(join(directory, checkpointFile), 'utf8')) as { value?: unknown }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) throw new BerthError('not-found', 'CHECKPOINT_NOT_FOUND', `checkpoint ${directory}: not found`)
    throw error
  }
}
