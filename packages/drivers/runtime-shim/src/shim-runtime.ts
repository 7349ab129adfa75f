import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { BerthError, isErrno, type Logger, silent } from '@berth/core'
import type { CreateTaskOptions, Exit, OciRuntime } from '@berth/oci-runtime'
import { checkCheckpoint } from './criu.ts'
import { runtimeError } from './errors.ts'
import { FastExec } from './fast-exec.ts'
import { replaceFile, shellQuoted } from './scripts.ts'
import { deleteByShim, removeSocket, startShim } from './start-command.ts'
import { removeLeftovers } from './leftovers.ts'
import { OomCounter } from './oom-counter.ts'
import { openIo, type ProcessIo, removePipes } from './process-io.ts'
import { launchShim, shimLog, shimsOf } from './shim-process.ts'
import { type ShimConnection, ShimTask } from './shim-task.ts'
import { type Any, configOptions, oomOf, runcOptions, TaskService } from './task-service.ts'
import { RpcClosed, RpcFailure, serveTtrpc, TtrpcClient } from './ttrpc.ts'

export interface ShimRuntimeOptions {
  /** This runtime's own directory, on a file system that lasts as long as the machine runs (`/run/…`). At most 60 bytes long, as sockets are made in it. */
  stateDir: string
  /** What it is called; the name of `runtimeBinary` or of another shim by default. */
  name?: string
  /** Default `containerd-shim-runc-v2`; any containerd shim. */
  shimBinary?: string
  /** What containerd's runc shim runs: `runc` (the default), `crun`, any other that is used as they are. */
  runtimeBinary?: string
  /** Arguments that it is given in front of all others. */
  runtimeArgs?: readonly string[]
  /** For other shims: a file of settings, or the settings themselves, and the type of these. */
  shimOptions?: { typeUrl?: string; configPath?: string; configBody?: string }
  /** Runs execs in runc's containers where it is there and can; `crun` by default, `false` for none. */
  execBinary?: string | false
  /** Default `berth`. */
  namespace?: string
  logger?: Logger
}

/** containerd's shim for runc and what is used as runc is; it takes its socket from us. */
const runcShim = 'containerd-shim-runc-v2'

export class ShimRuntime implements OciRuntime {
  readonly name: string
  readonly #stateDir: string
  readonly #shimBinary: string
  /** Undefined for a shim that is not containerd's for runc. */
  readonly #runtimeBinary: string | undefined
  readonly #runtimeArgs: readonly string[]
  readonly #shimOptions: Any | undefined
  readonly #namespace: string
  readonly #logger: Logger
  readonly #tasks = new Map<string, ShimTask>()
  readonly #execBinary: string | false
  #events: Promise<AsyncDisposable> | undefined
  #fast: Promise<FastExec | undefined> | undefined
  #disposed = false

  constructor(options: ShimRuntimeOptions) {
    const { stateDir, shimBinary = runcShim, runtimeBinary = 'runc', runtimeArgs = [], execBinary = 'crun', namespace = 'berth', logger = silent } = options
    if (Buffer.byteLength(stateDir) > 60) throw new BerthError('invalid-argument', 'STATE_DIR_TOO_LONG', `${stateDir}: too long for the sockets in it (60 bytes at most)`)
    const isRunc = basename(shimBinary) === runcShim
    this.name = options.name ?? (isRunc ? basename(runtimeBinary) : basename(shimBinary))
    this.#stateDir = stateDir
    this.#shimBinary = shimBinary
    // Another runtime may have other arguments, and keeps other records.
    this.#execBinary = isRunc && basename(runtimeBinary) === 'runc' && runtimeArgs.length === 0 && execBinary
    this.#runtimeBinary = isRunc ? runtimeBinary : undefined
    this.#runtimeArgs = runtimeArgs
    this.#shimOptions = options.shimOptions && configOptions(options.shimOptions)
    this.#namespace = namespace
    this.#logger = logger
  }

