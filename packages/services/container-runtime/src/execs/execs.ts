import { setTimeout } from 'node:timers/promises'
import type { ExecConfig, ExecInspectResponse } from '@berth/api-types'
import { BerthError, messageOf, newId } from '@berth/core'
import type { RuntimeProcess } from '@berth/oci-runtime'
import { engineAnnotations } from '../annotations.ts'
import type { Container } from '../container.ts'
import { type Context, emit } from '../context.ts'
import { DetachKeys } from '../streams/detach-keys.ts'
import type { Exec } from './exec-process.ts'
import { ExecSpecs } from './exec-spec.ts'
import { endProcessTree } from './exec-tree.ts'
import { ExecTable } from './exec-table.ts'
import type { ProbeResult } from '../life/health.ts'
import type { OciProcess } from '../spec/index.ts'
import { exitCodeOfStartError, startError } from '../life/start-error.ts'
import type { Attachment } from '../streams/streams.ts'
import { invalid } from '../create/validate-config.ts'

const execErrorPrefix = 'OCI runtime exec failed: exec failed: unable to start container process: '
const probeOutputLimit = 64 * 1024
/** Exit code of what could not be made a process at all, as in Docker. */
const notInvoked = 126
/** How long a new size waits for the start of an exec, in milliseconds. */
const resizePatience = 10_000
/** Milliseconds between SIGHUP and SIGKILL for an exec whose client is gone. */
const hangUpGrace = 2000

