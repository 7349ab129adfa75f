import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExecConfig, ExecInspectResponse } from '@berth/api-types'
import { BerthError, messageOf, newId } from '@berth/core'
import type { RuntimeProcess } from '@berth/oci-runtime'
import { kernelAccounts } from './accounts.ts'
import type { Container } from './container.ts'
import { bundleOf, type Context, emit } from './context.ts'
import { DetachKeys } from './detach-keys.ts'
import { Exec } from './exec-process.ts'
import type { ProbeResult } from './health.ts'
import type { ExecDefinition } from './records.ts'
import { buildExecProcess, type OciProcess, type OciSpec, resolveUser } from './spec/index.ts'
import { exitCodeOfStartError, startError } from './start-error.ts'
import type { Attachment } from './streams.ts'
import { invalid } from './validate-config.ts'

/** How long the exit code of an exec that has ended can be asked for, in milliseconds. */
const keptFor = 5 * 60_000
const execErrorPrefix = 'OCI runtime exec failed: exec failed: unable to start container process: '
const probeOutputLimit = 64 * 1024

/** Throws `conflict` unless something can be run in the container. */
export function checkActive(container: Container): void {
  const { id, state } = container
  const why = {
    paused: `Container ${id} is paused, unpause the container before exec`,
    restarting: `Container ${id} is restarting, wait until the container is running`,
  }[state.status as string]
  if (why ?? !container.run) throw new BerthError('conflict', 'CONTAINER_NOT_ACTIVE', why ?? `Container ${id} is not running`)
}

/** The execs of all containers. */
export class Execs {
  readonly #ctx: Context
  readonly #byId = new Map<string, Exec>()
  readonly #forgetting = new Set<NodeJS.Timeout>()

