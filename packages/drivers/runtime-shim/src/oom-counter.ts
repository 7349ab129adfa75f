import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * How many processes of a cgroup the kernel has killed for its memory limit. The kernel counts before it kills, so the
 * number is right as soon as the process's end is known; the shim's own OOM event may come later, or while nobody listens.
 */
export class OomCounter {
  readonly #path: string | undefined
  #seen = 0

  /** @param cgroup `linux.cgroupsPath` of the bundle; without one nothing is ever counted */
  constructor(cgroup: string | undefined) {
    const candidates = cgroup?.startsWith('/') ? [join(v1Memory, cgroup, 'memory.oom_control'), join(v2Root, cgroup, 'memory.events')] : []
    this.#path = candidates.find((path) => existsSync(path))
  }

  /** Kills since the last call. */
  take(): number {
    const total = this.#path ? oomKills(this.#path) : 0
    const news = total - this.#seen
    this.#seen = Math.max(total, this.#seen)
    return Math.max(news, 0)
  }
}

const v1Memory = '/sys/fs/cgroup/memory'
const v2Root = '/sys/fs/cgroup'

function oomKills(path: string): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync(path, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0 // the cgroup is gone, and its count with it
  }
}
