import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { NetworkSettings } from '@berth/api-types'
import { BerthError, type EngineEvent, nowNano } from '@berth/core'
import type { Log, LogDriver, LogEntry, LogStream, ReadLogOptions } from '@berth/log-driver'
import { type MemoryProgram, memoryRuntime, MemoryWorld } from '@berth/oci-runtime/memory'
import { memorySnapshotter, MemorySnapshots } from '@berth/snapshotter/memory'
import { type ContainerRuntime, type ContainerRuntimeDependencies, type ContainerRuntimeOptions, type ImageCommit, type NetworkRequest, openContainerRuntime } from '../src/index.ts'

/** Programs of the fake image. */
const programs: Record<string, MemoryProgram> = {
  true: () => 0,
  exit: ({ args }) => Number(args[1]),
  echo: ({ args, stdout }) => {
    stdout.write(`${args.slice(1).join(' ')}\n`)
    return 0
  },
  sleep: ({ ended }) => new Promise((resolve) => ended.addEventListener('abort', () => resolve(0))),
  /** Ends with 0 on SIGTERM. */
  serve: ({ onSignal, stdout }) =>
    new Promise((resolve) => {
      stdout.write('ready\n')
      onSignal((signal) => signal === 15 && resolve(0))
    }),
  stubborn: ({ onSignal, ended }) => {
    onSignal(() => {})
    return new Promise((resolve) => ended.addEventListener('abort', () => resolve(0)))
  },
  cat: async ({ stdin, stdout }) => {
    for await (const chunk of stdin) if (!stdout.write(chunk)) await new Promise((resolve) => stdout.once('drain', resolve))
    return 0
  },
  /** Closes its output, and ends with 7 some time after its input did. */
  quiet: async ({ stdin, stdout, stderr }) => {
    stdout.end()
    stderr.end()
    await stdin.resume().toArray()
    await setTimeout(20)
    return 7
  },
  oom: ({ oom }) => {
    oom()
    return 137
  },
}

const accounts = { passwd: 'root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\n', group: 'web:x:34:\n' }

interface KeptLog {
  entries: LogEntry[]
  waiting: Set<() => void>
  open: number
  /** How many had it open at the same time. */
  mostOpen: number
}

/** What outlives an engine. */
class FakeWorld {
  readonly tasks = new MemoryWorld()
  readonly snapshots = new MemorySnapshots()
  readonly logs = new Map<string, KeptLog>()
  readonly reserved = new Map<string, NetworkRequest>()
  readonly attached = new Set<string>()
  readonly volumes = new Set<string>()
  /** IDs of images whose names were given to others. */
  readonly images = new Map<string, string>()
  readonly commits: (Omit<ImageCommit, 'layer'> & { layer: Buffer })[] = []
}

function logDriver({ logs }: FakeWorld): LogDriver {
  return {
    name: 'memory',
    canRead: true,
    validate(options) {
      for (const key of Object.keys(options)) if (key !== 'tag') throw new BerthError('invalid-argument', 'LOG_OPTION', `unknown log opt '${key}' for memory log driver`)
    },
    open({ id }): Log {
      const kept = logs.get(id) ?? { entries: [], waiting: new Set(), open: 0, mostOpen: 0 }
      logs.set(id, kept)
      let isOpen = true
      kept.open++
      kept.mostOpen = Math.max(kept.mostOpen, kept.open)
      const wake = () => {
        for (const go of kept.waiting) go()
        kept.waiting.clear()
      }
      return {
        path: undefined,
        write(stream: LogStream, chunk) {
          kept.entries.push({ stream, time: nowNano(), line: Buffer.from(chunk) })
          wake()
        },
        async *read({ stdout, stderr, until, follow, tail, signal }: ReadLogOptions) {
          let next = tail === undefined ? 0 : Math.max(0, kept.entries.length - tail)
          signal?.addEventListener('abort', wake)
          for (;;) {
            const entry = kept.entries[next]
            if (entry) {
              if (until !== undefined && entry.time > until) return
              next++
              if (entry.stream === 'stdout' ? stdout : stderr) yield entry
            } else if (!follow || !isOpen || signal?.aborted) return
            else await new Promise<void>((resolve) => kept.waiting.add(resolve))
          }
        },
        close() {
          if (isOpen) kept.open--
          isOpen = false
          wake()
        },
        remove: () => void logs.delete(id),
      }
    },
  }
}

