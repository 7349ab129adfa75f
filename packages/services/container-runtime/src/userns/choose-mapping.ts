import type { HostConfig } from '@berth/api-types'
import type { IdRange } from '@berth/linux'
import type { Container } from '../container.ts'
import type { Context } from '../context.ts'
import { invalid } from '../create/validate-config.ts'
import { freeRange, readSubordinateFiles, remapRange } from './id-ranges.ts'

/** What containers get that do not say which user namespace they want. */
export interface UsernsOptions {
  /** `host` when absent: the machine's own. `private`: each container one of its own, whose IDs no other has. */
  mode?: 'host' | 'private' | undefined
  /** As dockerd's `--userns-remap`, `default` or `user[:group]`: one range of IDs for all containers; goes before `mode`. */
  remap?: string | undefined
}

/** Throws `invalid-argument` for a remap of somebody who has no subordinate IDs. */
export function checkUserns({ remap }: UsernsOptions = {}): void {
  if (remap) remapRange(remap, readSubordinateFiles())
}

/** The containers whose network, processes or IPC one joins. */
function joinedBy(ctx: Context, { NetworkMode, PidMode, IpcMode }: HostConfig): Container[] {
  return [NetworkMode, PidMode, IpcMode].flatMap((mode) => {
    const other = mode?.startsWith('container:') ? ctx.containers.get(mode.slice('container:'.length)) : undefined
    return other ? [other] : []
  })
}

/** The container whose user namespace one is in, which is its own unless it joins another; undefined for the machine's. */
export function usernsOwner(ctx: Context, container: Container): Container | undefined {
  const { userns, host } = container.record.definition
  if (!userns) return undefined
  const [joined] = joinedBy(ctx, host)
  return joined && joined !== container ? usernsOwner(ctx, joined) : container
}

/**
 * The IDs of a new container's user namespace; undefined for the machine's own. A container that joins another's namespaces is in that one's user namespace,
 * which they belong to.
 * @throws `invalid-argument`, in Docker's words, for what cannot be together
 */
export function chooseMapping(ctx: Context, host: HostConfig): IdRange | undefined {
  const mode = host.UsernsMode ?? ''
  if (!['', 'host', 'private'].includes(mode)) throw invalid(`invalid userns mode: ${mode}: the engine knows host and private`)
  if (mode === 'host') return undefined
  const joined = joinedBy(ctx, host)
  const mapping = joined.length > 0 ? joinedMapping(ctx, joined, mode) : ownMapping(ctx, mode)
  if (mapping) checkHost(host)
  return mapping
}

function joinedMapping(ctx: Context, joined: Container[], mode: string): IdRange | undefined {
  const owners = new Set(joined.map((container) => usernsOwner(ctx, container)))
  const [owner] = owners
  if (owners.size > 1) throw invalid('cannot join the namespaces of containers that are in different user namespaces')
  if (mode === 'private') throw invalid('cannot join the namespaces of another container with a user namespace of its own: it is in that of the other one')
  return owner?.record.definition.userns
}

function ownMapping(ctx: Context, mode: string): IdRange | undefined {
  const { remap, mode: byDefault = 'host' } = ctx.options.userns ?? {}
  if (mode === '' && remap) return remapRange(remap, readSubordinateFiles())
  if (mode !== 'private' && byDefault !== 'private') return undefined
  // A process that does not die keeps its IDs when its container is gone.
  const taken = [...ctx.containers.all(), ...ctx.leftovers.containers].flatMap(({ record }) => record.definition.userns ?? [])
  if (remap) taken.push(remapRange(remap, readSubordinateFiles()))
  return freeRange(readSubordinateFiles(), taken)
}

function checkHost({ Privileged, NetworkMode, PidMode, IpcMode }: HostConfig): void {
  if (Privileged) throw invalid('privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode')
  if (NetworkMode === 'host') throw invalid("cannot share the host's network namespace when user namespaces are enabled")
  if (PidMode === 'host') throw invalid('cannot share the host PID namespace when user namespaces are enabled')
  if (IpcMode === 'host') throw invalid('cannot share the host IPC namespace when user namespaces are enabled')
}
