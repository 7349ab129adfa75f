import type { ContainerCreateRequest, ContainerInspectResponse, ContainerStatsResponse, ContainerSummary } from '@berth/api-types'
import { BerthError, newId, shortId } from '@berth/core'
import type { Attachment, AttachOptions, CommitOptions, ContainerBackend, ExecBackend, LogsOptions, PathStat } from '../backend.ts'
import type { MemoryEvents } from './events.ts'
import { MemoryFiles } from './files.ts'
import type { MemoryImages } from './images.ts'
import { MemoryProcess, programs } from './process.ts'

const signals: Record<string, number> = { HUP: 1, INT: 2, QUIT: 3, KILL: 9, USR1: 10, TERM: 15, WINCH: 28 }

function signalNumber(name = 'KILL'): number {
  const number = /^\d+$/.test(name) ? Number(name) : signals[name.replace(/^SIG/, '')]
  if (number === undefined) throw new BerthError('invalid-argument', 'SIGNAL_INVALID', `Invalid signal: ${name}`)
  return number
}

class MemoryContainer {
  readonly id = newId()
  readonly created = new Date().toISOString()
  name: string
  readonly request: ContainerCreateRequest
  process: MemoryProcess
  state: 'created' | 'running' | 'paused' | 'exited' = 'created'
  exitCode = 0
  readonly files = new MemoryFiles(this.id)
  readonly removed = Promise.withResolvers<void>()

  constructor(name: string, request: ContainerCreateRequest) {
    this.name = name
    this.request = request
    this.process = new MemoryProcess(request.Tty ?? false)
  }

  get args(): string[] {
    return [...(this.request.Entrypoint ?? []), ...(this.request.Cmd ?? [])]
  }

  get isRunning(): boolean {
    return this.state === 'running' || this.state === 'paused'
  }
}

/** Containers that run the programs of ./process.ts in this process. */
export class MemoryContainers implements ContainerBackend {
  readonly #containers = new Map<string, MemoryContainer>()
  readonly #events: MemoryEvents
  readonly #images: MemoryImages

  constructor(events: MemoryEvents, images: MemoryImages) {
    this.#events = events
    this.#images = images
  }