  async create({ id, bundle, rootfs, stdio, ioOwner, checkpoint, signal }: CreateTaskOptions): Promise<ShimTask> {
    // Awaited below, when the shim is on its way.
    const mounts = Promise.resolve(rootfs)
    mounts.catch(() => {})
    signal?.throwIfAborted()
    checkId(id)
    if (checkpoint !== undefined) checkCheckpoint(checkpoint)
    const [fast] = await Promise.all([this.#openFast(), this.#listen()])
    const socket = this.#socketOf(id)
    let service: TaskService | undefined
    const io = openIo({ bundle, id, stdio }, 'create', async () => service?.closeStdin({ id }))
    let pids: number[] = []
    const abort = () => {
      for (const pid of pids) killShim(pid)
    }
    try {
      pids = await this.#launch({ id, bundle, inherit: [fast?.descriptor ?? 'ignore', ...io.outputs] })
      signal?.addEventListener('abort', abort, { once: true })
      if (signal?.aborted) abort()
      service = new TaskService(await TtrpcClient.connect(socket))
      const binary = fast?.script ?? this.#runtimeProgram()
      const options = binary === undefined ? this.#shimOptions : runcOptions({ binary, root: this.#runtimeRoot, ioOwner })
      const initPid = await service.create({ id, bundle, rootfs: await mounts, terminal: stdio.terminal, stdio: io.paths, options, checkpoint })
      signal?.throwIfAborted()
      io.connected()
      return this.#adopt(service, { id, bundle, fast }, io, initPid)
    } catch (error) {
      const log = shimLog(bundle)
      abort()
      await service?.client.closed
      await this.#clean(id, bundle, !(error instanceof RpcFailure))
      io.release()
      signal?.throwIfAborted()
      await mounts
      if (error instanceof RpcClosed || isErrno(error, 'ECONNREFUSED', 'ECONNRESET')) {
        throw new BerthError('unavailable', 'SHIM_ENDED', `the shim of task ${id} ended: ${log}`, { cause: error })
      }
      throw runtimeError(error, id, 'failed to create task for container: failed to create shim task: ')
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  async reconnect({ id, bundle, stdio, execs = [] }: Parameters<OciRuntime['reconnect']>[0]): Promise<ShimTask | undefined> {
    checkId(id)
    await this.#listen()
    const client = await TtrpcClient.connect(this.#socketOf(id)).catch((error: unknown) => {
      // The last: it is being killed this moment.
      if (isErrno(error, 'ENOENT', 'ECONNREFUSED', 'ECONNRESET')) return undefined
      throw error
    })
    if (client) {
      const service = new TaskService(client)
      const state = await service.state({ id }).catch((error: unknown) => {
        if (error instanceof RpcFailure || error instanceof RpcClosed) return undefined
        throw error
      })
      if (state) {
        const io = openIo({ bundle, id, stdio }, 'reopen', () => service.closeStdin({ id }))
        const task = this.#adopt(service, { id, bundle, fast: await this.#openFast() }, io, state.pid)
        await Promise.all(execs.map((exec) => task.reconnectExec(exec.id, exec.stdio)))
        if (state.status !== 'created') task.started()
        return task
      }
      // A shim without a task: its creation was cut short.
      await service.shutdown(id).catch(() => {})
      await client.closed
    }
    await this.#clean(id, bundle, true)
    return undefined
  }

  async destroy({ id, bundle }: { id: string; bundle: string }): Promise<void> {
    checkId(id)
    for (const pid of shimsOf(bundle)) killShim(pid)
    await this.#clean(id, bundle, true)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    for (const task of this.#tasks.values()) task.disconnect()
    this.#tasks.clear()
    await (await this.#events)?.[Symbol.asyncDispose]()
    ;(await this.#fast)?.close()
  }

  #adopt(service: TaskService, { id, bundle, fast }: { id: string; bundle: string; fast: FastExec | undefined }, io: ProcessIo, pid: number): ShimTask {
    let loss: Promise<Exit> | undefined
    const connection: ShimConnection = {
      id,
      bundle,
      service,
      fast,
      runtimeState: join(this.#runtimeRoot, this.#namespace, id),
      logger: this.#logger,
      oom: new OomCounter(cgroupOf(bundle)),
      end: async () => {
        this.#tasks.delete(id)
        await service.shutdown(id).catch(() => {})
        await service.client.closed
        await this.#clean(id, bundle, false)
      },
      lost: () => {
        if (this.#disposed) return undefined
        loss ??= (async () => {
          this.#logger.warn('the shim of a task is gone', { id })
          const at = new Date()
          await this.#clean(id, bundle, true)
          return { status: 137, at }
        })()
        return loss
      },
    }
    const task = new ShimTask(connection, io, pid)
    this.#tasks.set(id, task)
    return task
  }

  /** @param force also what only a shim that was killed leaves */
  async #clean(id: string, bundle: string, force: boolean): Promise<void> {
    if (force && this.#runtimeBinary === undefined && existsSync(bundle)) await deleteByShim({ ...this.#launchOptions, id, bundle, socket: this.#socketOf(id) })
    const runtime = this.#runtimeBinary === undefined ? undefined : { binary: this.#runtimeProgram() ?? '', root: join(this.#runtimeRoot, this.#namespace) }
    if (force) await removeLeftovers({ id, bundle, cgroup: cgroupOf(bundle), runtime })
    ;(await this.#openFast())?.forget(id)
    removeSocket(this.#socketOf(id))
    removePipes(bundle)
  }

  #openFast(): Promise<FastExec | undefined> {
    this.#fast ??= (async () => {
      if (this.#execBinary === false) return undefined
      mkdirSync(this.#stateDir, { recursive: true, mode: 0o700 })
      return FastExec.open({ root: join(this.#stateDir, 'exec'), script: join(this.#stateDir, 'runc'), runc: this.#runtimeBinary ?? '', crun: this.#execBinary, logger: this.#logger })
    })()
    return this.#fast
  }

  /** The program that runc's shim is to run; a script where it has arguments of its own. */
  #runtimeProgram(): string | undefined {
    if (this.#runtimeBinary === undefined || this.#runtimeArgs.length === 0) return this.#runtimeBinary
    const script = join(this.#stateDir, 'with-arguments')
    mkdirSync(this.#stateDir, { recursive: true, mode: 0o700 })
    replaceFile(script, `#!/bin/sh\nexec ${[this.#runtimeBinary, ...this.#runtimeArgs].map(shellQuoted).join(' ')} "$@"\n`, 0o700)
    return script
  }

  get #launchOptions() {
    return { binary: this.#shimBinary, namespace: this.#namespace, eventsSocket: this.#eventsSocket }
  }

  /** Its processes. */
  async #launch({ id, bundle, inherit }: { id: string; bundle: string; inherit: (number | 'ignore')[] }): Promise<number[]> {
    const options = { ...this.#launchOptions, id, bundle, socket: this.#socketOf(id), inherit }
    if (this.#runtimeBinary !== undefined) return [await launchShim(options)]
    await startShim(options)
    return shimsOf(bundle)
  }

  async #listen(): Promise<void> {
    this.#events ??= (async () => {
      mkdirSync(join(this.#stateDir, 's'), { recursive: true, mode: 0o700 })
      return serveTtrpc(this.#eventsSocket, (_method, payload) => {
        const id = oomOf(payload)
        if (id !== undefined) this.#tasks.get(id)?.reportOom()
      })
    })()
    await this.#events
  }

  get #eventsSocket(): string {
    return join(this.#stateDir, 'events.sock')
  }

  get #runtimeRoot(): string {
    return join(this.#stateDir, 'runtime')
  }

  /** A hash, as a path of a socket has little room. */
  #socketOf(id: string): string {
    return join(this.#stateDir, 's', createHash('sha256').update(id).digest('hex').slice(0, 32))
  }
}

function checkId(id: string): void {
  // The shim and runc use it as a file name.
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(id)) throw new BerthError('invalid-argument', 'TASK_ID_INVALID', `invalid task id ${JSON.stringify(id)}`)
}

function cgroupOf(bundle: string): string | undefined {
  try {
    const config = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as { linux?: { cgroupsPath?: string } }
    return config.linux?.cgroupsPath
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}

function killShim(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error
  }
}
