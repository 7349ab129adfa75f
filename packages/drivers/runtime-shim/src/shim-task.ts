import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { BerthError, type Logger, messageOf } from '@berth/core'
import type { Exit, RuntimeProcess, StdioOptions, Task } from '@berth/oci-runtime'
import { checkCriu } from './criu.ts'
import { runtimeError, taskNotFound } from './errors.ts'
import type { OomCounter } from './oom-counter.ts'
import type { FastExec } from './fast-exec.ts'
import { openIo, type ProcessIo } from './process-io.ts'
import type { ProcessRef, TaskService, TaskStatus } from './task-service.ts'
import { RpcClosed } from './ttrpc.ts'

/** What the processes of one shim share. */
export interface ShimConnection {
  id: string
  bundle: string
  logger: Logger
  service: TaskService
  oom: OomCounter
  /** Runs execs, where there is something faster than the runtime. */
  fast: Pick<FastExec, 'prepare' | 'forgetExec'> | undefined
  /** The runtime's own directory of the container. */
  runtimeState: string
  /** Ends the shim after its task was deleted, and removes what it leaves. */
  end(): Promise<void>
  /** Removes what a shim leaves that went away on its own; undefined when it was us who left it. */
  lost(): Promise<Exit> | undefined
}

class ShimProcess implements RuntimeProcess {
  readonly id: string
  readonly stdin: Writable | undefined
  readonly stdout: Readable
  readonly stderr: Readable | undefined
  readonly io: ProcessIo
  protected readonly shim: ShimConnection
  readonly #ref: ProcessRef
  #pid: number
  #started = false
  #exit: Promise<Exit> | undefined
  #deletion: Promise<Exit> | undefined

  constructor(shim: ShimConnection, ref: ProcessRef, io: ProcessIo, pid: number) {
    this.shim = shim
    this.#ref = ref
    this.id = ref.execId ?? ref.id
    this.io = io
    this.stdin = io.stdin
    this.stdout = io.stdout
    this.stderr = io.stderr
    this.#pid = pid
  }

  get pid(): number {
    return this.#pid
  }