  get(ref: string): MemoryContainer {
    const found = [...this.#containers.values()].filter(({ id, name }) => name === ref || id === ref || (ref.length > 3 && id.startsWith(ref)))
    if (!found[0]) throw new BerthError('not-found', 'CONTAINER_NOT_FOUND', `No such container: ${ref}`)
    return found[0]
  }

  async create(name: string | undefined, request: ContainerCreateRequest): Promise<{ Id: string; Warnings: string[] }> {
    const image = request.Image ?? ''
    if (!this.#images.has(image)) throw new BerthError('not-found', 'IMAGE_NOT_FOUND', `No such image: ${image.includes(':') ? image : `${image}:latest`}`)
    const wanted = name ?? `name_${this.#containers.size}`
    for (const { id, name: taken } of this.#containers.values()) {
      if (taken === wanted) throw new BerthError('conflict', 'NAME_TAKEN', `Conflict. The container name "/${wanted}" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`)
    }
    const container = new MemoryContainer(wanted, request)
    this.#containers.set(container.id, container)
    this.#emit('create', container)
    return { Id: container.id, Warnings: [] }
  }

  async list({ all, filters }: Parameters<ContainerBackend['list']>[0]): Promise<ContainerSummary[]> {
    const names = filters.get('name')
    const chosen = [...this.#containers.values()].filter(({ isRunning, name }) => (all || isRunning) && (!names || names.some((part) => name.includes(part))))
    return chosen.toReversed().map(
      ({ id, name, args, request, created, state, exitCode }): ContainerSummary => ({
        Id: id,
        Names: [`/${name}`],
        Image: request.Image ?? '',
        ImageID: '',
        Command: args.join(' '),
        Created: Math.floor(Date.parse(created) / 1000),
        Ports: Object.entries(request.HostConfig?.PortBindings ?? {}).flatMap(([port, bindings]) =>
          (bindings ?? []).map((binding) => ({ IP: binding.HostIp || '0.0.0.0', PrivatePort: Number.parseInt(port, 10), PublicPort: Number(binding.HostPort), Type: 'tcp' as const })),
        ),
        Labels: request.Labels ?? {},
        State: state,
        Status: state === 'created' ? 'Created' : state === 'exited' ? `Exited (${exitCode}) Less than a second ago` : 'Up Less than a second',
      }),
    )
  }

  async inspect(ref: string): Promise<ContainerInspectResponse> {
    const { id, name, created, request, state, exitCode, isRunning, args } = this.get(ref)
    const { HostConfig, NetworkingConfig, ...config } = request
    const ports = Object.fromEntries(Object.entries(HostConfig?.PortBindings ?? {}).map(([port, bindings]) => [port, (bindings ?? []).map((binding) => ({ ...binding, HostIp: binding.HostIp || '0.0.0.0' }))]))
    return {
      Id: id,
      Name: `/${name}`,
      Created: created,
      Path: args[0] ?? '',
      Args: args.slice(1),
      State: { Status: state, Running: isRunning, Paused: state === 'paused', ExitCode: exitCode },
      Image: request.Image ?? '',
      Config: config,
      HostConfig: HostConfig ?? {},
      NetworkSettings: { Ports: ports, Networks: NetworkingConfig?.EndpointsConfig ?? {} },
      Mounts: [],
    }
  }

  async start(ref: string): Promise<void> {
    const container = this.get(ref)
    if (container.isRunning) throw new BerthError('not-modified', 'CONTAINER_RUNNING', 'container already running')
    const program = programs[container.args[0] ?? '']
    if (!program) throw new BerthError('invalid-argument', 'COMMAND_NOT_FOUND', `exec: "${container.args[0]}": executable file not found in $PATH`)
    if (container.state === 'exited') container.process = new MemoryProcess(container.request.Tty ?? false)
    container.state = 'running'
    this.#emit('start', container)
    const { process } = container
    void process.run(program, container.args, container.request.Env).then(() => {
      container.state = 'exited'
      container.exitCode = process.exitCode ?? 0
      this.#emit('die', container)
      if (container.request.HostConfig?.AutoRemove) this.#remove(container)
    })
  }

  async stop(ref: string): Promise<void> {
    const container = this.get(ref)
    if (!container.isRunning) throw new BerthError('not-modified', 'CONTAINER_STOPPED', 'container already stopped')
    container.process.kill(15)
    await container.process.exit.promise
  }

  async restart(ref: string): Promise<void> {
    const container = this.get(ref)
    if (container.isRunning) await this.stop(ref)
    await this.start(ref)
  }

  async kill(ref: string, { signal }: { signal?: string }): Promise<void> {
    const container = this.get(ref)
    const number = signalNumber(signal)
    if (!container.isRunning) throw new BerthError('conflict', 'CONTAINER_NOT_RUNNING', `container ${container.id} is not running`)
    if (number !== signals['WINCH']) container.process.kill(number)
  }

  async pause(ref: string): Promise<void> {
    this.get(ref).state = 'paused'
  }

  async unpause(ref: string): Promise<void> {
    this.get(ref).state = 'running'
  }

  async rename(ref: string, name: string): Promise<void> {
    this.get(ref).name = name
  }

  async update(ref: string, request: Parameters<ContainerBackend['update']>[1]): Promise<{ Warnings: string[] }> {
    const container = this.get(ref)
    container.request.HostConfig = { ...container.request.HostConfig, ...request }
    return { Warnings: [] }
  }

  async wait(ref: string, { condition }: Parameters<ContainerBackend['wait']>[1]): ReturnType<ContainerBackend['wait']> {
    const container = this.get(ref)
    const { process } = container
    const isOver = condition === 'not-running' && !container.isRunning
    const ended = isOver ? Promise.resolve(container.exitCode) : process.exit.promise
    return { result: ended.then(async (StatusCode) => (condition === 'removed' && (await container.removed.promise), { StatusCode })) }
  }

  async remove(ref: string, { force }: { force: boolean }): Promise<void> {
    const container = this.get(ref)
    if (container.isRunning && !force) {
      throw new BerthError('conflict', 'CONTAINER_RUNNING', `cannot remove container "/${container.name}": container is running: stop the container before removing or force remove`)
    }
    if (container.isRunning) {
      container.process.kill(9)
      await container.process.exit.promise
    }
    this.#remove(container)
  }

  async prune(): Promise<{ ContainersDeleted: string[]; SpaceReclaimed: number }> {
    const stopped = [...this.#containers.values()].filter(({ isRunning }) => !isRunning)
    for (const container of stopped) this.#remove(container)
    return { ContainersDeleted: stopped.map(({ id }) => id), SpaceReclaimed: 0 }
  }

  async top(ref: string): Promise<{ Titles: string[]; Processes: string[][] }> {
    return { Titles: ['PID', 'CMD'], Processes: [['1', this.get(ref).args.join(' ')]] }
  }

  async *stats(ref: string, { stream, signal }: Parameters<ContainerBackend['stats']>[1]): AsyncIterable<ContainerStatsResponse> {
    const { id, name } = this.get(ref)
    const cpu = (total: number, system: number) => ({ cpu_usage: { total_usage: total }, system_cpu_usage: system, online_cpus: 2 })
    do {
      yield {
        id,
        name: `/${name}`,
        read: new Date().toISOString(),
        cpu_stats: cpu(300, 2000),
        precpu_stats: cpu(100, 1000),
        memory_stats: { usage: 3 << 20, limit: 64 << 20, stats: { inactive_file: 1 << 20 } },
        pids_stats: { current: 2 },
        networks: { eth0: { rx_bytes: 1500, tx_bytes: 2_000_000 } },
      }
    } while (stream && !signal.aborted && (await new Promise((resolve) => setImmediate(resolve, true))))
  }

  async resize(ref: string, size: { width: number; height: number }): Promise<void> {
    Object.assign(this.get(ref).process.size, size)
  }

  async logs(ref: string, options: LogsOptions): ReturnType<ContainerBackend['logs']> {
    const { process, request } = this.get(ref)
    return { tty: request.Tty ?? false, entries: process.read(options) }
  }

  async attach(ref: string, options: AttachOptions): Promise<Attachment> {
    const container = this.get(ref)
    const attachment = container.process.attach({ ...options, stdin: options.stdin && (container.request.OpenStdin ?? false) })
    if (options.logs) for (const { stream, line } of container.process.log) (attachment[stream] as unknown as { write(data: Uint8Array): void }).write(line)
    return attachment
  }

  async export(ref: string): Promise<AsyncIterable<Uint8Array>> {
    const { name } = this.get(ref)
    return (async function* () {
      yield Buffer.from(`tar of ${name}`)
    })()
  }

  async changes(ref: string): ReturnType<ContainerBackend['changes']> {
    return this.get(ref).files.changed.map((Path) => ({ Path, Kind: 0 }))
  }

  async statPath(ref: string, path: string): Promise<PathStat> {
    return this.get(ref).files.stat(path)
  }

  async readArchive(ref: string, path: string): ReturnType<ContainerBackend['readArchive']> {
    const { files } = this.get(ref)
    const archive = files.read(path)
    return {
      stat: files.stat(path),
      archive: (async function* () {
        yield archive
      })(),
    }
  }

  async writeArchive(ref: string, path: string, source: AsyncIterable<Uint8Array>): Promise<void> {
    await this.get(ref).files.write(path, source)
  }

  async commit(ref: string, { repo, tag = 'latest' }: CommitOptions): Promise<{ Id: string }> {
    this.get(ref)
    return { Id: this.#images.add(repo === undefined ? newId() : `${repo}:${tag}`) }
  }

  #remove(container: MemoryContainer): void {
    this.#containers.delete(container.id)
    container.removed.resolve()
    this.#emit('destroy', container)
  }

  #emit(action: string, { id, name, request }: MemoryContainer): void {
    this.#events.emit('container', action, id, { name, image: request.Image ?? '' })
  }
}

/** Commands run in those containers. */
export class MemoryExecs implements ExecBackend {
  readonly #execs = new Map<string, { container: string; request: Parameters<ExecBackend['create']>[1]; process: MemoryProcess }>()
  readonly #containers: MemoryContainers

  constructor(containers: MemoryContainers) {
    this.#containers = containers
  }

  async create(ref: string, request: Parameters<ExecBackend['create']>[1]): Promise<{ Id: string }> {
    const { id, isRunning } = this.#containers.get(ref)
    if (!isRunning) throw new BerthError('conflict', 'CONTAINER_NOT_RUNNING', `container ${id} is not running`)
    const exec = newId()
    this.#execs.set(exec, { container: id, request, process: new MemoryProcess(request.Tty ?? false) })
    return { Id: exec }
  }

  async start(id: string, { detach, consoleSize }: Parameters<ExecBackend['start']>[1]): Promise<Attachment | undefined> {
    const { process, request } = this.#get(id)
    if (consoleSize) Object.assign(process.size, consoleSize)
    const program = programs[request.Cmd?.[0] ?? ''] ?? (({ write }) => (write('stdout', `exec: "${request.Cmd?.[0]}": executable file not found in $PATH\n`), 127))
    const attachment = detach ? undefined : process.attach({ stdin: request.AttachStdin ?? false, stdout: request.AttachStdout ?? false, stderr: request.AttachStderr ?? false })
    void process.run(program, request.Cmd ?? [], request.Env)
    return attachment
  }

  async inspect(id: string): ReturnType<ExecBackend['inspect']> {
    const { process, container } = this.#get(id)
    return { ID: id, ContainerID: container, Running: process.exitCode === undefined, ExitCode: process.exitCode ?? 0 }
  }

  async resize(id: string, size: { width: number; height: number }): Promise<void> {
    Object.assign(this.#get(id).process.size, size)
  }

  #get(id: string) {
    const exec = this.#execs.get(id)
    if (!exec) throw new BerthError('not-found', 'EXEC_NOT_FOUND', `No such exec instance: ${shortId(id)}`)
    return exec
  }
}
