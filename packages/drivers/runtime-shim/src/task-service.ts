import type { Exit } from '@berth/oci-runtime'
import { ProtoMessage, ProtoWriter } from './protobuf.ts'
import { RpcFailure, type TtrpcClient } from './ttrpc.ts'

/** As gRPC numbers failures. */
const unimplemented = 12

/** Paths of named pipes; an empty one means none. */
export interface StdioPaths {
  stdin: string
  stdout: string
  stderr: string
}

export type TaskStatus = 'created' | 'running' | 'paused' | 'stopped'

/** One process of a shim: the init process of a task, or with `execId` a further one. */
export interface ProcessRef {
  id: string
  execId?: string
}

/** A message of a type that its receiver knows. */
export interface Any {
  typeUrl: string
  value: Buffer
}

/** Options of `containerd-shim-runc-v2`; `ioOwner` is whose the pipes of the container's and its execs' streams are. */
export function runcOptions({ binary, root, ioOwner = { uid: 0, gid: 0 } }: { binary: string; root: string; ioOwner?: { uid: number; gid: number } | undefined }): Any {
  return { typeUrl: 'containerd.runc.v1.Options', value: new ProtoWriter().uint(4, ioOwner.uid).uint(5, ioOwner.gid).text(6, binary).text(7, root).finish() }
}

/** Options of other shims: a file of settings, or the settings themselves. */
export function configOptions({ typeUrl, configPath, configBody }: { typeUrl?: string; configPath?: string; configBody?: string }): Any {
  const value = new ProtoWriter().text(1, typeUrl).text(2, configPath).text(3, configBody).finish()
  return { typeUrl: 'runtimeoptions.v1.Options', value }
}

/** The calls of `containerd.task.v2.Task` that Berth makes, with their messages in plain types. */
export class TaskService {
  readonly client: TtrpcClient
  #version: 'v2' | 'v3' = 'v2'
  constructor(client: TtrpcClient) {
    this.client = client
  }

  /** @returns the pid of the init process */
  async create(request: {
    id: string
    bundle: string
    rootfs: { type: string; source: string; target?: string; options: string[] }[]
    terminal: boolean
    stdio: StdioPaths
    options: Any | undefined
    checkpoint?: string | undefined
  }): Promise<number> {
    const writer = new ProtoWriter().text(1, request.id).text(2, request.bundle)
    for (const mount of request.rootfs) {
      const nested = new ProtoWriter().text(1, mount.type).text(2, mount.source).text(3, mount.target)
      for (const option of mount.options) nested.text(4, option)
      writer.bytes(3, nested.finish())
    }
    writer.uint(4, request.terminal).text(5, request.stdio.stdin).text(6, request.stdio.stdout).text(7, request.stdio.stderr).text(8, request.checkpoint)
    if (request.options) writer.bytes(10, any(request.options.typeUrl, request.options.value))
    return (await this.#call('Create', writer)).uint(1)
  }

  async exec(request: { id: string; execId: string; terminal: boolean; stdio: StdioPaths; process: object }): Promise<void> {
    const spec = any('types.containerd.io/opencontainers/runtime-spec/1/Process', Buffer.from(JSON.stringify(request.process)))
    const writer = process(request).uint(3, request.terminal)
    writer.text(4, request.stdio.stdin).text(5, request.stdio.stdout).text(6, request.stdio.stderr).bytes(7, spec)
    await this.#call('Exec', writer)
  }

  /** @returns the pid */
  async start(ref: ProcessRef): Promise<number> {
    return (await this.#call('Start', process(ref))).uint(1)
  }

  async kill(ref: ProcessRef, signal: number, all: boolean): Promise<void> {
    await this.#call('Kill', process(ref).uint(3, signal).uint(4, all))
  }

  async resize(ref: ProcessRef, size: { width: number; height: number }): Promise<void> {
    await this.#call('ResizePty', process(ref).uint(3, size.width).uint(4, size.height))
  }

  async closeStdin(ref: ProcessRef): Promise<void> {
    await this.#call('CloseIO', process(ref).uint(3, true))
  }

  async wait(ref: ProcessRef): Promise<Exit> {
    const response = await this.#call('Wait', process(ref))
    return { status: response.uint(1), at: date(response.message(2)) }
  }

  async delete(ref: ProcessRef): Promise<Exit> {
    const response = await this.#call('Delete', process(ref))
    return { status: response.uint(2), at: date(response.message(3)) }
  }

  async state(ref: ProcessRef): Promise<{ pid: number; status: TaskStatus }> {
    const response = await this.#call('State', process(ref))
    return { pid: response.uint(3), status: statuses[response.uint(4)] ?? 'running' }
  }

  async pause(id: string): Promise<void> {
    await this.#call('Pause', process({ id }))
  }

  async resume(id: string): Promise<void> {
    await this.#call('Resume', process({ id }))
  }

  async pids(id: string): Promise<number[]> {
    return (await this.#call('Pids', process({ id }))).messages(1).map((info) => info.uint(1))
  }

  async checkpoint(id: string, { directory, workDirectory, exit }: { directory: string; workDirectory: string; exit: boolean }): Promise<void> {
    const options = new ProtoWriter().uint(1, exit).text(9, workDirectory).finish()
    await this.#call('Checkpoint', process({ id }).text(2, directory).bytes(3, any('containerd.runc.v1.CheckpointOptions', options)))
  }

  async update(id: string, resources: object): Promise<void> {
    const value = Buffer.from(JSON.stringify(resources))
    await this.#call('Update', process({ id }).bytes(2, any('types.containerd.io/opencontainers/runtime-spec/1/LinuxResources', value)))
  }

  /** Ends a shim that serves no task any more; it may be gone before it answers. */
  async shutdown(id: string): Promise<void> {
    await this.#call('Shutdown', process({ id }).uint(2, true))
  }

  async #call(method: string, request: ProtoWriter): Promise<ProtoMessage> {
    const payload = request.finish()
    try {
      return await this.client.call(`containerd.task.${this.#version}.Task`, method, payload)
    } catch (error) {
      // Newer shims serve the same messages under another name.
      if (!(error instanceof RpcFailure) || error.code !== unimplemented || this.#version === 'v3' || !error.message.startsWith('service ')) throw error
      this.#version = 'v3'
      return this.#call(method, request)
    }
  }
}

/** The id of a task whose process the kernel killed for its memory limit, if a request to the events service says that. */
export function oomOf(forwardRequest: Buffer): string | undefined {
  const envelope = new ProtoMessage(forwardRequest).message(1)
  if (envelope.text(3) !== '/tasks/oom') return undefined
  return new ProtoMessage(envelope.message(4).bytes(2)).text(1)
}

const statuses: Record<number, TaskStatus> = { 1: 'created', 2: 'running', 3: 'stopped', 4: 'paused', 5: 'paused' }

const process = ({ id, execId }: ProcessRef) => new ProtoWriter().text(1, id).text(2, execId)

const any = (typeUrl: string, value: Buffer) => new ProtoWriter().text(1, typeUrl).bytes(2, value).finish()

const date = (timestamp: ProtoMessage) => new Date(timestamp.uint(1) * 1000 + Math.floor(timestamp.uint(2) / 1e6))
