import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readMountInfo } from './mounts.ts'

export type Cgroups =
  /** Controller to the mount point of its hierarchy. A machine that mounts both versions counts as this. */
  | { version: 1; controllers: ReadonlyMap<string, string> }
  | { version: 2; mountPoint: string; controllers: readonly string[] }

/** How this machine has its control groups mounted; undefined when it has none. @see cgroups(7) */
export function detectCgroups(mountInfoPath?: string): Cgroups | undefined {
  const mounts = readMountInfo(mountInfoPath)
  const controllers = new Map<string, string>()
  for (const { type, mountPoint, superOptions } of mounts) {
    if (type !== 'cgroup') continue
    for (const option of superOptions) if (!['rw', 'ro', 'none'].includes(option) && !option.includes('=')) controllers.set(option, mountPoint)
  }
  if (controllers.has('memory') || controllers.has('pids')) return { version: 1, controllers }
  const unified = mounts.find(({ type }) => type === 'cgroup2')
  return unified && { version: 2, mountPoint: unified.mountPoint, controllers: readControllers(unified.mountPoint) }
}

function readControllers(mountPoint: string): string[] {
  try {
    return readFileSync(join(mountPoint, 'cgroup.controllers'), 'utf8').trim().split(' ')
  } catch {
    return []
  }
}
