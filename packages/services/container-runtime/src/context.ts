import { join } from 'node:path'
import { type FailPoint, type KeyedMutex, type Logger, messageOf, nowNano } from '@berth/core'
import type { NamespaceRunner } from '@berth/linux'
import type { AccountCache, AccountReader } from './create/accounts.ts'
import type { CgroupDirectories } from './look/cgroup-stats.ts'
import type { Container } from './container.ts'
import type { ContainerFiles } from './container-files.ts'
import type { ContainerIndex } from './container-index.ts'
import type { ContainerRuntimeDependencies } from './dependencies.ts'
import type { ContainerFailPoint } from './life/fail-points.ts'
import type { Leftovers } from './life/leftovers.ts'
import type { Backlog, BacklogLimits } from './streams/output-spool.ts'
import type { ContainerDefaults } from './create/plan-host.ts'
import type { ContainerRecords } from './records.ts'
import type { MachineFeatures } from './spec/index.ts'
import type { UsernsOptions } from './userns/choose-mapping.ts'

export interface ContainerRuntimeOptions {
  /** Directory of the records, logs and files of containers; made when missing. */
  stateDir: string
  /** Directory of the bundles of running containers; may be emptied by a reboot. */
  execDir: string
  /** Found out when absent. */
  machine?: Partial<MachineFeatures>
  /** How account files are read; through the kernel when absent. Fakes, whose mounts mount nothing, bring their own. */
  accounts?: AccountReader
  /** Milliseconds after its last copy until a thread that copies from and to containers ends; 5000 when absent. */
  copyLinger?: number
  /** Milliseconds that a removal by force waits for a process that was killed, and for what does not come to an end; 10000 when absent. */
  patience?: number
  /** Called with `container.` and each of {@link failPoints}; for tests of crashes. */
  failPoint?: FailPoint | undefined
  /** Which user namespaces containers get. */
  userns?: UsernsOptions
  /** Directories of CDI specifications, in growing priority; `/etc/cdi` and `/var/run/cdi` when absent. */
  cdiSpecDirs?: readonly string[]
  /** What is kept of output for clients that do not take it. */
  backlog?: Partial<BacklogLimits>
  /** What happens to an attached exec whose client goes: `keep`, as in Docker, or `kill`; a container's annotation says it for its own. */
  execOnDisconnect?: 'keep' | 'kill' | undefined
  /** What a container gets that does not say. */
  defaults?: ContainerDefaults
}

/** What the operations on containers share. */
export interface Context {
  deps: ContainerRuntimeDependencies
  options: ContainerRuntimeOptions
  machine: MachineFeatures
  /** Where each cgroup controller is mounted; `unified` is cgroup v2. */
  cgroupMounts: CgroupDirectories
  accounts: AccountCache
  logger: Logger
  records: ContainerRecords
  containers: ContainerIndex
  /** Their root file systems, for copies. */
  files: ContainerFiles
  /** Mounts for user namespaces, in a thread that the first of them starts. */
  namespaces: NamespaceRunner
  /** Output that clients have not taken yet. */
  backlog: Backlog
  /** A container's transitions, by its ID. */
  locks: KeyedMutex
  /** What is left of containers that are gone for their users. */
  leftovers: Leftovers
  failPoint(step: ContainerFailPoint): void
  /** Aborts when the runtime lets go of its containers. */
  closed: AbortSignal
}

/** Directory of what a container keeps: log, host name. */
export function stateDirOf({ options }: Context, id: string): string {
  return join(options.stateDir, 'containers', id)
}

export function bundleOf({ options }: Context, id: string): string {
  return join(options.execDir, id)
}

/**
 * Records the state of a container where it can. For what has happened, or must be possible, on a full disk too: the end of a process, a stop.
 * What is not recorded now is with the container's next transition; a crash before it makes the exit code unknown.
 */
export function noteState({ records, logger }: Context, { id, record }: Container): void {
  try {
    records.saveState(record)
  } catch (error) {
    logger.error('the state of a container could not be recorded', { container: id, error: messageOf(error) })
  }
}

/** Tells that something happened to a container, with Docker's attributes. */
export function emit({ deps }: Context, container: Container, action: string, attributes: Record<string, string> = {}): void {
  const { config } = container.record.definition
  deps.emit({
    type: 'container',
    action,
    id: container.id,
    attributes: { ...config.Labels, ...attributes, image: config.Image ?? '', name: container.name },
    timeNano: nowNano(),
  })
}

/** The values of work done side by side; all of it has ended when one failure is thrown. */
export async function together<T extends readonly unknown[]>(work: readonly [...{ [K in keyof T]: Promise<T[K]> }]): Promise<T> {
  const results = await Promise.allSettled(work as readonly Promise<unknown>[])
  const failure = results.find((result) => result.status === 'rejected')
  if (failure) throw failure.reason
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as unknown as T
}