  async start(): Promise<void> {
    try {
      this.#pid = await this.call((service) => service.start(this.#ref), this.#ref.execId ? '' : startContext)
    } catch (error) {
      if (this.#ref.execId) await this.delete().catch(() => {})
      throw error
    }
    this.started()
  }

  async kill(signal: number, { all = false } = {}): Promise<void> {
    await this.call((service) => service.kill(this.#ref, signal, all))
  }

  async resize(size: { width: number; height: number }): Promise<void> {
    await this.call((service) => service.resize(this.#ref, size))
  }

  wait(): Promise<Exit> {
    this.#exit ??= this.#wait()
    return this.#exit
  }

  /** Sees to it that the end of the process is noticed, also when nobody waits for it. */
  started(): void {
    this.#started = true
    this.io.connected()
    this.wait().catch(() => {})
  }

  delete(): Promise<Exit> {
    this.#deletion ??= this.#delete()
    this.#deletion.catch(() => (this.#deletion = undefined))
    return this.#deletion
  }

  protected onExit(): void {}

  protected async release(): Promise<void> {}

  protected async call<T>(operation: (service: TaskService) => Promise<T>, context = ''): Promise<T> {
    if (this.#deletion) throw taskNotFound(this.id)
    try {
      return await operation(this.shim.service)
    } catch (error) {
      throw runtimeError(error, this.id, context)
    }
  }

  async #wait(): Promise<Exit> {
    const exit = await this.#exitOf((service) => service.wait(this.#ref))
    this.onExit()
    this.io.exited()
    return exit
  }

  async #delete(): Promise<Exit> {
    if (!this.#ref.execId && !this.#started) {
      // runc polls for the end of a process that it kills itself, for seconds.
      await this.shim.service.kill(this.#ref, 9, true).catch(() => {})
      await this.wait()
    }
    const exit = await this.#exitOf((service) => service.delete(this.#ref))
    this.#exit ??= Promise.resolve(exit)
    await this.release()
    this.io.remove()
    // Who reads is told of an end only after there was a writer, which a process that never ran may not have had.
    if (!this.#started) this.io.release()
    return exit
  }

  async #exitOf(operation: (service: TaskService) => Promise<Exit>): Promise<Exit> {
    try {
      return await operation(this.shim.service)
    } catch (error) {
      if (!(error instanceof RpcClosed)) throw runtimeError(error, this.id)
      // The shim went away, and its processes with it: as if all had been killed.
      const lost = this.shim.lost()
      if (lost) return lost
      throw new BerthError('cancelled', 'RUNTIME_DISPOSED', `task ${this.shim.id}: the runtime was disposed`)
    }
  }
}

export class ShimTask extends ShimProcess implements Task {
  readonly #execs = new Map<string, ShimExec>()
  readonly #oomListeners = new Set<() => void>()

  constructor(shim: ShimConnection, io: ProcessIo, pid: number) {
    super(shim, { id: shim.id }, io, pid)
  }

  async exec({ id, process, stdio }: { id: string; process: object; stdio: StdioOptions }): Promise<RuntimeProcess> {
    const ref = { id: this.id, execId: id }
    if (this.#execs.has(id)) throw new BerthError('already-exists', 'PROCESS_EXISTS', `exec ${id}: already exists`)
    if (!stdio.terminal) this.#prepareFast(id, process)
    const io = this.#openIo(ref, stdio, 'create')
    try {
      await this.call((service) => service.exec({ ...ref, terminal: stdio.terminal, stdio: io.paths, process }))
    } catch (error) {
      io.remove()
      throw error
    }
    return this.#adopt(new ShimExec(this.shim, ref, io, 0, () => this.#execs.delete(id)))
  }

  /** Takes up an exec that was made earlier, if the shim still knows it. */
  async reconnectExec(id: string, stdio: StdioOptions): Promise<void> {
    const ref = { id: this.id, execId: id }
    const state = await this.shim.service.state(ref).catch(() => undefined)
    if (!state) return
    const exec = this.#adopt(new ShimExec(this.shim, ref, this.#openIo(ref, stdio, 'reopen'), state.pid, () => this.#execs.delete(id)))
    exec.started()
  }

  execs(): RuntimeProcess[] {
    return [...this.#execs.values()]
  }

  async pause(): Promise<void> {
    await this.call((service) => service.pause(this.id))
  }

  async resume(): Promise<void> {
    await this.call((service) => service.resume(this.id))
  }

  async pids(): Promise<number[]> {
    return this.call((service) => service.pids(this.id))
  }

  async update(resources: object): Promise<void> {
    await this.call((service) => service.update(this.id, resources))
  }

  async checkpoint({ directory, exit }: { directory: string; exit: boolean }): Promise<void> {
    checkCriu()
    // runc leaves its notes in the second one, also when it fails.
    const workDirectory = join(this.shim.bundle, 'criu')
    for (const made of [directory, workDirectory]) mkdirSync(made, { recursive: true, mode: 0o700 })
    await this.call((service) => service.checkpoint(this.id, { directory, workDirectory, exit }))
  }

  async status(): Promise<TaskStatus> {
    return (await this.call((service) => service.state({ id: this.id }))).status
  }

  onOom(listener: () => void): () => void {
    this.#oomListeners.add(listener)
    return () => void this.#oomListeners.delete(listener)
  }

  /** Tells the listeners of kills that they have not been told of. */
  reportOom(): void {
    for (let kills = this.shim.oom.take(); kills > 0; kills--) for (const listener of this.#oomListeners) listener()
  }

  /** Lets go of everything and leaves the task running. */
  disconnect(): void {
    for (const process of [this, ...this.#execs.values()]) process.io.release()
    this.shim.service.client.close()
  }

  protected override onExit(): void {
    this.reportOom()
  }

  protected override async release(): Promise<void> {
    await this.shim.end()
    for (const exec of this.#execs.values()) exec.io.remove()
    this.#execs.clear()
  }

  #prepareFast(id: string, process: object): void {
    const { bundle, fast, logger, runtimeState } = this.shim
    try {
      fast?.prepare({ id: this.id, bundle, runtimeState }, { id, process })
    } catch (error) {
      // The task may have ended, which the shim tells better.
      logger.debug('a task could not be described for execs', { id: this.id, error: messageOf(error) })
    }
  }

  #openIo(ref: { id: string; execId: string }, stdio: StdioOptions, how: 'create' | 'reopen'): ProcessIo {
    return openIo({ bundle: this.shim.bundle, ...ref, stdio }, how, () => this.shim.service.closeStdin(ref))
  }

  #adopt(exec: ShimExec): ShimExec {
    this.#execs.set(exec.id, exec)
    return exec
  }
}

class ShimExec extends ShimProcess {
  readonly #forget: () => void

  constructor(shim: ShimConnection, ref: ProcessRef, io: ProcessIo, pid: number, forget: () => void) {
    super(shim, ref, io, pid)
    this.#forget = forget
  }

  protected override async release(): Promise<void> {
    this.shim.fast?.forgetExec(this.shim.id, this.id)
    this.#forget()
  }
}

const startContext = 'failed to start task for container: '