  constructor(ctx: Context) {
    this.#ctx = ctx
    ctx.closed.addEventListener('abort', () => {
      for (const timer of this.#forgetting) clearTimeout(timer)
    })
  }

  create(container: Container, config: ExecConfig): string {
    if (!config.Cmd?.length) throw invalid('No exec command specified')
    if (config.Cmd.some((part) => part.includes('\0'))) throw invalid('a command must not hold a NUL byte')
    if (config.DetachKeys) new DetachKeys(config.DetachKeys)
    checkActive(container)
    const exec = this.#add(container, { id: newId(), containerId: container.id, config, openStdin: config.AttachStdin ?? false })
    emit(this.#ctx, container, `exec_create: ${exec.commandLine}`, { execID: exec.id })
    return exec.id
  }

  /** Attached, a command that cannot be run says so on its output, as Docker has it; detached it throws. */
  async start(id: string, options: { detach: boolean; consoleSize?: { width: number; height: number } }): Promise<Attachment | undefined> {
    const exec = this.get(id)
    const container = this.#containerOf(exec)
    checkActive(container)
    if (exec.status === 'exited') throw new BerthError('conflict', 'EXEC_ENDED', `Error: Exec command ${id} has already run`)
    if (exec.status !== 'created') throw new BerthError('conflict', 'EXEC_RUNNING', `Error: Exec command ${id} is already running`)
    exec.status = 'starting'
    const { AttachStdin, AttachStdout, AttachStderr, DetachKeys: detachKeys } = exec.definition.config
    const attachment = options.detach
      ? undefined
      : exec.streams.attach({ stdin: AttachStdin ?? false, stdout: AttachStdout ?? false, stderr: AttachStderr ?? false, closesStdin: true, detachKeys })
    try {
      await this.#run(container, exec, options.consoleSize)
    } catch (error) {
      if (!attachment) throw error
      exec.streams.say(`${messageOf(error)}\r\n`)
    } finally {
      if (exec.exitCode !== undefined && !exec.process) exec.streams.end()
    }
    // Output ends a moment before the exit code is known, which clients ask for at once.
    return attachment && { ...attachment, done: attachment.done.then(() => (exec.streams.isFinished ? exec.ended : undefined)) }
  }

  inspect(id: string): ExecInspectResponse {
    const exec = this.get(id)
    const { config, containerId, openStdin } = exec.definition
    const [entrypoint = '', ...args] = config.Cmd ?? []
    return {
      ID: id,
      ContainerID: containerId,
      Running: exec.status === 'running',
      // Docker's is null until it has ended.
      ExitCode: (exec.exitCode ?? null) as number,
      ProcessConfig: { entrypoint, arguments: args, tty: config.Tty ?? false, privileged: config.Privileged ?? false, ...(config.User ? { user: config.User } : {}) },
      OpenStdin: openStdin,
      OpenStdout: config.AttachStdout ?? false,
      OpenStderr: config.AttachStderr ?? false,
      CanRemove: exec.status === 'exited',
      Pid: exec.process?.pid ?? 0,
      DetachKeys: config.DetachKeys ?? '',
    } as ExecInspectResponse
  }

  async resize(id: string, size: { width: number; height: number }): Promise<void> {
    const exec = this.get(id)
    if (exec.status !== 'running') throw new BerthError('conflict', 'EXEC_NOT_RUNNING', `exec ${id} is not running`)
    await exec.process?.resize(size)
    const container = this.#ctx.containers.get(exec.definition.containerId)
    if (container) emit(this.#ctx, container, 'exec_resize', { execID: id, height: String(size.height), width: String(size.width) })
  }

  get(id: string): Exec {
    const exec = this.#byId.get(id)
    if (!exec) throw new BerthError('not-found', 'EXEC_NOT_FOUND', `No such exec instance: ${id}`)
    return exec
  }

  /** Runs a command and collects what it writes. `signal` kills it. */
  async probe(container: Container, command: string[], signal: AbortSignal): Promise<ProbeResult> {
    const { User, WorkingDir } = container.record.definition.config
    const id = this.create(container, { Cmd: command, AttachStdout: true, AttachStderr: true, User, WorkingDir })
    const exec = this.get(id)
    const attachment = await this.start(id, { detach: false })
    const kill = (): void => void exec.process?.kill(9).catch(() => {})
    signal.addEventListener('abort', kill)
    // The time may be up before the command ran.
    if (signal.aborted) kill()
    let output = ''
    try {
      for (const stream of [attachment?.stdout, attachment?.stderr]) {
        stream?.on('data', (chunk: Buffer) => {
          if (output.length < probeOutputLimit) output += chunk.toString()
        })
      }
      await Promise.all([attachment?.done, exec.ended])
      signal.throwIfAborted()
      return { exitCode: exec.exitCode ?? -1, output }
    } finally {
      signal.removeEventListener('abort', kill)
      this.#forget(exec)
    }
  }

  /** Takes over execs that were found running after a restart of the engine; the others have ended unseen. */
  adopt(container: Container, found: readonly RuntimeProcess[]): void {
    const processes = new Map(found.map((process) => [process.id, process]))
    for (const definition of this.#ctx.records.execsOf(container.id)) {
      const process = processes.get(definition.id)
      if (!process) {
        this.#ctx.records.removeExec(definition.id)
        continue
      }
      const exec = this.#add(container, definition)
      exec.process = process
      exec.status = 'running'
      exec.streams.connect(process)
      void this.#watch(container, exec, process)
    }
  }

  /** A container is gone: so are its execs. */
  forgetAll(container: Container): void {
    for (const exec of this.#byId.values()) if (exec.definition.containerId === container.id) this.#forget(exec)
  }

  #add(container: Container, definition: ExecDefinition): Exec {
    const exec = new Exec(definition)
    this.#byId.set(exec.id, exec)
    container.execs.set(exec.id, exec)
    return exec
  }

  #containerOf(exec: Exec): Container {
    return this.#ctx.containers.resolve(exec.definition.containerId)
  }

  async #run(container: Container, exec: Exec, consoleSize?: { width: number; height: number }): Promise<void> {
    const { records } = this.#ctx
    const { config, openStdin } = exec.definition
    const task = container.run?.task
    let process: RuntimeProcess | undefined
    try {
      const spec = await this.#processOf(container, config, consoleSize)
      if (!task) throw new BerthError('conflict', 'CONTAINER_NOT_ACTIVE', `Container ${container.id} is not running`)
      records.insertExec(exec.definition)
      process = await task.exec({ id: exec.id, process: spec, stdio: { terminal: config.Tty ?? false, stdin: openStdin } })
      exec.streams.connect(process)
      await process.start()
    } catch (error) {
      exec.status = 'exited'
      exec.exitCode = exitCodeOfStartError(error)
      records.removeExec(exec.id)
      container.execs.delete(exec.id)
      await process?.delete().catch(() => {})
      exec.settleEnded()
      this.#forgetLater(exec)
      throw startError(error, execErrorPrefix)
    }
    exec.process = process
    exec.status = 'running'
    emit(this.#ctx, container, `exec_start: ${exec.commandLine}`, { execID: exec.id })
    void this.#watch(container, exec, process)
  }

  async #processOf(container: Container, config: ExecConfig, consoleSize?: { width: number; height: number }): Promise<OciProcess> {
    const { host } = container.record.definition
    const { process: base } = JSON.parse(await readFile(join(bundleOf(this.#ctx, container.id), 'config.json'), 'utf8')) as OciSpec
    const { uid, gid, additionalGids = [] } = base.user
    const user = config.User ? resolveUser(config.User, (this.#ctx.options.accounts ?? kernelAccounts).ofProcess(container.state.pid), host.GroupAdd ?? []) : { uid, gid, additionalGids }
    if (config.WorkingDir && !config.WorkingDir.startsWith('/')) {
      throw new BerthError('invalid-argument', 'EXEC_WORKDIR_INVALID', `${execErrorPrefix}chdir to cwd ("${config.WorkingDir}") set in config.json failed: no such file or directory: unknown`)
    }
    return buildExecProcess({
      container: base,
      host,
      user,
      command: config.Cmd ?? [],
      env: config.Env ?? [],
      workingDir: config.WorkingDir || undefined,
      terminal: config.Tty ?? false,
      consoleSize,
      privileged: config.Privileged ?? false,
      machine: this.#ctx.machine,
    })
  }

  async #watch(container: Container, exec: Exec, process: RuntimeProcess): Promise<void> {
    const { logger, records, closed } = this.#ctx
    try {
      const { status } = await process.wait()
      if (closed.aborted) return
      await exec.streams.drain()
      if (closed.aborted) return
      exec.exitCode = status
      exec.status = 'exited'
      records.removeExec(exec.id)
      container.execs.delete(exec.id)
      emit(this.#ctx, container, 'exec_die', { execID: exec.id, exitCode: String(status) })
      this.#forgetLater(exec)
      exec.settleEnded()
      await process.delete()
    } catch (error) {
      if (!closed.aborted) logger.debug('an exec could not be followed to its end', { exec: exec.id, error: messageOf(error) })
      exec.status = 'exited'
      exec.exitCode ??= 137
      exec.streams.end()
      container.execs.delete(exec.id)
      exec.settleEnded()
      this.#forgetLater(exec)
    }
  }

  #forgetLater(exec: Exec): void {
    if (this.#ctx.closed.aborted) return
    const timer = setTimeout(() => {
      this.#forgetting.delete(timer)
      this.#byId.delete(exec.id)
    }, keptFor)
    timer.unref()
    this.#forgetting.add(timer)
  }

  #forget(exec: Exec): void {
    this.#byId.delete(exec.id)
    this.#ctx.containers.get(exec.definition.containerId)?.execs.delete(exec.id)
  }
}
