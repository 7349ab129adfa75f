import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { BerthError } from '@berth/core'
import { mount, parseMountOptions } from '@berth/linux'
import type { Container } from '../container.ts'
import { bundleOf, type Context } from '../context.ts'
import type { OciMount, OciSpec } from '../spec/oci-spec.ts'

const target = '/dev/shm'

/**
 * The shared memory that a container has in common with others, as a directory of the machine: made for one that is `shareable`, in its bundle, with which it goes; the other's for one that
 * joins. Undefined where the container has its own, which costs nothing here.
 * @throws `invalid-argument` when the other does not share it, in Docker's words
 */
export function sharedMemoryOf(ctx: Context, container: Container): string | undefined {
  const { host, userns } = container.record.definition
  const mode = host.IpcMode ?? ''
  if (mode === 'shareable') {
    const directory = directoryOf(ctx, container)
    mkdirSync(directory, { mode: 0o700 })
    const owner = userns ? [`uid=${userns.uid}`, `gid=${userns.gid}`] : []
    const { flags, data } = parseMountOptions(['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${host.ShmSize ?? 0}`, ...owner])
    mount('shm', directory, 'tmpfs', flags, data)
    return directory
  }
  if (!mode.startsWith('container:')) return undefined
  const other = ctx.containers.resolve(mode.slice('container:'.length))
  const otherMode = other.record.definition.host.IpcMode ?? ''
  if (otherMode === 'host') return target
  if (otherMode.startsWith('container:')) return sharedMemoryOf(ctx, other)
  const directory = directoryOf(ctx, other)
  if (otherMode === 'shareable' && statSync(directory, { throwIfNoEntry: false })) return directory
  throw new BerthError('invalid-argument', 'IPC_NOT_SHAREABLE', `can't join IPC of container ${other.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`)
}

/** Shows it at `/dev/shm`, where a container would have its own; what the user mounts there stays. */
export function withSharedMemory(spec: OciSpec, directory: string): OciSpec {
  const isOwn = ({ destination, type }: OciMount): boolean => destination === target && type === 'tmpfs'
  return { ...spec, mounts: spec.mounts.map((own) => (isOwn(own) && own.source === 'shm' ? { destination: target, type: 'bind', source: directory, options: ['rbind', 'rprivate'] } : own)) }
}

function directoryOf(ctx: Context, { id }: Container): string {
  return join(bundleOf(ctx, id), 'shm')
}