export interface FakeEngine extends AsyncDisposable {
  /** Of everything that it keeps on the disk. */
  directory: string
  runtime: ContainerRuntime
  world: FakeWorld
  events: EngineEvent[]
  /** Fails or delays operations of the fake runtime and services; by name. */
  faults: Map<string, (id: string) => void | Promise<void>>
  /** As after kill -9: a new runtime over the same records and world. */
  restart(options?: { reboot?: boolean }): Promise<void>
  /** Settles when an event like this one was told. */
  event(action: string, count?: number): Promise<EngineEvent>
}

/** A container runtime on fakes of everything else; `real` puts what it likes in their place. */
export async function fakeEngine(
  imageConfig: object = {},
  real: (fakes: ContainerRuntimeDependencies) => Partial<ContainerRuntimeDependencies> = () => ({}),
  options: Partial<ContainerRuntimeOptions> = {},
): Promise<FakeEngine> {
  const directory = mkdtempSync(join(tmpdir(), 'container-runtime-'))
  const world = new FakeWorld()
  const events: EngineEvent[] = []
  const faults: FakeEngine['faults'] = new Map()
  const listeners = new Set<() => void>()
  const fault = async (name: string, id: string) => faults.get(name)?.(id)
  let oci = memoryRuntime({ programs, world: world.tasks, before: fault })
  const settings: NetworkSettings = { Networks: { bridge: { NetworkID: 'n1' } }, Ports: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }] } } as unknown as NetworkSettings
  const fakes = (): ContainerRuntimeDependencies => ({
    images: {
      async resolve(ref) {
        if (ref.startsWith('missing')) throw new BerthError('not-found', 'IMAGE_NOT_FOUND', `No such image: ${ref}`)
        return { id: world.images.get(ref) ?? `sha256:${ref === 'other' ? 'b' : 'a'}`, chainId: undefined, config: { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] }, config: imageConfig } }
      },
      async commit({ layer, container, ...options }) {
        await fault('commit', container)
        const chunks: Uint8Array[] = []
        for await (const chunk of layer) chunks.push(chunk)
        world.commits.push({ ...options, container, layer: Buffer.concat(chunks) })
        return { id: `sha256:c${world.commits.length}` }
      },
    },
    snapshotter: memorySnapshotter({ world: world.snapshots, before: fault }),
    networks: {
      async reserve(request) {
        await fault('reserve', request.containerId)
        world.reserved.set(request.containerId, request)
      },
      async attach(id) {
        await fault('attach', id)
        world.attached.add(id)
        return { netns: `/run/netns/${id}`, hostsPath: undefined, resolvConfPath: undefined }
      },
      async detach(id) {
        await fault('detach', id)
        world.attached.delete(id)
      },
      async release(id) {
        world.attached.delete(id)
        world.reserved.delete(id)
      },
      async rename(id) {
        await fault('rename', id)
      },
      settings: () => settings,
      counters: async () => ({}),
      async restore(running) {
        for (const id of world.attached) if (!running.has(id)) world.attached.delete(id)
      },
    },
    volumes: {
      async reserve({ containerId }) {
        await fault('volumes', containerId)
        world.volumes.add(containerId)
      },
      attach: async () => [],
      detach: async () => {},
      release: async (id) => void world.volumes.delete(id),
      mountPoints: () => [],
      restore: async () => {},
    },
    runtimes: new Map([['memory', oci]]),
    logDrivers: new Map([['memory', logDriver(world)]]),
    emit(event) {
      events.push(event)
      for (const listener of listeners) listener()
    },
  })
  const dependencies = (): ContainerRuntimeDependencies => {
    const all = fakes()
    return { ...all, ...real(all) }
  }
  const open = () =>
    openContainerRuntime(dependencies(), {
      stateDir: join(directory, 'state'),
      execDir: join(directory, 'exec'),
      machine: { cgroups: 1, swap: true },
      accounts: { ofMounts: () => accounts, ofProcess: () => accounts },
      ...options,
    })
  const engine: FakeEngine = {
    directory,
    runtime: await open(),
    world,
    events,
    faults,
    async restart({ reboot = false } = {}) {
      await engine.runtime[Symbol.asyncDispose]()
      await oci[Symbol.asyncDispose]()
      if (reboot) {
        world.tasks.tasks.clear()
        rmSync(join(directory, 'exec'), { recursive: true, force: true })
      }
      oci = memoryRuntime({ programs, world: world.tasks, before: fault })
      engine.runtime = await open()
    },
    event(action, count = 1) {
      return new Promise((resolve) => {
        const look = () => {
          const found = events.filter((event) => event.action === action)[count - 1]
          if (!found) return
          listeners.delete(look)
          resolve(found)
        }
        listeners.add(look)
        look()
      })
    },
    async [Symbol.asyncDispose]() {
      await engine.runtime[Symbol.asyncDispose]()
      await oci[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  return engine
}