interface TerminalSize {
  width: number
  height: number
}

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
  readonly #specs: ExecSpecs
  readonly #table: ExecTable

  constructor(ctx: Context) {
    this.#ctx = ctx
    this.#specs = new ExecSpecs(ctx)
    this.#table = new ExecTable(ctx)
  }

  create(container: Container, config: ExecConfig): string {
    if (!config.Cmd?.length) throw invalid('No exec command specified')
    if ([...config.Cmd, ...(config.Env ?? []), config.WorkingDir ?? ''].some((part) => part.includes('\0'))) throw invalid('a command must not hold a NUL byte')
    if (config.DetachKeys) new DetachKeys(config.DetachKeys)
    checkActive(container)
    const exec = this.#table.add(container, { id: newId(), containerId: container.id, config, openStdin: config.AttachStdin ?? false })
    emit(this.#ctx, container, `exec_create: ${exec.commandLine}`, { execID: exec.id })
    return exec.id
  }

  /** Attached, a command that cannot be run says so on its output, as Docker has it; detached it throws. */
  async start(id: string, { detach, consoleSize }: { detach: boolean; consoleSize?: TerminalSize }): Promise<Attachment | undefined> {
    const exec = this.#table.get(id)
    const container = this.#ctx.containers.resolve(exec.definition.containerId)
    checkActive(container)
    if (exec.hasEnded) throw new BerthError('conflict', 'EXEC_ENDED', `Error: Exec command ${id} has already run`)
    if (exec.status !== 'created') throw new BerthError('conflict', 'EXEC_RUNNING', `Error: Exec command ${id} is already running`)
    exec.status = 'starting'
    // Nobody could ever write to it.
    if (detach) exec.definition = { ...exec.definition, openStdin: false }
    const attachment = detach ? undefined : this.#attach(container, exec)
    try {
      await this.#run(container, exec, consoleSize)
    } catch (error) {
      if (!attachment) throw error
      exec.streams.say(`${messageOf(error)}\r\n`)
    } finally {
      if (exec.hasEnded) exec.streams.end()
    }
    return attachment
  }

  inspect(id: string): ExecInspectResponse {
    const exec = this.#table.get(id)
    const { config, containerId } = exec.definition
    const [entrypoint = '', ...args] = config.Cmd ?? []
    return {
      ID: id,
      ContainerID: containerId,
      Running: exec.status === 'running',
      // Docker's is null until it has ended.
      ExitCode: (exec.exitCode ?? null) as number,
      ProcessConfig: { entrypoint, arguments: args, tty: config.Tty ?? false, privileged: config.Privileged ?? false, ...(config.User ? { user: config.User } : {}) },
      OpenStdin: config.AttachStdin ?? false,
      OpenStdout: config.AttachStdout ?? false,
      OpenStderr: config.AttachStderr ?? false,
      CanRemove: exec.status === 'exited',
      Pid: exec.pid,
      DetachKeys: config.DetachKeys ?? '',
    } as ExecInspectResponse
  }

  /** Waits for a start that is about to come, as Docker does. Throws `conflict` when there is none. */
  async resize(id: string, size: TerminalSize): Promise<void> {
    const exec = this.#table.get(id)
    const late = new AbortController()
    const patience = setTimeout(resizePatience, undefined, { ref: false, signal: late.signal }).catch(() => {})
    await Promise.race([exec.started, patience])
    late.abort()
    if (exec.status !== 'running') throw new BerthError('conflict', 'EXEC_NOT_RUNNING', `exec ${id} is not running`)
    await exec.process?.resize(size)
  }

  /** Runs a command and collects what it writes. `signal` kills it, with all that came of it. */
  async probe(container: Container, command: string[], signal: AbortSignal): Promise<ProbeResult> {
    const { User, WorkingDir } = container.record.definition.config
    const id = this.create(container, { Cmd: command, AttachStdout: true, AttachStderr: true, User, WorkingDir })
    const exec = this.#table.get(id)
    const attachment = await this.start(id, { detach: false })
    const kill = (): void => void this.#end(container, exec, 0)
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
      return { exitCode: exec.exitCode ?? -1, output }
    } finally {
      signal.removeEventListener('abort', kill)
      this.#table.forget(exec)
    }
  }

  /** Takes over execs that were found after a restart of the engine, those that have ended meanwhile too; the others have ended unseen. */
  adopt(container: Container, found: readonly RuntimeProcess[]): void {
    const processes = new Map(found.map((process) => [process.id, process]))
    for (const definition of this.#ctx.records.execsOf(container.id)) {
      const process = processes.get(definition.id)
      // Its start was cut off, and nobody was told of it.
      const isUnborn = process?.pid === 0
      if (!process || isUnborn) {
        this.#ctx.records.removeExec(definition.id)
        void process?.delete().catch(() => {})
        continue
      }
      const exec = this.#table.add(container, definition)
      exec.begin(process)
      exec.streams.connect(process)
      void this.#watch(container, exec, process)
    }
  }

  /** A container is gone: so are its execs. */
  forgetAll(container: Container): void {
    this.#table.forgetAll(container)
  }

  #attach(container: Container, exec: Exec): Attachment {
    const { AttachStdin, AttachStdout, AttachStderr, DetachKeys: detachKeys } = exec.definition.config
    let hasDetached = false
    const onDetachKeys = (): void => {
      hasDetached = true
      emit(this.#ctx, container, 'exec_detach', { execID: exec.id })
    }
    const attachment = exec.streams.attach({ stdin: AttachStdin ?? false, stdout: AttachStdout ?? false, stderr: AttachStderr ?? false, closesStdin: true, detachKeys, onDetachKeys })
    const policy = engineAnnotations(container.record.definition.host).execOnDisconnect ?? this.#ctx.options.execOnDisconnect
    return {
      ...attachment,
      // Output ends a moment before the exit code is known, which clients ask for at once.
      done: attachment.done.then(() => (exec.streams.isFinished ? exec.ended : undefined)),
      detach: () => {
        attachment.detach()
        if (policy === 'kill' && !hasDetached && exec.status === 'running') void this.#end(container, exec, hangUpGrace)
      },
    }
  }

  /** Ends an exec with all that came of it. */
  async #end(container: Container, exec: Exec, grace: number): Promise<void> {
    const { logger } = this.#ctx
    try {
      const task = container.run?.task
      if (task) await endProcessTree({ root: exec.pid, containerId: container.id, pids: () => task.pids(), grace })
      await exec.process?.kill(9)
    } catch (error) {
      if (exec.status === 'running') logger.warn('an exec could not be ended', { container: container.id, exec: exec.id, error: messageOf(error) })
    }
  }

  async #run(container: Container, exec: Exec, consoleSize?: TerminalSize): Promise<void> {
    const { records } = this.#ctx
    const { config, openStdin } = exec.definition
    let process: RuntimeProcess | undefined
    let spec: OciProcess | undefined
    try {
      const { run } = container
      if (!run) throw new BerthError('conflict', 'CONTAINER_NOT_ACTIVE', `Container ${container.id} is not running`)
      if (config.WorkingDir && !config.WorkingDir.startsWith('/')) {
        throw new BerthError('invalid-argument', 'EXEC_WORKDIR_INVALID', 'OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown')
      }
      spec = await this.#specs.processOf(container, run, config, consoleSize)
      records.insertExec(exec.definition)
      this.#ctx.failPoint('exec.recorded')
      process = await run.task.exec({ id: exec.id, process: spec, stdio: { terminal: config.Tty ?? false, stdin: openStdin } })
      this.#ctx.failPoint('exec.made')
      exec.streams.connect(process)
      await process.start()
      this.#ctx.failPoint('exec.started')
    } catch (error) {
      records.removeExec(exec.id)
      await process?.delete().catch(() => {})
      const failure = startError(error, execErrorPrefix)
      const code = exitCodeOfStartError(error)
      exec.end(spec || code !== 128 ? code : notInvoked)
      this.#table.ended(container, exec)
      throw failure
    }
    exec.begin(process)
    emit(this.#ctx, container, `exec_start: ${exec.commandLine}`, { execID: exec.id })
    void this.#watch(container, exec, process)
  }

  async #watch(container: Container, exec: Exec, process: RuntimeProcess): Promise<void> {
    const { logger, records, closed } = this.#ctx
    try {
      const { status } = await process.wait()
      if (closed.aborted) return
      this.#ctx.failPoint('exec.ended')
      await exec.streams.drain()
      if (closed.aborted) return
      exec.end(status)
      records.removeExec(exec.id)
      emit(this.#ctx, container, 'exec_die', { execID: exec.id, exitCode: String(status) })
      this.#table.ended(container, exec)
      await process.delete()
    } catch (error) {
      if (closed.aborted) return
      logger.debug('an exec could not be followed to its end', { exec: exec.id, error: messageOf(error) })
      exec.streams.end()
      for (const output of [process.stdout, process.stderr]) output?.destroy()
      exec.end(137)
      this.#table.ended(container, exec)
    }
  }
}
