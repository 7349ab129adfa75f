import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HostConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { Task } from '@berth/oci-runtime'
import type { Mount } from '@berth/snapshotter'
import { kernelAccounts } from '../create/accounts.ts'
import { applyDevices } from '../cdi/apply-devices.ts'
import { defaultCdiSpecDirs, resolveDevices } from '../cdi/cdi-devices.ts'
import { requestedDevices } from '../cdi/requested-devices.ts'
import type { Container } from '../container.ts'
import { beginLog, endLog } from '../logs/container-log.ts'
import { outputOf } from '../streams/container-streams.ts'
import { bundleOf, type Context, stateDirOf, together } from '../context.ts'
import { zeroTime } from '../records.ts'
import { removeBundle } from './remove-bundle.ts'
import { runtimeOf } from './runtime-by-name.ts'
import { sharedMemoryOf, withSharedMemory } from './shared-memory.ts'
import { type AccountFiles, buildSpec, type ResolvedUser, resolveUser, type SpecInput } from '../spec/index.ts'
import { ContainerUserns } from '../userns/container-userns.ts'

/** The namespaces of other containers to join. Throws `conflict` when one of them does not run. */
function joinedNamespaces({ containers }: Context, host: HostConfig): NonNullable<SpecInput['joined']> {
  const pathOf = (mode: string | undefined, kind: 'pid' | 'ipc'): string | undefined => {
    if (!mode?.startsWith('container:')) return undefined
    const other = containers.resolve(mode.slice('container:'.length))
    if (!other.run) throw new BerthError('conflict', 'JOINED_NOT_RUNNING', `cannot join ${kind.toUpperCase()} of a non running container: ${other.id}`)
    return `/proc/${other.state.pid}/ns/${kind}`
  }
  const pid = pathOf(host.PidMode, 'pid')
  const ipc = pathOf(host.IpcMode, 'ipc')
  return { ...(pid ? { pid } : {}), ...(ipc ? { ipc } : {}) }
}

/** Who the container runs as. A container that never ran has its image's account files. */
function userOf(ctx: Context, container: Container, rootfs: readonly Mount[]): ResolvedUser {
  const { config, host, imageId } = container.record.definition
  const read = (): AccountFiles => (ctx.options.accounts ?? kernelAccounts).ofMounts(rootfs, bundleOf(ctx, container.id))
  const accounts = container.state.startedAt === zeroTime ? ctx.accounts.get(imageId, read) : read()
  return resolveUser(config.User ?? '', accounts, host.GroupAdd ?? [])
}

/** Attaches the network and the volumes, and writes the bundle's configuration. Gives the mounts of the root file system that the runtime is to make. */
async function prepareBundle(ctx: Context, container: Container): Promise<Mount[]> {
  const { id } = container
  const { config, host } = container.record.definition
  const { networks, volumes, snapshotter } = ctx.deps
  const bundle = bundleOf(ctx, id)
  const joined = joinedNamespaces(ctx, host)
  using userns = await ContainerUserns.open(ctx, container)
  const fileSystem = async (): Promise<{ rootfs: Mount[]; user: ResolvedUser }> => {
    const rootfs = await snapshotter.mounts(id)
    return { rootfs, user: userOf(ctx, container, rootfs) }
  }
  const [sandbox, { rootfs, user }, volumeMounts] = await together([networks.attach(id, userns?.network ? { namespace: userns.network } : {}), fileSystem(), volumes.attach(id)])
  ctx.failPoint('start.attached')
  const files = { hosts: sandbox.hostsPath, resolvConf: sandbox.resolvConfPath, hostname: join(stateDirOf(ctx, id), 'hostname') }
  const mounts = userns ? await userns.mapVolumes(volumeMounts) : volumeMounts
  const spec = buildSpec({ id, config, host, user, netns: sandbox.netns, joined, volumes: mounts, files, machine: ctx.machine, defaults: ctx.options.defaults })
  userns?.own(Object.values(files))
  const sharedMemory = sharedMemoryOf(ctx, container)
  const devices = resolveDevices(ctx.options.cdiSpecDirs ?? defaultCdiSpecDirs, requestedDevices(host))
  const edited = applyDevices(sharedMemory === undefined ? spec : withSharedMemory(spec, sharedMemory), devices)
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(userns?.apply(edited) ?? edited), { mode: 0o600 })
  if (!userns) return rootfs
  await userns.mountRoot(rootfs)
  return []
}

/**
 * Makes a container's task, its process waiting to be started. When it fails, the network and the volumes may be attached still.
 * @param checkpoint directory of what the task goes on from
 */
export async function makeTask(ctx: Context, container: Container, checkpoint?: string): Promise<Task> {
  const { id } = container
  const { config, runtime: runtimeName } = container.record.definition
  const runtime = runtimeOf(ctx, runtimeName)
  const bundle = bundleOf(ctx, id)
  removeBundle(bundle)
  mkdirSync(bundle, { recursive: true, mode: 0o700 })

  const streams = outputOf(ctx, container)
  streams.log = beginLog(ctx, container)
  const rootfs = prepareBundle(ctx, container)
  let task: Task | undefined
  try {
    const { userns } = container.record.definition
    const stdio = { terminal: config.Tty ?? false, stdin: config.OpenStdin ?? false }
    const ioOwner = userns ? { ioOwner: { uid: userns.uid, gid: userns.gid } } : {}
    task = await runtime.create({ id, bundle, rootfs, stdio, ...ioOwner, ...(checkpoint === undefined ? {} : { checkpoint }) })
    streams.connect(task)
    return task
  } catch (error) {
    // What was begun ends before it can be given back.
    await rootfs.catch(() => {})
    await task?.delete().catch(() => {})
    endLog(container)
    throw error
  }
}
